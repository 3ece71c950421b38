"""The events of a project's log, and the opaque ids by which watchers name a place in it."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from matching_server.domain.errors import EventIdInvalid, EventIdUnknown
from matching_server.domain.model import ActorType, ChatMessageType, ChatMode, Match, MatchStatus


class EventType(StrEnum):
    """The names of the events, as watchers see and filter them."""

    MATCH_PENDING = "advisor.match_pending"
    MATCHED = "advisor.matched"
    CLIENT_APPROVED = "advisor.client_approved"
    ACCEPTED = "advisor.accepted"
    MATCH_DECLINED = "advisor.match_declined"
    MATCH_EXPIRED = "advisor.match_expired"
    FINALIZED = "advisor.finalized"
    WORKSPACE_READY = "advisor.workspace_ready"
    PROVISIONING_FAILED = "advisor.provisioning_failed"
    RELEASED = "advisor.released"
    MESSAGE_NEW = "message.new"
    HEARTBEAT = "heartbeat"


@dataclass(frozen=True, slots=True)
class MatchPayload:
    """A transition of a match."""

    match_id: UUID
    status: MatchStatus
    advisor_id: UUID | None = None
    advisor_name: str | None = None
    previous_status: MatchStatus | None = None
    reason: str | None = None
    score: float | None = None
    expires_at: datetime | None = None

    @classmethod
    def of(
        cls, match: Match, status: MatchStatus, previous: MatchStatus | None, reason: str | None = None
    ) -> MatchPayload:
        """The step of ``match`` from ``previous`` to ``status``."""
        advisor = match.matched_advisor
        return cls(
            match_id=match.id,
            status=status,
            advisor_id=match.matched_advisor_id,
            advisor_name=advisor.display_name if advisor else None,
            previous_status=previous,
            reason=reason,
            score=match.score,
            expires_at=match.expires_at,
        )


@dataclass(frozen=True, slots=True)
class WorkspaceReadyPayload:
    """The advisor has access, a chat session and a welcome message."""

    match_id: UUID
    advisor_id: UUID
    project_id: UUID
    timestamp: datetime


@dataclass(frozen=True, slots=True)
class ProvisioningFailedPayload:
    """The workspace could not be made; the match went back to ``reverted_to``."""

    match_id: UUID
    advisor_id: UUID | None
    reverted_to: MatchStatus
    reason: str
    attempts: int


@dataclass(frozen=True, slots=True)
class ReleasedPayload:
    """An admin took the advisor off the project."""

    match_id: UUID | None
    advisor_id: UUID
    reason: str | None


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """One message of a project's chat; ``seq`` is the number of its event. A notice has no user."""

    id: UUID
    project_id: UUID
    user_id: UUID | None
    actor_type: ActorType
    message_type: ChatMessageType
    mode: ChatMode
    text: str
    client_msg_id: str | None
    response_data: dict[str, str] | None
    seq: int
    created_at: datetime


EventPayload = (
    MatchPayload | WorkspaceReadyPayload | ProvisioningFailedPayload | ReleasedPayload | ChatMessage
)


@dataclass(frozen=True, slots=True)
class ProjectEvent:
    """One entry of a project's log.

    ``user_id`` is ``None`` where nobody acted (``system`` on the wire), ``traceparent`` where nothing is traced.
    """

    project_id: UUID
    seq: int
    type: EventType
    payload: EventPayload
    user_id: UUID | None
    correlation_id: str | None
    created_at: datetime
    traceparent: str | None = None

    @property
    def match_id(self) -> UUID | None:
        """The match that the event is about, where it is about one."""
        return getattr(self.payload, "match_id", None)


_ID_VERSION = 1
_ID_BYTES = 1 + 8 + 8 + 8


def encode_event_id(epoch: UUID, project_id: UUID, seq: int) -> str:
    """The id of entry ``seq`` in the log of ``project_id``: opaque, 34 characters, URL-safe.

    Its bytes are a version, the first eight of the log's epoch, the first eight of the project id and the
    number, so that an id of another database or of another project is told apart from one of this log.
    """
    raw = bytes([_ID_VERSION]) + epoch.bytes[:8] + project_id.bytes[:8] + seq.to_bytes(8, "big")
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def decode_event_id(event_id: str, epoch: UUID, project_id: UUID, field: str = "last_event_id") -> int:
    """The number that an id names in this log.

    Raises:
        EventIdInvalid: the text is no event id.
        EventIdUnknown: it is of another log or another project.
    """
    try:
        raw = base64.b64decode(event_id + "=" * (-len(event_id) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if len(raw) != _ID_BYTES or raw[0] != _ID_VERSION:
        raise EventIdInvalid.of(field, "is not an event id")
    if raw[1:9] != epoch.bytes[:8] or raw[9:17] != project_id.bytes[:8]:
        raise EventIdUnknown
    return int.from_bytes(raw[17:], "big")
