"""Notifications: what people are told, and what becomes of each attempt to tell them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

MAX_ATTEMPTS = 3
"""How often a notification is tried before it is dead."""


class NotificationType(StrEnum):
    """What people are told."""

    MATCH_OFFERED = "match_offered"
    OFFER_ENDED = "offer_ended"
    ADVISOR_FOUND = "advisor_found"
    ADVISOR_ACCEPTED = "advisor_accepted"
    ADVISOR_DECLINED = "advisor_declined"
    MATCH_EXPIRED = "match_expired"
    WORKSPACE_READY = "workspace_ready"
    PROVISIONING_FAILURE = "workspace_provisioning_failure"


class NotificationStatus(StrEnum):
    """Where the delivery of a notification stands."""

    PENDING = "pending"
    SENT = "sent"
    DEAD = "dead"


class NotificationPriority(StrEnum):
    """How urgent a notification is."""

    NORMAL = "normal"
    HIGH = "high"


@dataclass(frozen=True, slots=True)
class Notification:
    """A message to a person. ``id`` is the same in every delivery."""

    id: UUID
    type: str
    recipient_id: UUID
    priority: NotificationPriority
    payload: dict[str, Any]
    status: NotificationStatus
    attempt_count: int
    """Deliveries begun since it was written or re-sent."""
    next_attempt_at: datetime | None
    last_error: str | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Recipient:
    """Whom a notification is for, as the directory knows them now."""

    exists: bool
    email: str | None


@dataclass(frozen=True, slots=True)
class LeasedNotification:
    """A notification taken for delivery. What becomes of it is written under its lease token or not at all."""

    id: UUID
    type: str
    recipient_id: UUID
    priority: NotificationPriority
    payload: dict[str, Any]
    attempt: int
    """1 for the first."""
    created_at: datetime
    taken_at: datetime
    lease_token: UUID
    taken_by: tuple[str, ...]
    """The sinks that have taken it in an earlier attempt."""
    recipient: Recipient
    correlation_id: str | None
    traceparent: str | None = None
    """Of the trace that it belongs to."""


class DeliveryFault(Exception):
    """A sink has not taken a notification. The text is for operators, and names neither people nor secrets."""

    def __init__(self, message: str, *, permanent: bool = False) -> None:
        super().__init__(message)
        self.permanent = permanent
        """Whether no further attempt can succeed."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """What one sink made of a notification; without a fault it has taken it."""

    sink: str
    fault: DeliveryFault | None = None


@dataclass(frozen=True, slots=True)
class DeliveryAttempt:
    """An attempt that has ended, at every sink that had not taken the notification before."""

    notification: LeasedNotification
    deliveries: tuple[Delivery, ...]

    @property
    def status(self) -> NotificationStatus:
        """Where it leads: dead once nothing that is left can succeed, or after the last attempt."""
        faults = [delivery.fault for delivery in self.deliveries if delivery.fault]
        if not faults:
            return NotificationStatus.SENT
        if self.notification.attempt >= MAX_ATTEMPTS or all(fault.permanent for fault in faults):
            return NotificationStatus.DEAD
        return NotificationStatus.PENDING

    @property
    def error(self) -> str | None:
        """Which sinks failed, and how; ``None`` where none did."""
        faults = [f"{delivery.sink}: {delivery.fault}" for delivery in self.deliveries if delivery.fault]
        return "; ".join(faults) or None

    @property
    def taken_by(self) -> tuple[str, ...]:
        """The sinks that have it now."""
        return self.notification.taken_by + tuple(
            delivery.sink for delivery in self.deliveries if not delivery.fault
        )
