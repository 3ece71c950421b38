"""Events as JSON objects: how the log stores them and how servers tell each other of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime
from enum import StrEnum
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints
from uuid import UUID

from matching_server.domain.events import (
    ChatMessage,
    EventPayload,
    EventType,
    MatchPayload,
    ProjectEvent,
    ProvisioningFailedPayload,
    ReleasedPayload,
    WorkspaceReadyPayload,
)

_PAYLOADS: dict[EventType, type[EventPayload]] = {
    EventType.WORKSPACE_READY: WorkspaceReadyPayload,
    EventType.PROVISIONING_FAILED: ProvisioningFailedPayload,
    EventType.RELEASED: ReleasedPayload,
    EventType.MESSAGE_NEW: ChatMessage,
}
"""Every other type tells of a match."""


def payload_to_json(payload: EventPayload) -> dict[str, Any]:
    """The payload's fields by name; what is ``None`` is left out."""
    values = ((f.name, getattr(payload, f.name)) for f in fields(payload))
    return {name: _plain(value) for name, value in values if value is not None}


def payload_from_json(type_: EventType, values: Mapping[str, Any]) -> EventPayload:
    """The payload that ``payload_to_json`` wrote. Unknown keys, of a later release, are passed over."""
    payload_type = _PAYLOADS.get(type_, MatchPayload)
    hints = _HINTS[payload_type]
    read = {name: _typed(hint, values.get(name)) for name, hint in hints.items()}
    return payload_type(**read)


def event_to_bytes(event: ProjectEvent) -> bytes:
    """The event as compact JSON, for the channel between servers."""
    return json.dumps(
        {
            "project_id": str(event.project_id),
            "seq": event.seq,
            "type": event.type.value,
            "payload": payload_to_json(event.payload),
            "user_id": str(event.user_id) if event.user_id else None,
            "correlation_id": event.correlation_id,
            "created_at": event.created_at.isoformat(),
        },
        separators=(",", ":"),
    ).encode()


def event_from_bytes(data: bytes) -> ProjectEvent:
    """The event that ``event_to_bytes`` wrote.

    Raises:
        ValueError: the bytes are something else.
    """
    try:
        values = json.loads(data)
        type_ = EventType(values["type"])
        return ProjectEvent(
            project_id=UUID(values["project_id"]),
            seq=int(values["seq"]),
            type=type_,
            payload=payload_from_json(type_, values["payload"]),
            user_id=UUID(values["user_id"]) if values["user_id"] else None,
            correlation_id=values["correlation_id"],
            created_at=datetime.fromisoformat(values["created_at"]),
        )
    except (KeyError, TypeError, AttributeError, OverflowError) as error:
        raise ValueError(f"not an event: {error!r}") from error


def _plain(value: object) -> object:
    match value:
        case UUID():
            return str(value)
        case datetime():
            return value.isoformat()
        case StrEnum():
            return value.value
        case _:
            return value


def _typed(hint: type, value: Any) -> Any:
    if value is None or not isinstance(value, str) or hint is str:
        return value
    if issubclass(hint, datetime):
        return datetime.fromisoformat(value)
    if issubclass(hint, (UUID, StrEnum)):
        return hint(value)
    return value


def _plain_hints(payload_type: type) -> dict[str, type]:
    """Each field's type without its ``| None`` and without what a container holds."""
    assert is_dataclass(payload_type)
    plain: dict[str, type] = {}
    for name, hint in get_type_hints(payload_type).items():
        optional = get_origin(hint) in (Union, UnionType)
        stated = next(arg for arg in get_args(hint) if arg is not type(None)) if optional else hint
        plain[name] = get_origin(stated) or stated
    return plain


_HINTS = {payload_type: _plain_hints(payload_type) for payload_type in (MatchPayload, *_PAYLOADS.values())}
