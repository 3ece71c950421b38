"""What the fake knows: people, projects, matches and their events, as messages of the contract."""

from __future__ import annotations

import base64
import binascii
import itertools
import threading
import uuid
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal, TypeVar

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from advisor_matching.v1.types_pb2 import (
    Advisor,
    AdvisorSummary,
    Availability,
    AvailabilityPreferences,
    AvailabilityStatus,
    ChatMessage,
    DecisionRecord,
    Intervention,
    Match,
    MatchStatus,
    Notification,
    NotificationPriority,
    NotificationStatus,
    PendingReason,
    PreferenceRule,
    Project,
    ProjectEvent,
    ProvisioningJob,
    WorkspaceProvisioning,
)
from matching_client.errors import MatchingError
from matching_client.testing.caller import Caller
from matching_client.testing.refusals import invalid, no_advisor, no_match, no_project

Provisioning = Literal["auto", "manual", "off"]
Side = Literal["client", "advisor"]

DEFAULT_SLOTS = 3
DEFAULT_PAGE = 50
OFFERED = frozenset(
    {
        MatchStatus.MATCH_STATUS_MATCHED,
        MatchStatus.MATCH_STATUS_CLIENT_APPROVED,
        MatchStatus.MATCH_STATUS_ADVISOR_ACCEPTED,
    }
)
OPEN = OFFERED | {MatchStatus.MATCH_STATUS_PENDING}

_T = TypeVar("_T")
_M = TypeVar("_M", bound=Message)


def now() -> Timestamp:
    """The time."""
    stamp = Timestamp()
    stamp.FromDatetime(datetime.now(UTC))
    return stamp


def new_id() -> str:
    """An id that nothing has yet."""
    return str(uuid.uuid4())


def word_of(value: int, enum: Any) -> str:
    """An enum's value as the service's lower-case word: MATCH_STATUS_CLIENT_APPROVED is "client_approved"."""
    return str(enum.Name(value)).removeprefix(_prefix(enum)).lower()


def name_of(word: int | str, enum: Any) -> str:
    """The name of an enum's value, which may be given as a number, a name or a word. ValueError."""
    if isinstance(word, int):
        return str(enum.Name(word))
    name = word if word.startswith(_prefix(enum)) else _prefix(enum) + word.upper()
    enum.Value(name)
    return name


def _prefix(enum: Any) -> str:
    return str(enum.Name(0)).removesuffix("UNSPECIFIED")


@dataclass
class AdvisorEntry:
    """An advisor, with what they say of themselves. `serial` rises with each entry that is made."""

    serial: int
    profile: Advisor
    status: AvailabilityStatus = AvailabilityStatus.AVAILABILITY_STATUS_AVAILABLE
    slots: int = DEFAULT_SLOTS
    preferences: AvailabilityPreferences = field(default_factory=AvailabilityPreferences)
    last_active: Timestamp | None = None
    updated_at: Timestamp = field(default_factory=now)

    @property
    def id(self) -> str:
        """The advisor's user id."""
        return self.profile.id

    @property
    def summary(self) -> AdvisorSummary:
        """The advisor as others see them."""
        shown = AdvisorSummary(
            id=self.profile.id,
            display_name=self.profile.display_name,
            skills=self.profile.skills,
            specialties=self.profile.specialties,
        )
        for name in ("rating", "avatar_url"):
            if self.profile.HasField(name):
                setattr(shown, name, getattr(self.profile, name))
        return shown


@dataclass
class MatchEntry:
    """A match as it is answered, and what belongs to it besides."""

    serial: int
    match: Match
    expires_in: Duration
    allow_previous: bool = False
    held: bool = False
    """A test wants it to wait."""
    claimed: bool = False
    was_pending: bool = False
    was_finalized: bool = False
    version: int = 1
    withdrawn: dict[Side, DecisionRecord] = field(default_factory=dict)

    @property
    def advisor_id(self) -> str:
        """Empty: there is none."""
        return self.match.matched_advisor.id

    @property
    def is_open(self) -> bool:
        """Still to be decided, served or expired."""
        return self.match.status in OPEN

    @property
    def is_unsettled(self) -> bool:
        """Open, or its workspace is being made."""
        return self.is_open or (
            self.match.status == MatchStatus.MATCH_STATUS_FINALIZED
            and self.match.workspace_provisioning == WorkspaceProvisioning.WORKSPACE_PROVISIONING_QUEUED
        )

    @property
    def holds_slot(self) -> bool:
        """Whether the match holds its advisor's slot; once the workspace is ready, that does."""
        return bool(self.advisor_id) and (
            self.is_open
            or (
                self.match.status == MatchStatus.MATCH_STATUS_FINALIZED
                and self.match.workspace_provisioning != WorkspaceProvisioning.WORKSPACE_PROVISIONING_READY
            )
        )

    def touch(self) -> None:
        """Something has changed."""
        self.version += 1
        self.match.etag = f"v{self.version}"
        self.match.updated_at.CopyFrom(now())


