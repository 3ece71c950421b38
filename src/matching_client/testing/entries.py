"""What is kept of an advisor, a match, a job, a project's events, a script and a stream."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from advisor_matching.v1.types_pb2 import (
    Advisor,
    AdvisorSummary,
    AvailabilityPreferences,
    AvailabilityStatus,
    DecisionRecord,
    Match,
    MatchStatus,
    PendingReason,
    ProjectEvent,
    ProvisioningJob,
    WorkspaceProvisioning,
)
from matching_client.errors import MatchingError
from matching_client.testing.values import now

Side = Literal["client", "advisor"]

DEFAULT_SLOTS = 3
OFFERED = frozenset(
    {
        MatchStatus.MATCH_STATUS_MATCHED,
        MatchStatus.MATCH_STATUS_CLIENT_APPROVED,
        MatchStatus.MATCH_STATUS_ADVISOR_ACCEPTED,
    }
)
OPEN = OFFERED | {MatchStatus.MATCH_STATUS_PENDING}


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
