"""The methods of the contract by name, from the generated descriptors."""

from __future__ import annotations

from collections.abc import Iterator

from google.protobuf import json_format, message_factory
from google.protobuf.descriptor import MethodDescriptor

from advisor_matching.v1 import (
    admin_service_pb2,
    availability_service_pb2,
    chat_service_pb2,
    decision_service_pb2,
    directory_service_pb2,
    event_service_pb2,
    match_service_pb2,
    system_service_pb2,
)
from matching_client.signing import PACKAGE

_FILES = (
    match_service_pb2,
    decision_service_pb2,
    availability_service_pb2,
    admin_service_pb2,
    event_service_pb2,
    chat_service_pb2,
    directory_service_pb2,
    system_service_pb2,
)


def methods() -> Iterator[MethodDescriptor]:
    """Every method of the contract."""
    for file in _FILES:
        for service in file.DESCRIPTOR.services_by_name.values():
            yield from service.methods


def path_of(method: MethodDescriptor) -> str:
    """The path that is called and signed: "/advisor_matching.v1.MatchService/GetMatch"."""
    return f"/{method.containing_service.full_name}/{method.name}"


def find_method(name: str) -> MethodDescriptor:
    """The method of a name such as "MatchService/GetMatch", with or without package, or with a dot.

    ValueError where there is none.
    """
    wanted = name.strip("/").replace("/", ".").removeprefix(f"{PACKAGE}.")
    for method in methods():
        if wanted == f"{method.containing_service.name}.{method.name}":
            return method
    raise ValueError(f"the contract has no method {name!r}; write it like MatchService/GetMatch")


def body_from_json(method: MethodDescriptor, text: str) -> bytes:
    """The bytes of a request that is written as JSON. ValueError where it is none of this method's."""
    message = message_factory.GetMessageClass(method.input_type)()
    try:
        json_format.Parse(text, message)
    except json_format.ParseError as error:
        raise ValueError(f"the body is no {method.input_type.name}: {error}") from None
    return message.SerializeToString()
