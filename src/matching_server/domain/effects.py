"""What is left to do once a transaction has committed, as data: its caller publishes and wakes."""

from __future__ import annotations

from dataclasses import dataclass, field
from uuid import UUID

from matching_server.domain.events import ProjectEvent


@dataclass(slots=True)
class Effects:
    """Collected while a transaction runs; worth something only if it commits."""

    events: list[ProjectEvent] = field(default_factory=list)
    """Appended to the log, in order: to be shown to watchers."""
    availability_changed: set[UUID] = field(default_factory=set)
    """Advisors whose load, status or slots changed: what is cached of them is old. Nothing is cached yet."""
    capacity_freed: bool = False
    """A slot may have come free: the backlog is worth a look."""
    job_queued: bool = False
    """A provisioning job waits to be taken."""
