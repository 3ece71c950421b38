"""A real server on loopback that answers from a script, and keeps the bytes it got."""

from __future__ import annotations

import hashlib
import hmac
import threading
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Mapping
from concurrent import futures
from dataclasses import dataclass
from typing import Any, NoReturn

import grpc
from google.protobuf.any_pb2 import Any as Packed
from google.protobuf.message import Message
from google.rpc import error_details_pb2 as details
from google.rpc.status_pb2 import Status
from grpc_status import rpc_status

from advisor_matching.v1 import types_pb2
from advisor_matching.v1.event_service_pb2 import WatchProjectEventsRequest, WatchProjectEventsResponse
from matching_client.catalog import methods, path_of

KEY_ID = "test-key"
SECRET = "a-secret-of-more-than-thirty-two-bytes"
USER = "3f1c2a6e-8f0b-4b0e-9a44-0d0a4f4f7a11"
PROJECT = "7b1e4a52-0c7d-4d7f-8a55-3d1f7f0f9a21"
CORRELATION = "the-correlation-id"
WATCH = "/advisor_matching.v1.EventService/WatchProjectEvents"
GET_MATCH = "/advisor_matching.v1.MatchService/GetMatch"
CREATE_MATCH = "/advisor_matching.v1.MatchService/CreateMatch"
PATIENCE = 10.0
"""Seconds after which a test gives up waiting."""

_STREAMING = {path_of(method) for method in methods() if method.server_streaming}


@dataclass(frozen=True)
class Received:
    """One call as it arrived."""

    method: str
    body: bytes
    metadata: Mapping[str, str | bytes]
    timeout: float | None

    def part(self, name: str) -> str:
        """A part of the signature header."""
        return dict(part.split("=", 1) for part in self._signature.split(";")[1:])[name]

    @property
    def _signature(self) -> str:
        return str(self.metadata["x-sheen-signature"])

    @property
    def watch(self) -> WatchProjectEventsRequest:
        """The request of a watch."""
        return WatchProjectEventsRequest.FromString(self.body)

    def assert_signed(self, secret: str = SECRET) -> None:
        """Computes the signature over the bytes received, as the contract's page says it."""
        rule = self.part("body")
        lines = [
            "SHEEN-HMAC-SHA256-V1",
            self.part("kid"),
            self.part("ts"),
            self.part("nonce"),
            self.method,
            hashlib.sha256(str(self.metadata["x-sheen-claims"]).encode()).hexdigest(),
            {"sha256": hashlib.sha256(self.body).hexdigest(), "unsigned": "UNSIGNED"}[rule],
        ]
        expected = hmac.new(secret.encode(), "\n".join(lines).encode(), hashlib.sha256).hexdigest()
        assert self.part("sig") == expected


Step = Callable[[bytes, grpc.ServicerContext], bytes]
StreamStep = Callable[[bytes, grpc.ServicerContext], Iterator[bytes]]


class ScriptedServer(grpc.GenericRpcHandler):
    """Answers the calls of each method with its steps in turn, the last one again and again; without, emptily."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        self._steps: dict[str, deque[Any]] = defaultdict(deque)
        self.address = "127.0.0.1:0"
        self.start()

    def start(self) -> None:
        """Serves, after a stop at the same address again."""
        self._pool = futures.ThreadPoolExecutor(8, thread_name_prefix="scripted")
        self._server = grpc.server(self._pool, handlers=[self], options=[("grpc.so_reuseport", 0)])
        self.address = f"127.0.0.1:{self._server.add_insecure_port(self.address)}"
        self._server.start()

    def script(self, method: str, *steps: Step | StreamStep) -> None:
        """Replaces what is left of the method's steps."""
        self._steps[method] = deque(steps)

    def of(self, method: str) -> list[Received]:
        return [call for call in self.received if call.method == method]

    def stop(self) -> None:
        assert self._server.stop(0).wait(PATIENCE)
        self._pool.shutdown(wait=True)

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[Any, Any]:
        def answer(body: bytes, context: grpc.ServicerContext) -> Any:
            metadata = dict(details.invocation_metadata)
            self.received.append(Received(details.method, body, metadata, context.time_remaining()))
            steps = self._steps[details.method]
            if not steps:
                return iter(()) if details.method in _STREAMING else b""
            return (steps.popleft() if len(steps) > 1 else steps[0])(body, context)

        if details.method in _STREAMING:
            return grpc.unary_stream_rpc_method_handler(answer)
        return grpc.unary_unary_rpc_method_handler(answer)


def answer(message: Message) -> Step:
    """A step that answers."""
    return lambda body, context: message.SerializeToString()


def refuse(context: grpc.ServicerContext, code: grpc.StatusCode, reason: str = "", **more: Any) -> NoReturn:
    """Aborts with a rich status as the service does; without a reason bare, as a transport does.

    `more`: `metadata`, `retry_after` in seconds, `violations` as a mapping.
    """
    if not reason:
        context.abort(code, "broken")
    packed = [
        details.ErrorInfo(domain="advisor_matching.v1", reason=reason, metadata=more.get("metadata", {})),
        details.RequestInfo(request_id=CORRELATION),
    ]
    if "retry_after" in more:
        packed.append(details.RetryInfo())
        packed[-1].retry_delay.FromNanoseconds(round(more["retry_after"] * 1e9))
    if "violations" in more:
        violation = details.BadRequest.FieldViolation
        fields = [violation(field=name, description=text) for name, text in more["violations"].items()]
        packed.append(details.BadRequest(field_violations=fields))
    status = Status(code=code.value[0], message=f"refused: {reason}")
    for detail in packed:
        wrapped = Packed()
        wrapped.Pack(detail)
        status.details.append(wrapped)
    context.abort_with_status(rpc_status.to_status(status))


def fail(code: grpc.StatusCode, reason: str = "", **more: Any) -> Step:
    """A step that refuses; in a stream before its start, as a unary call does."""
    return lambda body, context: refuse(context, code, reason, **more)


def event(seq: int) -> bytes:
    """A stored event, number `seq`, as it goes over the wire."""
    stored = types_pb2.ProjectEvent(id=f"event-{seq}", seq=seq, type="advisor.matched", project_id=PROJECT)
    stored.match.match_id = "a match"
    return WatchProjectEventsResponse(event=stored).SerializeToString()


def heartbeat(last_event_id: str) -> bytes:
    """A heartbeat as it goes over the wire."""
    beat = types_pb2.HeartbeatEvent(last_event_id=last_event_id)
    return WatchProjectEventsResponse(
        event=types_pb2.ProjectEvent(type="heartbeat", heartbeat=beat)
    ).SerializeToString()


def stream(
    *messages: bytes,
    start: str = "the-start",
    end: tuple[grpc.StatusCode, str] | None = None,
    hold: bool = False,
    **more: Any,
) -> StreamStep:
    """A step that fixes the start, sends, and then holds the stream open, fails with `end`, or ends it with OK."""

    def serve(body: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        gone = threading.Event()
        context.add_callback(gone.set)
        header = (("x-sheen-event-id", start),) if start else ()
        context.send_initial_metadata((("x-correlation-id", CORRELATION), *header))
        yield from messages
        if hold:
            gone.wait(PATIENCE)
        if end is not None:
            refuse(context, *end, **more)

    return serve
