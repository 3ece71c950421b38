"""The methods of the contract, found in the generated code itself: one that is new cannot be forgotten."""

from __future__ import annotations

import pkgutil
from importlib import import_module

from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.descriptor_pb2 import MethodOptions

import advisor_matching.v1 as contract


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