@dataclass
class JobEntry:
    """A provisioning job."""

    serial: int
    job: ProvisioningJob


@dataclass
class Log:
    """A project's events; the first `forgotten` of them are gone."""

    events: list[ProjectEvent] = field(default_factory=list)
    forgotten: int = 0


@dataclass(frozen=True)
class Scripted:
    """How the next match is to come out; without an advisor it waits."""

    advisor_id: str | None
    score: float | None = None
    reason: str = ""
    pending_reason: PendingReason = PendingReason.PENDING_REASON_UNSPECIFIED


@dataclass(eq=False)
class Stream:
    """An open watch. Once `ending` is set, it ends so."""

    user_id: str
    watch_id: str
    ending: MatchingError | None = None


@dataclass
class World:
    """Everything, under one lock. Whoever changes something holds `changed`, which wakes the watches."""

    provisioning: Provisioning
    heartbeat: float
    changed: threading.Condition = field(default_factory=threading.Condition)
    projects: dict[str, Project] = field(default_factory=dict)
    advisors: dict[str, AdvisorEntry] = field(default_factory=dict)
    matches: dict[str, MatchEntry] = field(default_factory=dict)
    workspaces: dict[tuple[str, str], str] = field(default_factory=dict)
    """Active advisors by (project, advisor); the match that brought them."""
    jobs: dict[str, JobEntry] = field(default_factory=dict)
    """The newest of each match."""
    logs: dict[str, Log] = field(default_factory=dict)
    messages: dict[str, list[ChatMessage]] = field(default_factory=dict)
    senders: dict[tuple[str, str, str], ChatMessage] = field(default_factory=dict)
    """Messages by (project, sender, client_msg_id)."""
    rules: dict[str, tuple[int, PreferenceRule | None]] = field(default_factory=dict)
    """None: deleted."""
    interventions: list[tuple[int, Intervention]] = field(default_factory=list)
    notifications: list[tuple[int, Notification]] = field(default_factory=list)
    answers: dict[tuple[str, str], tuple[str, bytes, bytes]] = field(default_factory=dict)
    """By (caller, request_id): method, request and answer."""
    scripts: deque[Scripted] = field(default_factory=deque)
    streams: list[Stream] = field(default_factory=list)
    epoch: str = field(default_factory=lambda: uuid.uuid4().hex)
    _serials: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def serial(self) -> int:
        """The next number: what is entered later has a higher one."""
        return next(self._serials)

    # --------------------------------------------------------------------------------------------- finding things

    def project(self, project_id: str) -> Project:
        """Raises ProjectNotFound."""
        if project_id not in self.projects:
            raise no_project(project_id)
        return self.projects[project_id]

    def advisor(self, advisor_id: str) -> AdvisorEntry:
        """Raises AdvisorNotFound."""
        if advisor_id not in self.advisors:
            raise no_advisor(advisor_id)
        return self.advisors[advisor_id]

    def match(self, match_id: str) -> MatchEntry:
        """Raises MatchNotFound."""
        if match_id not in self.matches:
            raise no_match(match_id)
        return self.matches[match_id]

    def matches_of(self, project_id: str) -> list[MatchEntry]:
        """A project's matches, oldest first."""
        return [entry for entry in self.matches.values() if entry.match.project_id == project_id]

    def unsettled(self, project_id: str) -> MatchEntry | None:
        """The project's match that is open or being provisioned."""
        return next((entry for entry in self.matches_of(project_id) if entry.is_unsettled), None)

    def load(self, advisor_id: str) -> int:
        """Slots taken: each project once."""
        held = {
            entry.match.project_id
            for entry in self.matches.values()
            if entry.holds_slot and entry.advisor_id == advisor_id
        }
        return len(held | {project for project, advisor in self.workspaces if advisor == advisor_id})

    def availability(self, entry: AdvisorEntry) -> Availability:
        """Whether an advisor can be offered a project, and why not."""
        load = self.load(entry.id)
        reason = ""
        if not entry.profile.active:
            reason = "inactive"
        elif entry.status != AvailabilityStatus.AVAILABILITY_STATUS_AVAILABLE:
            reason = word_of(entry.status, AvailabilityStatus)
        elif load >= entry.slots:
            reason = "at_capacity"
        return Availability(
            advisor_id=entry.id,
            is_available=not reason,
            status=entry.status,
            current_capacity=load,
            max_capacity=entry.slots,
            reason=reason,
            preferences=entry.preferences,
            last_active=entry.last_active,
            updated_at=entry.updated_at,
        )

    # ---------------------------------------------------------------------------------------------- who may see it

    def readable_match(self, caller: Caller, match_id: str) -> MatchEntry:
        """Raises MatchNotFound where there is none, or not for the caller."""
        entry = self.match(match_id)
        theirs = "advisor" in caller.roles and entry.advisor_id == caller.user_id
        if not theirs and not caller.may_act_for(self.project(entry.match.project_id).owner_id):
            raise no_match(match_id)
        return entry

    def own_project(self, caller: Caller, project_id: str) -> Project:
        """Raises ProjectNotFound unless the caller owns it or acts for the platform."""
        project = self.project(project_id)
        if not caller.may_act_for(project.owner_id):
            raise no_project(project_id)
        return project

    def offers_of(self, caller: Caller, project_id: str) -> set[str]:
        """The ids of the project's matches that the caller, as an advisor, is offered or about to work on."""
        if "advisor" not in caller.roles:
            return set()
        return {
            entry.match.id
            for entry in self.matches_of(project_id)
            if entry.holds_slot and entry.advisor_id == caller.user_id
        }

    def is_active(self, caller: Caller, project_id: str) -> bool:
        """Whether the caller, as an advisor, works on the project."""
        return "advisor" in caller.roles and (project_id, caller.user_id) in self.workspaces

    # ---------------------------------------------------------------------------------------------- what happened

    def append(self, project_id: str, type_: str, actor: str = "", **payload: Any) -> ProjectEvent:
        """Adds an event to the project's log. `actor` empty: nobody acted."""
        log = self.logs.setdefault(project_id, Log())
        seq = len(log.events) + 1
        event = ProjectEvent(
            id=self.event_id(project_id, seq),
            seq=seq,
            type=type_,
            project_id=project_id,
            timestamp=now(),
            user_id=actor or "system",
            **payload,
        )
        log.events.append(event)
        self.changed.notify_all()
        return event

    def event_id(self, project_id: str, seq: int) -> str:
        """The id of a place in a project's log."""
        return base64.urlsafe_b64encode(f"{self.epoch[:8]}.{project_id[:8]}.{seq}".encode()).decode()

    def position(self, project_id: str, event_id: str) -> int | None:
        """The number that an id names; None where it is of another log. ValueError where it is no id."""
        try:
            epoch, project, seq = (
                base64.b64decode(event_id, altchars=b"-_", validate=True).decode().split(".")
            )
            number = int(seq)
        except (binascii.Error, ValueError) as error:
            raise ValueError("is not an event id") from error
        return number if (epoch, project) == (self.epoch[:8], project_id[:8]) else None

    def notify(self, recipient_id: str, type_: str, entry: MatchEntry, reason: str = "") -> None:
        """Tells somebody of a match; the fake delivers at once."""
        match = entry.match
        told = {
            "matchId": match.id,
            "projectId": match.project_id,
            "status": word_of(match.status, MatchStatus),
            "advisorId": match.matched_advisor.id,
            "advisorName": match.matched_advisor.display_name,
            "expiresAt": match.expires_at.ToJsonString(),
            "reason": reason,
        }
        notification = Notification(
            id=new_id(),
            type=type_,
            recipient_id=recipient_id,
            priority=NotificationPriority.NOTIFICATION_PRIORITY_NORMAL,
            status=NotificationStatus.NOTIFICATION_STATUS_SENT,
            attempt_count=1,
            created_at=now(),
        )
        notification.payload.update({key: value for key, value in told.items() if value})
        self.notifications.append((self.serial(), notification))

    def intervene(self, type_: str, reason: str, admin: str = "", **more: Any) -> Intervention:
        """Notes what an admin did, or the service by itself. `match_id` and `project_id` are fields of it."""
        intervention = Intervention(
            id=new_id(),
            intervention_type=type_,
            reason=reason,
            created_by=admin or None,
            created_at=now(),
            match_id=more.pop("match_id", None),
            project_id=more.pop("project_id", None),
        )
        intervention.metadata.update(more)
        self.interventions.append((self.serial(), intervention))
        return intervention


