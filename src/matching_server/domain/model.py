"""Values and states of the business, in the words of the database and of the contract.

Every value is frozen, every state is an enum whose value is the word that the database stores. Ids are
``uuid.UUID``, times are aware ``datetime`` in UTC, spans are ``timedelta``.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID


class Role(StrEnum):
    """What a caller's claims say they are. One caller may have several."""

    CLIENT = "client"
    ADVISOR = "advisor"
    SERVICE = "service"
    ADMIN = "admin"


class MatchStatus(StrEnum):
    """Where a match stands; the steps between them are in ``lifecycle``."""

    PENDING = "pending"
    MATCHED = "matched"
    CLIENT_APPROVED = "client_approved"
    ADVISOR_ACCEPTED = "advisor_accepted"
    FINALIZED = "finalized"
    CLIENT_DECLINED = "client_declined"
    ADVISOR_DECLINED = "advisor_declined"
    EXPIRED = "expired"


OPEN_STATUSES = frozenset(
    {MatchStatus.PENDING, MatchStatus.MATCHED, MatchStatus.CLIENT_APPROVED, MatchStatus.ADVISOR_ACCEPTED}
)
"""A match that still can be decided, served or expire."""


class Decision(StrEnum):
    """One side's answer to an offered match."""

    APPROVED = "approved"
    DECLINED = "declined"


class Side(StrEnum):
    """Who answers: the project's owner or the offered advisor."""

    CLIENT = "client"
    ADVISOR = "advisor"


class PendingReason(StrEnum):
    """Why nobody could be offered."""

    ALL_ADVISORS_BUSY = "all_advisors_busy"
    NO_ADVISORS_AVAILABLE = "no_advisors_available"


class ClosedReason(StrEnum):
    """Why a match ended as ``expired``."""

    EXPIRED = "expired"
    SUPERSEDED_BY_ADMIN = "superseded_by_admin"
    ADVISOR_DEACTIVATED = "advisor_deactivated"
    RELEASED = "released"
    ADVISOR_GONE = "advisor_gone"
    PROJECT_GONE = "project_gone"


class AvailabilityStatus(StrEnum):
    """What an advisor says of themselves."""

    AVAILABLE = "available"
    BUSY = "busy"
    OFFLINE = "offline"


class UnavailableReason(StrEnum):
    """Why an advisor takes no offer now."""

    INACTIVE = "inactive"
    OFFLINE = "offline"
    BUSY = "busy"
    AT_CAPACITY = "at_capacity"


class ProjectComplexity(StrEnum):
    """How demanding a project is; ``medium`` where the project row says nothing."""

    SIMPLE = "simple"
    MEDIUM = "medium"
    COMPLEX = "complex"


class AssignmentType(StrEnum):
    """How an admin put an advisor on a project; a ranked match has none."""

    MANUAL = "manual_assignment"
    EMERGENCY = "emergency_assignment"


class WorkspaceRole(StrEnum):
    """As what an advisor works on a project."""

    ADVISOR = "advisor"
    CONSULTANT = "consultant"


class ProvisioningState(StrEnum):
    """How far the workspace of a finalized match is."""

    QUEUED = "queued"
    READY = "ready"
    FAILED = "failed"


class JobStatus(StrEnum):
    """Where a provisioning job stands in its queue."""

    PENDING = "pending"
    PROCESSING = "processing"
    COMPLETED = "completed"
    ROLLBACK_NEEDED = "rollback_needed"
    FAILED = "failed"


class MatchingAlgorithm(StrEnum):
    """How candidates are put in order; the size of the pool decides which."""

    SIMPLE_AVAILABILITY = "simple_availability"
    COMPLEX_SCORING = "complex_scoring"


class ExclusionReason(StrEnum):
    """Why an advisor of the pool was no candidate."""

    OWNER = "owner"
    EXCLUDED_BY_CRITERIA = "excluded_by_criteria"
    EXCLUDED_BY_RULE = "excluded_by_rule"
    NOT_REQUIRED = "not_required"
    ALREADY_ACTIVE = "already_active"
    COOL_DOWN = "cool_down"
    BUSY = "busy"
    OFFLINE = "offline"
    AT_CAPACITY = "at_capacity"
    INACTIVE = "inactive"


class ActorType(StrEnum):
    """Who speaks in a project's chat."""

    CLIENT = "client"
    ADVISOR = "advisor"
    ASSISTANT = "assistant"
    SYSTEM = "system"


class ChatMode(StrEnum):
    """Which kind of work a chat message belongs to."""

    UNIFIED = "unified"
    PLAN = "plan"
    BUILD = "build"


class ChatMessageType(StrEnum):
    """Somebody's words, or a notice of the platform."""

    USER = "user"
    SYSTEM = "system"


