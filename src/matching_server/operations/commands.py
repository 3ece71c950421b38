"""What callers ask of the use cases, checked and in the domain's types."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Generic, TypeVar
from uuid import UUID

from matching_server.domain.events import ChatMessage, EventType
from matching_server.domain.model import (
    ActorType,
    AssignmentType,
    AvailabilityPreferences,
    AvailabilityStatus,
    ChatMode,
    Decision,
    JobStatus,
    Match,
    MatchCriteria,
    MatchStatus,
    MessageOrder,
    Side,
    WorkspaceRole,
)
from matching_server.domain.notifications import NotificationStatus
from matching_server.domain.provisioning import ProvisioningJob

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class CreateMatch:
    """An advisor is wanted for a project. ``expires_in`` of ``None`` is two hours."""

    project_id: UUID
    criteria: MatchCriteria = MatchCriteria()
    expires_in: timedelta | None = None
    fail_if_open: bool = False
    require_immediate: bool = False
    allow_previous: bool = False


@dataclass(frozen=True, slots=True)
class CreatedMatch:
    """The match, and whether it was there before the request; its answer where that has been made already."""

    match: Match
    already_open: bool
    answer: bytes | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class SimulateMatch:
    """What asking for an advisor would come to: at most ``limit`` candidates, and as many excluded ones."""

    project_id: UUID
    criteria: MatchCriteria = MatchCriteria()
    limit: int = 50


@dataclass(frozen=True, slots=True)
class SubmitDecision:
    """One side's answer. An ``etag`` binds it to the match as it was read."""

    match_id: UUID
    side: Side
    decision: Decision
    reason: str | None = None
    etag: str | None = None


@dataclass(frozen=True, slots=True)
class UpdateAvailability:
    """What is ``None`` stays as it is; given preferences replace the old ones whole."""

    advisor_id: UUID
    status: AvailabilityStatus | None = None
    max_concurrent_projects: int | None = None
    preferences: AvailabilityPreferences | None = None
    decline_open_offers: bool = False


@dataclass(frozen=True, slots=True)
class AssignAdvisor:
    """An admin puts an advisor on a project."""

    project_id: UUID
    advisor_id: UUID
    reason: str | None = None
    assignment_type: AssignmentType = AssignmentType.MANUAL
    role: WorkspaceRole = WorkspaceRole.ADVISOR


@dataclass(frozen=True, slots=True)
class AssignedAdvisor:
    """The assignment, and the match that was made for it."""

    assignment_id: UUID
    match: Match


@dataclass(frozen=True, slots=True)
class ReleaseAdvisor:
    """An admin takes an advisor off a project."""

    project_id: UUID
    advisor_id: UUID
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """A page of a list: at most ``size`` rows (1..200) beyond the ``before`` position.

    Beyond is before in time, and after in a list that is oldest first.
    """

    size: int = 50
    before: tuple[datetime, UUID] | None = None


@dataclass(frozen=True, slots=True)
class PageOf(Generic[T]):
    """The rows of a page, and where the next one starts (``None``: there is none)."""

    items: tuple[T, ...]
    next: tuple[datetime, UUID] | None

    @classmethod
    def cut(cls, rows: Sequence[T], size: int, position: Callable[[T], tuple[datetime, UUID]]) -> PageOf[T]:
        """The page out of ``rows``, of which one more than ``size`` was asked for."""
        items = tuple(rows[:size])
        return cls(items, position(items[-1]) if len(rows) > size else None)


@dataclass(frozen=True, slots=True)
class ListProjectMatches:
    """A project's matches in any of the statuses; none given means all."""

    project_id: UUID
    statuses: tuple[MatchStatus, ...] = ()
    page: Page = Page()


@dataclass(frozen=True, slots=True)
class ListAdvisors:
    """The directory's active advisors that meet every filter given, compared without regard to case."""

    skill: str | None = None
    framework: str | None = None
    available: bool | None = None
    page: Page = Page()


@dataclass(frozen=True, slots=True)
class RetriedProvisioning:
    """The match, finalized, and the job that was queued for it."""

    match: Match
    job: ProvisioningJob


@dataclass(frozen=True, slots=True)
class ListProvisioningJobs:
    """Provisioning jobs in any of the statuses; none given means all."""

    statuses: tuple[JobStatus, ...] = ()
    page: Page = Page()


@dataclass(frozen=True, slots=True)
class ListInterventions:
    """The interventions that meet every filter given."""

    project_id: UUID | None = None
    match_id: UUID | None = None
    intervention_type: str | None = None
    page: Page = Page()


@dataclass(frozen=True, slots=True)
class ListNotifications:
    """The notifications that meet every filter given; no status given means all."""

    statuses: tuple[NotificationStatus, ...] = ()
    type: str | None = None
    recipient_id: UUID | None = None
    page: Page = Page()


@dataclass(frozen=True, slots=True)
class WatchProject:
    """Where a watcher wants to start, and which events they want (none given: all)."""

    project_id: UUID
    last_event_id: str | None = None
    from_start: bool = False
    types: frozenset[EventType] = frozenset()
    watch_id: str | None = None


@dataclass(frozen=True, slots=True)
class ListEvents:
    """A project's events after an id (``None``: from the oldest that is kept), at most ``size`` (1..200)."""

    project_id: UUID
    after_event_id: str | None = None
    size: int = 50


@dataclass(frozen=True, slots=True)
class SendMessage:
    """Words for a project's chat. ``actor_type`` of ``None`` is by the caller's place in the project."""

    project_id: UUID
    text: str
    client_msg_id: UUID
    mode: ChatMode = ChatMode.UNIFIED
    actor_type: ActorType | None = None


@dataclass(frozen=True, slots=True)
class SentMessage:
    """The message, and whether it was there before the call."""

    message: ChatMessage
    already_sent: bool


@dataclass(frozen=True, slots=True)
class ListMessages:
    """A project's messages, at most ``size`` (1..200), beyond number ``beyond`` in the order asked for."""

    project_id: UUID
    order: MessageOrder = MessageOrder.NEWEST_FIRST
    size: int = 50
    beyond: int | None = None


@dataclass(frozen=True, slots=True)
class MessagePage:
    """Messages in the order asked for, and beyond which number the next page begins (``None``: there is none)."""

    messages: tuple[ChatMessage, ...]
    next: int | None
