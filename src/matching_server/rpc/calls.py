"""What metrics and traces are told of calls. A call costs two counts, each of a series that is looked up once."""

from __future__ import annotations

from functools import cache

import grpc
from prometheus_client import Counter, Histogram

from matching_server import metrics, tracing
from matching_server.domain.errors import Reason
from matching_server.rpc.access import Kind, Method
from matching_server.tracing import Span

_TRACE_HEADERS = ("traceparent", "tracestate")
_OWN_FAULTS = frozenset(
    {
        grpc.StatusCode.UNKNOWN,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.UNIMPLEMENTED,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DATA_LOSS,
    }
)
"""Which are an error of the server's own: as OpenTelemetry has it."""


def begin(method: Method, context: grpc.ServicerContext, correlation_id: str) -> Span:
    """The span of a call or a stream that has come, in the trace that its metadata name."""
    if not tracing.on():
        return tracing.UNTRACED
    headers = {
        name: value
        for name, value in context.invocation_metadata() or ()
        if name in _TRACE_HEADERS and isinstance(value, str)
    }
    service = method.path.split("/")[1]
    attributes = {"rpc.system": "grpc", "rpc.service": service, "rpc.method": method.name}
    return tracing.begin(
        method.path.removeprefix("/"), "SERVER", headers, attributes | {"correlation_id": correlation_id}
    )


def ended(method: Method, span: Span, code: grpc.StatusCode, reason: Reason | None, seconds: float) -> None:
    """A call or a stream has ended so. How long streams last says nothing of the service."""
    span.end({"rpc.grpc.status_code": code.value[0]}, fault=code.name if code in _OWN_FAULTS else None)
    _count(method.name, code.name).inc()
    if method.kind is not Kind.STREAM:
        _duration(method.name).observe(seconds)
    if reason is not None:
        metrics.REFUSALS.labels(reason.value).inc()


@cache
def _count(method: str, code: str) -> Counter:
    return metrics.CALLS.labels(method, code)


@cache
def _duration(method: str) -> Histogram:
    return metrics.CALL_SECONDS.labels(method)
