"""Events as JSON objects: how the log stores them and how servers tell each other of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import is_dataclass
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
    return {
        name: plain(value)
        for name, plain in _WRITERS[type(payload)]
        if (value := getattr(payload, name)) is not None
    }


def payload_from_json(type_: EventType, values: Mapping[str, Any]) -> EventPayload:
    """The payload that ``payload_to_json`` wrote. Unknown keys, of a later release, are passed over."""
    payload_type = _PAYLOADS.get(type_, MatchPayload)
    fields: list[Any] = [
        value if (value := values.get(name)) is None or read is None else read(value)
        for name, read in _READERS[payload_type]
    ]
    return payload_type(*fields)


def event_to_json(event: ProjectEvent) -> dict[str, Any]:
    """The whole event, for the channel between servers."""
    return {
        "project_id": str(event.project_id),
        "seq": event.seq,
        "type": event.type.value,
        "payload": payload_to_json(event.payload),
        "user_id": str(event.user_id) if event.user_id else None,
        "correlation_id": event.correlation_id,
        "created_at": event.created_at.isoformat(),
        "traceparent": event.traceparent,
    }


def event_from_json(values: Any) -> ProjectEvent:
    """The event that ``event_to_json`` wrote.

    Raises:
        ValueError: the values are something else.
    """
    try:
        type_ = EventType(values["type"])
        return ProjectEvent(
            project_id=UUID(values["project_id"]),
            seq=int(values["seq"]),
            type=type_,
            payload=payload_from_json(type_, values["payload"]),
            user_id=UUID(values["user_id"]) if values["user_id"] else None,
            correlation_id=values["correlation_id"],
            created_at=datetime.fromisoformat(values["created_at"]),
            # A server of the release before tells of none.
            traceparent=values.get("traceparent"),
        )
    except (KeyError, TypeError, AttributeError, OverflowError) as error:
        raise ValueError(f"not an event: {error!r}") from error


def _writer(hint: type) -> Callable[[Any], object]:
    """How a field of this type is written."""
    if issubclass(hint, UUID):
        return str
    if issubclass(hint, datetime):
        return datetime.isoformat
    if issubclass(hint, StrEnum):
        return _value
    return _itself


def _value(member: StrEnum) -> str:
    return member.value


def _itself(value: object) -> object:
    return value


def _reader(hint: type) -> Callable[[Any], object] | None:
    """How a field of this type is read, ``None`` where JSON has it as it is."""
    if issubclass(hint, datetime):
        return datetime.fromisoformat
    return hint if issubclass(hint, (UUID, StrEnum)) else None


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
_WRITERS = {
    payload_type: tuple((name, _writer(hint)) for name, hint in hints.items())
    for payload_type, hints in _HINTS.items()
}
_READERS = {
    payload_type: tuple((name, _reader(hint)) for name, hint in hints.items())
    for payload_type, hints in _HINTS.items()
}
"""In the order of the payload's fields."""
