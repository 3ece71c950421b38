"""A real server on the loopback with toy servicers behind the real pipeline, and raw-bytes calls to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import grpc
from google.rpc import error_details_pb2, status_pb2

from matching_server.domain.model import Role
from matching_server.rpc.access import SERVICES
from matching_server.rpc.admission import MOST_CALLS, Turns
from matching_server.rpc.health import Health
from matching_server.rpc.keys import Key, KeyRing
from matching_server.rpc.pipeline import Pipeline
from matching_server.rpc.server import build_server, listen
from tests.unit.rpc.signing import KID, NOW, SECRET, claims, headers

KEYS = KeyRing([Key(KID, SECRET), Key("admin", SECRET, max_roles=frozenset({Role.ADMIN}))])


def path(service: str, method: str) -> str:
    return f"/{SERVICES[service].full_name}/{method}"


@dataclass(frozen=True)
class Answer:
    """What came of a unary call."""

    code: grpc.StatusCode
    body: bytes | None
    message: str
    initial: dict[str, str | bytes]
    status: status_pb2.Status | None

    def detail(self, type_: Any) -> Any:
        """The detail of that type; its absence fails the test."""
        assert self.status is not None
        message = type_()
        assert any(packed.Unpack(message) for packed in self.status.details)
        return message

    @property
    def reason(self) -> str:
        reason: str = self.detail(error_details_pb2.ErrorInfo).reason
        return reason


@dataclass(frozen=True)
class Serving:
    """A running server."""

    channel: grpc.Channel
    health: Health
    port: int

    def raw(self, method: str, body: bytes, metadata: list[tuple[str, str]]) -> Answer:
        """Calls with exactly these bytes and headers."""
        call: Any = self.channel.unary_unary(method)
        try:
            response, done = call.with_call(body, metadata=metadata, timeout=10)
        except grpc.RpcError as error:
            return _answer(error, None)
        return _answer(done, response)

    def call(self, service: str, method: str, request: Any = None, **claimed: Any) -> Answer:
        """Calls as a proper client does."""
        body = b"" if request is None else request.SerializeToString()
        full = path(service, method)
        return self.raw(full, body, headers(full, body, claims(**claimed)))

    def watch(self, body: bytes, metadata: list[tuple[str, str]] | None = None) -> Any:
        """Opens a stream."""
        full = path("EventService", "WatchProjectEvents")
        call: Any = self.channel.unary_stream(full)
        return call(body, metadata=metadata or headers(full, body), timeout=10)


@contextmanager
def serving(
    servicers: Mapping[str, object],
    *,
    reflect: bool = False,
    turns: int = 4,
    most_calls: int = MOST_CALLS,
    count_call: Callable[[UUID], float | None] = lambda _: None,
) -> Iterator[Serving]:
    """Serves until the end of the block."""
    health = Health()
    pipeline = Pipeline(KEYS, Turns(turns), count_call, lambda: NOW)
    server = build_server(pipeline, servicers, health, reflect=reflect, most_calls=most_calls)
    port = listen(server, "127.0.0.1:0")
    server.start()
    channel = grpc.insecure_channel(f"127.0.0.1:{port}")
    try:
        yield Serving(channel, health, port)
    finally:
        channel.close()
        server.stop(None).wait()


def rich_status(error: Any) -> status_pb2.Status | None:
    """The status in the trailing metadata."""
    for name, value in error.trailing_metadata() or ():
        if name == "grpc-status-details-bin":
            return status_pb2.Status.FromString(value)
    return None


def _answer(call: Any, body: bytes | None) -> Answer:
    return Answer(
        call.code(), body, call.details() or "", dict(call.initial_metadata() or ()), rich_status(call)
    )