def page(
    rows: Iterable[tuple[int, _T]], request: Any, *, oldest_first: bool = False, scope: str = ""
) -> tuple[list[_T], str]:
    """A page of rows with their serials, and the token of the next one. Raises InvalidArgument.

    A token is good for lists of the same `scope` alone.
    """
    after = _serial_of(request.page_token, scope) if request.page_token else None
    found = sorted(rows, key=lambda row: row[0], reverse=not oldest_first)
    if after is not None:
        found = [row for row in found if (row[0] > after if oldest_first else row[0] < after)]
    size = request.page_size or DEFAULT_PAGE
    token = ""
    if len(found) > size:
        token = base64.urlsafe_b64encode(f"{scope}:{found[size - 1][0]}".encode()).decode()
    return [row for _, row in found[:size]], token


def _serial_of(token: str, scope: str) -> int:
    try:
        made_for, _, serial = base64.b64decode(token, altchars=b"-_", validate=True).decode().rpartition(":")
        number = int(serial)
    except (binascii.Error, ValueError):
        raise invalid("page_token", "is not a page token") from None
    if made_for != scope:
        raise invalid("page_token", "is not a page token of this list")
    return number


def copy_of(message: _M) -> _M:
    """A copy, which later changes leave alone."""
    copy = type(message)()
    copy.CopyFrom(message)
    return copy
