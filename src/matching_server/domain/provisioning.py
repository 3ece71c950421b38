"""Provisioning jobs: what a worker holds, how faults are told apart, and how long to wait between attempts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from matching_server.domain.model import ClosedReason, JobStatus

WELCOME_TEXT = "Advisor has joined the workspace and is ready to help!"


@dataclass(frozen=True, slots=True)
class JobStep:
    """One step of a job in its queue. ``source`` is ``None`` where the job does not exist yet."""

    source: JobStatus | None
    target: JobStatus
    why: str


_J = JobStatus
JOB_STEPS: tuple[JobStep, ...] = (
    JobStep(None, _J.PENDING, "queued"),
    JobStep(_J.PENDING, _J.PROCESSING, "a worker takes it"),
    JobStep(_J.PROCESSING, _J.COMPLETED, "the workspace is ready"),
    JobStep(_J.PROCESSING, _J.PENDING, "failed, handed back, or out of its lease: another attempt follows"),
    JobStep(_J.PROCESSING, _J.ROLLBACK_NEEDED, "the lease of the last attempt ran out"),
    JobStep(_J.PROCESSING, _J.FAILED, "failed for good and rolled back, or cancelled"),
    JobStep(_J.ROLLBACK_NEEDED, _J.FAILED, "rolled back, or cancelled"),
    JobStep(_J.PENDING, _J.FAILED, "cancelled"),
)
"""Every step that a job can make."""


@dataclass(frozen=True, slots=True)
class ProvisioningAttempt:
    """One attempt at a job. ``ended_at`` of ``None``: it still runs."""

    number: int
    started_at: datetime
    ended_at: datetime | None
    error: str | None
    permanent: bool


@dataclass(frozen=True, slots=True)
class ProvisioningJob:
    """A job as operators see it, with its attempts, first one first."""

    id: UUID
    match_id: UUID
    status: JobStatus
    attempt_count: int
    next_retry_at: datetime | None
    """``None`` where it has ended."""
    last_error: str | None
    created_at: datetime
    updated_at: datetime
    attempts: tuple[ProvisioningAttempt, ...] = ()


@dataclass(frozen=True, slots=True)
class ProvisioningStats:
    """What became of the jobs that were queued within a window."""

    counts: Mapping[JobStatus, int]
    """Every status is there."""
    average_attempts: float | None
    """Of the jobs that have ended; ``None``: none has."""
    oldest_pending_age: timedelta | None
    """Of the oldest job that has not ended, whenever it was queued."""
    failure_reasons: tuple[tuple[str, int], ...]
    """Why jobs failed and how many of them, most frequent first."""

    @property
    def success_rate(self) -> float | None:
        """Completed jobs among those that have ended, 0..1; ``None``: none has."""
        completed = self.counts[JobStatus.COMPLETED]
        ended = completed + self.counts[JobStatus.FAILED]
        return completed / ended if ended else None


@dataclass(frozen=True, slots=True)
class LeasedJob:
    """A job taken from the queue. Whatever is written for it is written under its lease token or not at all."""

    id: UUID
    match_id: UUID
    project_id: UUID
    status: JobStatus
    attempt: int
    """1 for the first."""
    lease_token: UUID
    last_error: str | None
    correlation_id: str | None
    traceparent: str | None = None
    """Of the trace that it belongs to."""


class LeaseLost(Exception):
    """The lease ran out, or the job was cancelled: another worker, or nobody, carries on."""


class PermanentFault(Exception):
    """No further attempt can succeed; ``closed_reason`` is why the match has to close."""

    def __init__(self, message: str, closed_reason: ClosedReason) -> None:
        super().__init__(message)
        self.closed_reason = closed_reason


def backoff(attempt: int, base: timedelta, random_fraction: float) -> timedelta:
    """How long to wait after failed attempt number ``attempt``: full jitter under a doubling bound.

    Args:
        attempt: 1 for the first.
        base: the bound after the first attempt.
        random_fraction: in 0..1, drawn by the caller.
    """
    bound: timedelta = base * 2 ** (attempt - 1)
    return bound * random_fraction
