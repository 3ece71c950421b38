from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2
from structlog.testing import capture_logs

from advisor_matching.v1 import event_service_pb2 as pb
from matching_server.domain.calls import Call
from matching_server.domain.errors import Draining, ProjectNotFound
from matching_server.rpc.stream_context import StreamContext
from tests.unit.rpc.serving import Serving, rich_status, serving
from tests.unit.rpc.signing import USER

WAIT = 10.0
REQUEST = pb.WatchProjectEventsRequest(project_id=USER).SerializeToString()


class Watching:
    """A stream handler that hands the stream to the test."""

    def __init__(self) -> None:
        self.opened = threading.Event()
        self.ended = threading.Event()
        self.error: Exception | None = None
        self.announce = [("x-sheen-event-id", "e1")]
        self.stream: StreamContext
        self.call: Call

    def watch_project_events(self, request: Any, call: Call, stream: StreamContext) -> None:
        self.stream, self.call = stream, call
        stream.on_end(self.ended.set)
        if self.announce:
            stream.send_initial_metadata(self.announce)
        self.opened.set()
        if self.error is not None:
            raise self.error


@contextmanager
def watching() -> Iterator[tuple[Watching, Serving]]:
    handler = Watching()
    with serving({"EventService": handler}) as server:
        yield handler, server


@pytest.fixture
def served() -> Iterator[tuple[Watching, Serving]]:
    with watching() as both:
        yield both


def open_stream(handler: Watching, server: Serving) -> tuple[Any, StreamContext]:
    call = server.watch(REQUEST)
    assert handler.opened.wait(WAIT)
    return call, handler.stream


def reason(error: Any) -> str:
    status = rich_status(error)
    assert status is not None
    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info)
    name: str = info.reason
    return name


def test_the_metadata_comes_before_any_message(served: tuple[Watching, Serving]) -> None:
    call, stream = open_stream(*served)
    metadata = dict(call.initial_metadata())
    assert metadata["x-sheen-event-id"] == "e1"
    assert metadata["x-correlation-id"] == stream.correlation_id == served[0].call.correlation_id
    assert served[0].call.nonce is not None
    stream.send_initial_metadata([("x-late", "ignored")])
    call.cancel()


def test_messages_arrive_until_the_end(served: tuple[Watching, Serving]) -> None:
    call, stream = open_stream(*served)
    assert stream.is_active
    stream.send(b"one")
    stream.send(b"two")
    assert stream.end()
    assert list(call) == [b"one", b"two"]
    assert call.code() is grpc.StatusCode.OK
    assert served[0].ended.wait(WAIT)
    assert not stream.is_active


def test_a_stream_fails_with_a_rich_status_after_its_messages(served: tuple[Watching, Serving]) -> None:
    call, stream = open_stream(*served)
    stream.send(b"one")
    assert stream.fail(Draining())
    assert next(call) == b"one"
    with pytest.raises(grpc.RpcError) as caught:
        next(call)
    assert call.code() is grpc.StatusCode.UNAVAILABLE
    assert reason(caught.value) == "DRAINING"


def test_a_stream_ends_once(served: tuple[Watching, Serving]) -> None:
    call, stream = open_stream(*served)
    with capture_logs() as logs:
        barrier = threading.Barrier(4)
        first: list[bool] = []

        def fail() -> None:
            barrier.wait(WAIT)
            first.append(stream.fail(Draining()))

        threads = [threading.Thread(target=fail) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(WAIT)
        stream.send(b"late")
        assert not stream.end()
        assert not stream.gone()
    assert sorted(first) == [False, False, False, True]
    with pytest.raises(grpc.RpcError):
        next(call)
    assert [line["code"] for line in logs] == ["UNAVAILABLE"]


def test_a_handler_that_refuses_ends_the_stream(served: tuple[Watching, Serving]) -> None:
    handler, server = served
    handler.error, handler.announce = ProjectNotFound(USER), []
    with capture_logs() as logs:
        call = server.watch(REQUEST)
        with pytest.raises(grpc.RpcError) as caught:
            next(call)
        assert handler.ended.wait(WAIT)
    assert call.code() is grpc.StatusCode.NOT_FOUND
    assert reason(caught.value) == "PROJECT_NOT_FOUND"
    assert "x-correlation-id" in dict(call.initial_metadata())
    assert [(line["event"], line["reason"]) for line in logs] == [("call", "PROJECT_NOT_FOUND")]


def test_a_handler_that_breaks_is_an_internal_error(served: tuple[Watching, Serving]) -> None:
    handler, server = served
    handler.error = RuntimeError("secret")
    call = server.watch(REQUEST)
    with pytest.raises(grpc.RpcError) as caught:
        next(call)
    assert (call.code(), call.details()) == (grpc.StatusCode.INTERNAL, "internal error")
    assert reason(caught.value) == "INTERNAL_ERROR"


def test_streams_are_authenticated(served: tuple[Watching, Serving]) -> None:
    call = served[1].watch(REQUEST, [("x-correlation-id", "c-9")])
    with pytest.raises(grpc.RpcError) as caught:
        next(call)
    assert reason(caught.value) == "AUTHENTICATION_ERROR"
    assert dict(call.initial_metadata())["x-correlation-id"] == "c-9"
    assert not served[0].opened.is_set()


def test_a_stream_writes_one_line_at_its_end(served: tuple[Watching, Serving]) -> None:
    with capture_logs() as logs:
        call, stream = open_stream(*served)
        call.initial_metadata()
        stream.send(b"one")
        next(call)
        stream.end()
        assert served[0].ended.wait(WAIT)
    assert [(line["event"], line["code"], line["caller"]) for line in logs] == [("call", "OK", USER)]


def test_a_client_that_leaves_is_noticed(served: tuple[Watching, Serving]) -> None:
    call, stream = open_stream(*served)
    call.initial_metadata()
    call.cancel()
    assert served[0].ended.wait(WAIT)
    assert not stream.is_active
    stream.send(b"to nobody")
    assert stream.gone()
    assert not stream.fail(Draining())


def test_cancel_frees_a_send_that_nobody_reads(served: tuple[Watching, Serving]) -> None:
    call, stream = open_stream(*served)
    block, sent, stuck = b"x" * (1 << 20), 0, threading.Event()

    def pour() -> None:
        nonlocal sent
        while stream.is_active:
            stream.send(block)
            sent += 1
        stuck.set()

    thread = threading.Thread(target=pour)
    thread.start()
    seen = -1
    while sent != seen:  # Until nothing has moved for a while, the reader's buffers are filling.
        seen = sent
        assert not stuck.wait(0.2)
    assert stream.cancel()
    assert stuck.wait(WAIT)
    thread.join(WAIT)
    with pytest.raises(grpc.RpcError):
        list(call)
    assert call.code() is grpc.StatusCode.CANCELLED


def test_many_streams_hold_no_threads() -> None:
    """The server has four threads; forty streams are open and a forty-first call is still answered."""
    streams: list[StreamContext] = []

    class Many:
        def watch_project_events(self, request: Any, call: Call, stream: StreamContext) -> None:
            streams.append(stream)
            stream.send_initial_metadata()

    with serving({"EventService": Many()}) as server:
        calls = [server.watch(REQUEST) for _ in range(40)]
        for call in calls:
            assert call.initial_metadata()
        answer = server.raw("/advisor_matching.v1.SystemService/GetServiceInfo", b"", [])
        assert answer.code is grpc.StatusCode.UNIMPLEMENTED
        for stream in streams:
            stream.send(b"hello")
            stream.end()
        assert [list(call) for call in calls] == [[b"hello"]] * 40
