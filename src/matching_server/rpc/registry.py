"""From the contract's descriptors to gRPC handlers: every method of every service has one, served or not."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NoReturn

import grpc
from google.protobuf.descriptor import ServiceDescriptor

from matching_server.domain.calls import Call
from matching_server.domain.errors import NotImplementedYet
from matching_server.rpc.access import SERVICES, Kind, Method, methods_of
from matching_server.rpc.pipeline import Pipeline
from matching_server.rpc.stream_context import StreamContext

_WORD_START = re.compile(r"(?<!^)(?=[A-Z])")


def generic_handlers(pipeline: Pipeline, servicers: Mapping[str, object]) -> list[grpc.GenericRpcHandler]:
    """The handlers of the whole contract.

    Args:
        pipeline: what every call goes through.
        servicers: the servicer of each service, by its short name; a service without one is not served yet.

    Raises:
        ValueError: a servicer for a service that the contract does not have.
    """
    unknown = servicers.keys() - SERVICES.keys()
    if unknown:
        raise ValueError(f"the contract has no service {sorted(unknown)[0]}")
    return [
        grpc.method_handlers_generic_handler(
            service.full_name, method_handlers(pipeline, service, servicers.get(name))
        )
        for name, service in SERVICES.items()
    ]


def method_handlers(
    pipeline: Pipeline, service: ServiceDescriptor, servicer: object | None
) -> dict[str, grpc.RpcMethodHandler[Any, Any]]:
    """The handler of each method of a service: the servicer's method of that name in ``snake_case``.

    A method that the servicer lacks answers UNIMPLEMENTED, to those who may call it.
    """
    return {method.name: _method_handler(pipeline, method, servicer) for method in methods_of(service)}


def _method_handler(
    pipeline: Pipeline, method: Method, servicer: object | None
) -> grpc.RpcMethodHandler[Any, Any]:
    handler = getattr(servicer, _WORD_START.sub("_", method.name).lower(), None) or _not_served(method)
    # No deserializer: the signature is checked over the bytes as they came.
    if method.kind is Kind.STREAM:
        return grpc.unary_stream_rpc_method_handler(pipeline.stream(method, handler))
    return grpc.unary_unary_rpc_method_handler(pipeline.unary(method, handler))


def _not_served(method: Method) -> Any:
    def refuse(request: object, call: Call, stream: StreamContext | None = None) -> NoReturn:
        raise NotImplementedYet(method.name)

    return refuse
