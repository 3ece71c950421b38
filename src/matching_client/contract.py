"""The generated modules, each imported when something in it is first used.

A caller pays for the parts of the contract that are called, and `import matching_client` for none.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__all__ = [
    "admin",
    "admin_grpc",
    "availability",
    "availability_grpc",
    "chat",
    "chat_grpc",
    "decision",
    "decision_grpc",
    "directory",
    "directory_grpc",
    "event",
    "event_grpc",
    "match",
    "match_grpc",
    "system",
    "system_grpc",
    "types",
]


class _Unloaded:
    """Stands for a module until one of its names is asked for; what was asked for is kept."""

    def __init__(self, name: str) -> None:
        self._name = f"advisor_matching.v1.{name}"

    def __getattr__(self, name: str) -> Any:
        value = getattr(import_module(self._name), name)
        setattr(self, name, value)
        return value


if TYPE_CHECKING:
    from advisor_matching.v1 import admin_service_pb2 as admin
    from advisor_matching.v1 import admin_service_pb2_grpc as admin_grpc
    from advisor_matching.v1 import availability_service_pb2 as availability
    from advisor_matching.v1 import availability_service_pb2_grpc as availability_grpc
    from advisor_matching.v1 import chat_service_pb2 as chat
    from advisor_matching.v1 import chat_service_pb2_grpc as chat_grpc
    from advisor_matching.v1 import decision_service_pb2 as decision
    from advisor_matching.v1 import decision_service_pb2_grpc as decision_grpc
    from advisor_matching.v1 import directory_service_pb2 as directory
    from advisor_matching.v1 import directory_service_pb2_grpc as directory_grpc
    from advisor_matching.v1 import event_service_pb2 as event
    from advisor_matching.v1 import event_service_pb2_grpc as event_grpc
    from advisor_matching.v1 import match_service_pb2 as match
    from advisor_matching.v1 import match_service_pb2_grpc as match_grpc
    from advisor_matching.v1 import system_service_pb2 as system
    from advisor_matching.v1 import system_service_pb2_grpc as system_grpc
    from advisor_matching.v1 import types_pb2 as types
else:
    types = _Unloaded("types_pb2")
    admin, admin_grpc = _Unloaded("admin_service_pb2"), _Unloaded("admin_service_pb2_grpc")
    availability = _Unloaded("availability_service_pb2")
    availability_grpc = _Unloaded("availability_service_pb2_grpc")
    chat, chat_grpc = _Unloaded("chat_service_pb2"), _Unloaded("chat_service_pb2_grpc")
    decision, decision_grpc = _Unloaded("decision_service_pb2"), _Unloaded("decision_service_pb2_grpc")
    directory, directory_grpc = _Unloaded("directory_service_pb2"), _Unloaded("directory_service_pb2_grpc")
    event, event_grpc = _Unloaded("event_service_pb2"), _Unloaded("event_service_pb2_grpc")
    match, match_grpc = _Unloaded("match_service_pb2"), _Unloaded("match_service_pb2_grpc")
    system, system_grpc = _Unloaded("system_service_pb2"), _Unloaded("system_service_pb2_grpc")
