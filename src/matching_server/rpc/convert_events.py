"""Events of a project's log as messages of the contract."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from advisor_matching.v1 import event_service_pb2, types_pb2
from matching_server.domain import events
from matching_server.domain.events import EventType, ProjectEvent, encode_event_id
from matching_server.operations.watching import EventPage
from matching_server.rpc import enums
from matching_server.rpc.convert_chat import chat_message

SYSTEM_USER = "system"
"""``user_id`` of what nobody did."""


def event_message(event: ProjectEvent, epoch: UUID) -> types_pb2.ProjectEvent:
    """An event of the log of that epoch."""
    field, convert = _PAYLOADS[type(event.payload)]
    payload: dict[str, Any] = {field: convert(event.payload)}
    return types_pb2.ProjectEvent(
        id=encode_event_id(epoch, event.project_id, event.seq),
        seq=event.seq,
        type=event.type.value,
        project_id=str(event.project_id),
        timestamp=event.created_at,
        user_id=str(event.user_id) if event.user_id else SYSTEM_USER,
        traceparent=event.traceparent,
        **payload,
    )


def event_page_message(page: EventPage) -> event_service_pb2.ListProjectEventsResponse:
    """A part of a project's log."""
    return event_service_pb2.ListProjectEventsResponse(
        events=[event_message(event, page.epoch) for event in page.events], last_event_id=page.event_id
    )


def heartbeat_message(project_id: UUID, last_event_id: str, now: datetime) -> types_pb2.ProjectEvent:
    """A sign of life: no entry of the log, so it has neither id nor number."""
    return types_pb2.ProjectEvent(
        type=EventType.HEARTBEAT.value,
        project_id=str(project_id),
        timestamp=now,
        user_id=SYSTEM_USER,
        heartbeat=types_pb2.HeartbeatEvent(last_event_id=last_event_id),
    )


def _match_payload(payload: events.MatchPayload) -> types_pb2.MatchEvent:
    return types_pb2.MatchEvent(
        match_id=str(payload.match_id),
        advisor_id=_id(payload.advisor_id),
        advisor_name=payload.advisor_name,
        status=enums.MATCH_STATUS.to_wire(payload.status),
        previous_status=enums.MATCH_STATUS.to_wire(payload.previous_status),
        reason=payload.reason,
        score=payload.score,
        expires_at=payload.expires_at,
    )


def _workspace_ready(payload: events.WorkspaceReadyPayload) -> types_pb2.WorkspaceReadyEvent:
    return types_pb2.WorkspaceReadyEvent(
        match_id=str(payload.match_id),
        advisor_id=str(payload.advisor_id),
        project_id=str(payload.project_id),
        timestamp=payload.timestamp,
    )


def _provisioning_failed(payload: events.ProvisioningFailedPayload) -> types_pb2.ProvisioningFailedEvent:
    return types_pb2.ProvisioningFailedEvent(
        match_id=str(payload.match_id),
        reverted_to=enums.MATCH_STATUS.to_wire(payload.reverted_to),
        reason=payload.reason,
        attempts=payload.attempts,
    )


def _released(payload: events.ReleasedPayload) -> types_pb2.AdvisorReleasedEvent:
    return types_pb2.AdvisorReleasedEvent(
        advisor_id=str(payload.advisor_id), match_id=_id(payload.match_id), reason=payload.reason
    )


def _id(value: UUID | None) -> str | None:
    return str(value) if value else None


_PAYLOADS: Mapping[type, tuple[str, Callable[[Any], Any]]] = {
    events.MatchPayload: ("match", _match_payload),
    events.WorkspaceReadyPayload: ("workspace_ready", _workspace_ready),
    events.ProvisioningFailedPayload: ("provisioning_failed", _provisioning_failed),
    events.ReleasedPayload: ("released", _released),
    events.ChatMessage: ("message", chat_message),
}
"""The field of the oneof, and the conversion, of each kind of payload."""
