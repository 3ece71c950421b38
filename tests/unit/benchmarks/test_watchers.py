"""The watchers' own HTTP/2 hears what a grpcio server sends, and tells when it no longer does."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest

from benchmarks.harness.load import GrpcCall
from benchmarks.harness.results import BenchmarkError
from benchmarks.harness.watchers import Watchers

SIZES = (0, 1, 300, 16_384, 16_385, 70_000, 3)
"""Bytes of messages: of none, of a few to a frame, and of several frames to one."""


def speak(request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
    """Sends messages of those sizes that end in the request, and keeps the stream open; or ends it."""
    context.send_initial_metadata((("x-long", "v" * 300),))
    if request == b"end":
        time.sleep(0.1)
        return
    for size in SIZES:
        yield b"m" * size + request
    while context.is_active():
        time.sleep(0.05)


def repeat(request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
    """Says what the header ``x-said`` says."""
    yield str(dict(context.invocation_metadata())["x-said"]).encode()
    while context.is_active():
        time.sleep(0.05)


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    handlers: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {
        "Speak": grpc.unary_stream_rpc_method_handler(speak),
        "Repeat": grpc.unary_stream_rpc_method_handler(repeat),
    }
    server = grpc.server(ThreadPoolExecutor(16))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Streams", handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}"
    server.stop(None).wait()


@pytest.fixture(scope="module")
def process() -> Iterator[Watchers]:
    with Watchers() as process:
        yield process


@pytest.fixture
def watchers(process: Watchers) -> Iterator[Watchers]:
    yield process
    process.close()


def test_each_hears_every_message_of_its_stream_whole_and_in_order(watchers: Watchers, address: str) -> None:
    names = [b"ada", b"bob", b"eve"]
    opened = watchers.open(address, "/test.Streams/Speak", [GrpcCall(name) for name in names])
    heard = watchers.hear(len(names) * len(SIZES))
    for number, name in enumerate(names):
        came = [receipt for receipt in heard.receipts if receipt.watcher == number]
        assert [receipt.body for receipt in came] == [b"m" * size + name for size in SIZES]
        assert all(opened < receipt.at <= heard.last for receipt in came)


def test_headers_arrive_whatever_their_length(watchers: Watchers, address: str) -> None:
    said = ["h" * length for length in (0, 126, 127, 128, 254, 255, 256, 4_000)]
    watchers.open(address, "/test.Streams/Repeat", [GrpcCall(b"", (("x-said", words),)) for words in said])
    receipts = watchers.hear(len(said)).receipts
    assert {receipt.watcher: receipt.body.decode() for receipt in receipts} == dict(enumerate(said))


def test_only_what_bears_the_mark_counts(watchers: Watchers, address: str) -> None:
    watchers.open(address, "/test.Streams/Speak", [GrpcCall(b"!")], marker=b"mmm", keep=False)
    heard = watchers.hear(sum(1 for size in SIZES if size >= 3))
    assert heard.receipts == []


def test_a_stream_that_is_refused_is_told(watchers: Watchers, address: str) -> None:
    with pytest.raises(BenchmarkError, match="the stream of watcher 0 was refused"):
        watchers.open(address, "/test.Streams/Missing", [GrpcCall(b"")])


def test_a_stream_that_ends_is_told(watchers: Watchers, address: str) -> None:
    watchers.open(address, "/test.Streams/Speak", [GrpcCall(b"end")])
    with pytest.raises(BenchmarkError, match="the server has ended the stream of watcher 0"):
        watchers.hear(1)


def test_nobody_there_is_told(watchers: Watchers) -> None:
    with pytest.raises(BenchmarkError, match="the watchers cannot connect"):
        watchers.open("127.0.0.1:1", "/test.Streams/Speak", [GrpcCall(b"")])
