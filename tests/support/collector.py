"""Whoever spans are sent to: a collector that keeps them."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import grpc
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span as Exported

from tests.support.processes import HOST


@dataclass(frozen=True)
class Span:
    """One span that came in; ids in hex."""

    service: str
    name: str
    kind: str
    trace_id: str
    id: str
    parent: str
    attributes: dict[str, str]
    failed: bool


class Collector:
    """Takes what OTLP exporters send over gRPC."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.address = ""

    def named(self, name: str, **attributes: str) -> list[Span]:
        """The spans of that name that have these attributes."""
        return [
            span
            for span in list(self.spans)
            if span.name == name and attributes.items() <= span.attributes.items()
        ]

    def take(self, request: ExportTraceServiceRequest, _: grpc.ServicerContext) -> ExportTraceServiceResponse:
        """Keeps a batch."""
        for group in request.resource_spans:
            named = {one.key: one.value.string_value for one in group.resource.attributes}
            for scope in group.scope_spans:
                self.spans += [_span(named["service.name"], span) for span in scope.spans]
        return ExportTraceServiceResponse()


def _span(service: str, span: Exported) -> Span:
    values = {one.key: one.value for one in span.attributes}
    return Span(
        service=service,
        name=span.name,
        kind=Exported.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_"),
        trace_id=span.trace_id.hex(),
        id=span.span_id.hex(),
        parent=span.parent_span_id.hex(),
        attributes={
            key: value.string_value if value.HasField("string_value") else str(value.int_value)
            for key, value in values.items()
        },
        failed=span.status.code == span.status.STATUS_CODE_ERROR,
    )


@contextmanager
def collector() -> Iterator[Collector]:
    """A collector that listens while the block runs."""
    collector = Collector()
    server = grpc.server(ThreadPoolExecutor(2))
    handler = grpc.unary_unary_rpc_method_handler(
        collector.take,
        ExportTraceServiceRequest.FromString,
        ExportTraceServiceResponse.SerializeToString,
    )
    service = "opentelemetry.proto.collector.trace.v1.TraceService"
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {"Export": handler}),))
    collector.address = f"{HOST}:{server.add_insecure_port(f'{HOST}:0')}"
    server.start()
    try:
        yield collector
    finally:
        server.stop(None).wait()
