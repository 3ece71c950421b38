"""Traces by OpenTelemetry, where it is installed and asked for; else nothing is done, and next to nothing costs.

A call continues its caller's trace (``traceparent`` among its metadata). What it leaves to do, a workspace or a
notification, is stored with the trace and continues it, whichever process does it, and webhooks are posted with it.
So are the events that it logs, which watchers receive with it.
Spans hold ids, codes and numbers, like the log.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

import structlog

from matching_server.domain.trace import TRACEPARENT

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span as OpenSpan
    from opentelemetry.trace import Tracer

ENDPOINT_VARIABLE = "OTEL_EXPORTER_OTLP_ENDPOINT"
SERVICE_NAME = "advisor-matching"
_FLUSH_SECONDS = 2.0

_log = structlog.get_logger(__name__)

Attributes = Mapping[str, str | int | float]
_NOTHING: Attributes = {}


class CannotTrace(Exception):
    """What traces need is not installed; the message says how it is."""


class Span:
    """Something under way that is traced, or not: then it does nothing."""

    __slots__ = ("_span",)

    def __init__(self, span: OpenSpan | None) -> None:
        self._span = span

    def end(self, attributes: Attributes = _NOTHING, *, fault: str | None = None) -> None:
        """It is over; ``fault`` is what went wrong, in words for operators."""
        if self._span is None:
            return
        for name, value in attributes.items():
            self._span.set_attribute(name, value)
        if fault is not None:
            from opentelemetry.trace import StatusCode  # noqa: PLC0415 - an extra

            self._span.set_status(StatusCode.ERROR, fault)
        self._span.end()


class _Told(logging.Handler):
    """Has what the libraries complain of written like everything else."""

    def emit(self, record: logging.LogRecord) -> None:
        """Writes it."""
        _log.warning("traces_not_sent", fault=record.getMessage())


UNTRACED = Span(None)
_tracer: Tracer | None = None
_provider: TracerProvider | None = None


def start() -> None:
    """Sends spans from now on, to where OpenTelemetry's own variables say (``OTEL_EXPORTER_OTLP_ENDPOINT``, …).

    Raises:
        CannotTrace: the extra is not installed.
    """
    try:
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import (  # noqa: PLC0415 - an extra
            OTLPSpanExporter,
        )
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415 - an extra
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415 - an extra
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415 - an extra
    except ModuleNotFoundError as error:
        raise CannotTrace(f"traces need {error.name}: pip install 'advisor-matching[otel]'") from None
    named = {} if "OTEL_SERVICE_NAME" in os.environ else {"service.name": SERVICE_NAME}
    provider = TracerProvider(resource=Resource.create(named), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    library = logging.getLogger("opentelemetry")
    library.addHandler(_Told())
    library.propagate = False
    use(provider)


def on() -> bool:
    """Whether anything is traced."""
    return _tracer is not None


def use(provider: TracerProvider | None) -> None:
    """Traces by this provider; ``None``: no longer."""
    global _tracer, _provider  # noqa: PLW0603 - like logging, one for the process
    _provider = provider
    _tracer = provider.get_tracer(SERVICE_NAME) if provider is not None else None


def stop() -> None:
    """Sends what is left, for as long as that takes but for 2 s at most, and no more from then on."""
    provider = _provider
    use(None)
    if provider is not None:
        # The libraries' own bounds are not kept where nobody listens at the endpoint.
        sending = threading.Thread(target=provider.shutdown, name="traces", daemon=True)
        sending.start()
        sending.join(_FLUSH_SECONDS)


def begin(name: str, kind: str, parent: Mapping[str, str], attributes: Attributes) -> Span:
    """A span of this thread's from now on, until it is ended.

    Args:
        name: what is done.
        kind: SERVER, CONSUMER or PRODUCER.
        parent: ``traceparent`` and ``tracestate`` of what it belongs to; without, it begins a trace.
        attributes: what is known of it.
    """
    if _tracer is None:
        return UNTRACED
    from opentelemetry.trace import SpanKind, set_span_in_context  # noqa: PLC0415 - an extra
    from opentelemetry.trace.propagation.tracecontext import (  # noqa: PLC0415 - an extra
        TraceContextTextMapPropagator,
    )

    headers = TraceContextTextMapPropagator()
    span = _tracer.start_span(name, headers.extract(parent), kind=SpanKind[kind], attributes=dict(attributes))
    carrier: dict[str, str] = {}
    headers.inject(carrier, set_span_in_context(span))
    TRACEPARENT.set(carrier.get("traceparent"))
    structlog.contextvars.bind_contextvars(trace_id=f"{span.get_span_context().trace_id:032x}")
    return Span(span)


@contextmanager
def continued(name: str, kind: str, traceparent: str | None, attributes: Attributes) -> Iterator[Span]:
    """Something that a call has left to do, as a span of its trace while the block runs; the block ends it."""
    if _tracer is None:
        yield UNTRACED
        return
    before = TRACEPARENT.get()
    try:
        yield begin(name, kind, {"traceparent": traceparent} if traceparent else {}, attributes)
    finally:
        TRACEPARENT.set(before)
        structlog.contextvars.unbind_contextvars("trace_id")
