"""What is left to do once a transaction has committed, as data: its caller publishes and wakes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from matching_server.domain.events import ProjectEvent


@dataclass(frozen=True, slots=True)
class Load:
    """How much work an advisor has, as it was written; of two, the one with the higher version holds."""

    advisor_id: UUID
    current_projects: int
    last_assigned_at: datetime | None
    version: int
    profile_version: int


@dataclass(frozen=True, slots=True)
class Selection:
    """Who was chosen for a match, with the record of why that is stored with it."""

    project_id: UUID
    match_id: UUID
    record: Mapping[str, Any]


@dataclass(slots=True)
class Effects:
    """Collected while a transaction runs; worth something only if it commits."""

    events: list[ProjectEvent] = field(default_factory=list)
    """Appended to the log, in order: to be shown to watchers."""
    selections: list[Selection] = field(default_factory=list)
    """Advisors were chosen: who operates the service is told why."""
    availability_changed: set[UUID] = field(default_factory=set)
    """Advisors whose load, status or slots changed: what is cached of them is old."""
    loads: list[Load] = field(default_factory=list)
    """Loads that were written: to be taken over by the pictures of the pool."""
    profiles_changed: set[UUID] = field(default_factory=set)
    """Advisors of whom more than the load changed: they have to be read again."""
    capacity_freed: bool = False
    """A slot may have come free: the backlog is worth a look."""
    job_queued: bool = False
    """A provisioning job waits to be taken."""
    notification_queued: bool = False
    """Notifications wait to be delivered."""
    streams_contested: bool = False
    """Users have opened more streams than they may have: whoever holds the older ones has to look."""
