"""Delivering notifications, and what admins can do about those that could not be."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Connection

from matching_server.domain.calls import Call
from matching_server.domain.errors import NotificationNotFound
from matching_server.domain.notifications import DeliveryAttempt, LeasedNotification, Notification
from matching_server.domain.provisioning import backoff
from matching_server.operations.commands import ListNotifications, PageOf
from matching_server.operations.runner import Runner
from matching_server.storage import deliveries, outbox
from matching_server.storage.database import Transaction
from matching_server.storage.deliveries import Ended


@dataclass(frozen=True, slots=True)
class Exchange:
    """What a dispatcher gets for the attempts that it hands in."""

    taken: tuple[LeasedNotification, ...]
    """Due now, and leased to it."""
    given_up: tuple[UUID, ...]
    """Dead: their last attempts never ended."""
    late: tuple[LeasedNotification, ...]
    """Of what was handed in: the lease had run out, so nothing was written."""


def exchange(runner: Runner, attempts: Sequence[DeliveryAttempt], count: int) -> Exchange:
    """Writes down what became of attempts, and leases up to ``count`` notifications that are due."""
    policy = runner.policy
    ended = [
        Ended(attempt, backoff(attempt.notification.attempt, policy.notify_backoff, random.random()))
        for attempt in attempts
    ]

    def hand_over(tx: Transaction) -> Exchange:
        written = deliveries.end(tx, ended)
        taken = deliveries.take(tx, count, policy.notify_lease)
        late = tuple(attempt.notification for attempt in attempts if attempt.notification.id not in written)
        return Exchange(taken.leased, taken.given_up, late)

    return runner.system(hand_over)


def list_notifications(runner: Runner, call: Call, command: ListNotifications) -> PageOf[Notification]:
    """A page of the notifications that meet every filter given, newest first."""

    def read(conn: Connection, call: Call) -> list[Notification]:
        return outbox.list_page(
            conn,
            statuses=command.statuses,
            type_=command.type,
            recipient_id=command.recipient_id,
            before=command.page.before,
            limit=command.page.size + 1,
        )

    return PageOf.cut(
        runner.read(read, call),
        command.page.size,
        lambda notification: (notification.created_at, notification.id),
    )


def resend_notification(runner: Runner, call: Call, notification_id: UUID) -> Notification:
    """Puts a dead notification back in the queue, with a fresh counter; one that is not dead stays as it is.

    Raises:
        NotificationNotFound: there is no such notification.
    """
    return runner.run(_resend, call, notification_id)


def _resend(tx: Transaction, call: Call, notification_id: UUID) -> Notification:
    notification = outbox.revive(tx, notification_id)
    if notification is None:
        raise NotificationNotFound(notification_id)
    return notification
