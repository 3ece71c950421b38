"""What the metrics are told of calls. A call costs two counts, each of a series that is looked up once."""

from __future__ import annotations

from functools import cache

import grpc
from prometheus_client import Counter, Histogram

from matching_server import metrics
from matching_server.domain.errors import Reason
from matching_server.rpc.access import Kind, Method


def ended(method: Method, code: grpc.StatusCode, reason: Reason | None, seconds: float) -> None:
    """A call or a stream has ended so. How long streams last says nothing of the service."""
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
