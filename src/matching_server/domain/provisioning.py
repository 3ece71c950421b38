"""Provisioning jobs: what a worker holds, how faults are told apart, and how long to wait between attempts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from matching_server.domain.model import ClosedReason, JobStatus

WELCOME_TEXT = "Advisor has joined the workspace and is ready to help!"
FAILURE = "workspace_provisioning_failure"
"""The type of the intervention and of the alert that a failure for good leaves."""


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