class MessageOrder(StrEnum):
    """How a chat is listed."""

    NEWEST_FIRST = "newest_first"
    OLDEST_FIRST = "oldest_first"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who acts, from the verified claims and never from a field of the request."""

    user_id: UUID
    email: str
    roles: frozenset[Role]

    @property
    def acts_for_platform(self) -> bool:
        """Whether the caller may act on any project: services and admins."""
        return not self.roles.isdisjoint({Role.SERVICE, Role.ADMIN})


@dataclass(frozen=True, slots=True)
class TechStack:
    """What a project is built with; anything may be left unsaid."""

    framework: str | None = None
    languages: tuple[str, ...] = ()
    complexity_factors: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ScoringWeights:
    """How much each feature counts, as ratios: finite, not negative, not all zero."""

    availability: float
    skills: float
    timezone: float
    preference: float


@dataclass(frozen=True, slots=True)
class MatchCriteria:
    """What a request asks for; what is ``None`` comes from the project or from the settings."""

    tech_stack: TechStack | None = None
    scoring_weights: ScoringWeights | None = None
    project_complexity: ProjectComplexity | None = None
    exclude_advisor_ids: tuple[UUID, ...] = ()


@dataclass(frozen=True, slots=True)
class Project:
    """A team's project, with what the service needs of its owner.

    Written, a time zone or locale of ``None`` keeps what is stored; a complexity of ``None`` is stored as
    such and reads as medium.
    """

    id: UUID
    owner_id: UUID
    name: str
    tech_stack: TechStack = TechStack()
    project_complexity: ProjectComplexity | None = None
    owner_timezone: str | None = None
    owner_locale: str | None = None


@dataclass(frozen=True, slots=True)
class AdvisorSummary:
    """What is shown of an advisor beside a match."""

    id: UUID
    display_name: str
    skills: tuple[str, ...] = ()
    specialties: tuple[str, ...] = ()
    rating: float | None = None
    avatar_url: str | None = None


@dataclass(frozen=True, slots=True)
class Advisor(AdvisorSummary):
    """An advisor's whole profile.

    Read, ``email`` is ``None`` where the caller may not see it. Written, a ``None`` keeps what is stored.
    """

    email: str | None = None
    languages: tuple[str, ...] = ()
    frameworks: tuple[str, ...] = ()
    timezone: str | None = None
    active: bool | None = None


@dataclass(frozen=True, slots=True)
class AvailabilityPreferences:
    """What an advisor likes to be offered, and whether they accept by themselves."""

    auto_accept: bool = False
    preferred_complexity: tuple[ProjectComplexity, ...] = ()
    preferred_frameworks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Availability:
    """How much work an advisor takes and has. ``current_projects`` counts offers held and active projects."""

    advisor_id: UUID
    advisor_active: bool
    status: AvailabilityStatus
    current_projects: int
    max_concurrent_projects: int
    preferences: AvailabilityPreferences
    last_active: datetime | None
    updated_at: datetime

    @property
    def reason(self) -> UnavailableReason | None:
        """Why no offer can be made to them now, ``None`` where one can."""
        if not self.advisor_active:
            return UnavailableReason.INACTIVE
        if self.status is not AvailabilityStatus.AVAILABLE:
            return UnavailableReason(self.status.value)
        if self.current_projects >= self.max_concurrent_projects:
            return UnavailableReason.AT_CAPACITY
        return None

    @property
    def is_available(self) -> bool:
        """Active, available, and with a free slot."""
        return self.reason is None


@dataclass(frozen=True, slots=True)
class PoolStatus:
    """The active advisors, counted by status and, those who are available, by load."""

    total: int
    available: int
    busy: int
    offline: int
    idle: int
    """Available and without a project."""
    with_slot: int
    """Available, with projects and a free slot."""
    at_capacity: int
    """Available, without a free slot."""


@dataclass(frozen=True, slots=True)
class RecordedDecision:
    """What one side answered, and when."""

    decision: Decision
    reason: str | None
    decided_at: datetime


@dataclass(frozen=True, slots=True)
class Match:
    """One request of a project for an advisor, through its whole life."""

    id: UUID
    project_id: UUID
    requested_by: UUID
    status: MatchStatus
    expires_at: datetime
    expires_in: timedelta
    created_at: datetime
    updated_at: datetime
    version: int
    previous_status: MatchStatus | None = None
    matched_advisor_id: UUID | None = None
    matched_advisor: AdvisorSummary | None = None
    score: float | None = None
    match_reason: str | None = None
    pending_reason: PendingReason | None = None
    closed_reason: ClosedReason | None = None
    client_decision: RecordedDecision | None = None
    advisor_decision: RecordedDecision | None = None
    provisioning_state: ProvisioningState | None = None
    assignment_type: AssignmentType | None = None
    criteria: MatchCriteria = field(default_factory=MatchCriteria)
    allow_previous: bool = False
    overdue: bool = False
    """Open past ``expires_at`` by the database's clock when it was read: whoever meets it expires it first."""

    @property
    def is_open(self) -> bool:
        """Still to be decided, served or expired."""
        return self.status in OPEN_STATUSES

    @property
    def holds_slot(self) -> bool:
        """Whether the advisor's slot is held by this match (afterwards the access row holds it)."""
        if self.matched_advisor_id is None:
            return False
        return self.is_open or (
            self.status is MatchStatus.FINALIZED and self.provisioning_state is not ProvisioningState.READY
        )

    @property
    def etag(self) -> str:
        """Changes with every write of the match."""
        return f"v{self.version}"

    def waiting(self, why: PendingReason) -> Match:
        """The same match before anybody was found for it."""
        return replace(self, status=MatchStatus.PENDING, pending_reason=why)

    def decision_of(self, side: Side) -> RecordedDecision | None:
        """What that side has answered so far."""
        return self.client_decision if side is Side.CLIENT else self.advisor_decision

    def with_decision(self, side: Side, decision: RecordedDecision | None) -> Match:
        """The same match with that side's answer, or without one."""
        if side is Side.CLIENT:
            return replace(self, client_decision=decision)
        return replace(self, advisor_decision=decision)
