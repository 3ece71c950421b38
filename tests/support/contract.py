"""The methods of the contract, found in the generated code itself: one that is new cannot be forgotten."""

from __future__ import annotations

import pkgutil
import uuid
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from google.protobuf import message_factory
from google.protobuf.descriptor import FieldDescriptor, MethodDescriptor
from google.protobuf.descriptor_pb2 import MethodOptions
from google.protobuf.message import Message

import advisor_matching.v1 as contract
from advisor_matching.v1.types_pb2 import Advisor, PreferenceRule, Project


def _methods() -> list[MethodDescriptor]:
    modules = [module.name for module in pkgutil.iter_modules(contract.__path__)]
    files = [
        import_module(f"{contract.__name__}.{name}").DESCRIPTOR for name in modules if name.endswith("_pb2")
    ]
    return [
        method for file in files for service in file.services_by_name.values() for method in service.methods
    ]


SIGNED = [method for method in _methods() if method.containing_service.name != "SystemService"]
"""All that need a signature."""
ONCE = [
    method
    for method in SIGNED
    if method.server_streaming or method.GetOptions().idempotency_level != MethodOptions.NO_SIDE_EFFECTS
]
"""Mutations and streams, which a signature is good for once."""


def name_of(method: MethodDescriptor) -> str:
    """Such as "MatchService.GetMatch"."""
    return f"{method.containing_service.name}.{method.name}"


FIELDS: Mapping[str, Any] = {
    "decision": 1,
    "status": 1,
    "assignment_type": 1,
    "text": "hello",
    "project": Project(id=str(uuid.UUID(int=7)), owner_id=str(uuid.UUID(int=8)), name="seven"),
    "advisor": Advisor(id=str(uuid.UUID(int=9)), display_name="Nine", timezone="UTC"),
    "rule": PreferenceRule(advisor_id=str(uuid.UUID(int=9)), effect="RULE_EFFECT_BOOST", boost=1),
}
"""What requests need to be in order, besides ids."""


def in_order(method: MethodDescriptor) -> Message:
    """A request in which nothing is wrong but that it is about nobody."""
    request = message_factory.GetMessageClass(method.input_type)()
    for field in method.input_type.fields:
        if field.name in FIELDS:
            value = FIELDS[field.name]
            if field.type == FieldDescriptor.TYPE_MESSAGE:
                getattr(request, field.name).CopyFrom(value)
            else:
                setattr(request, field.name, value)
        elif field.name.endswith("_id") and field.name not in ("last_event_id", "after_event_id", "watch_id"):
            setattr(request, field.name, str(uuid.uuid4()))
    return request
