"""Delivering notifications, and what admins can do about those that could not be."""

from __future__ import annotations

import random
from collections.abc import Sequence
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
from matching_server.storage.deliveries import NOBODY, Ended, Taken


def hand_in(runner: Runner, attempts: Sequence[DeliveryAttempt]) -> tuple[LeasedNotification, ...]:
    """Writes down what became of attempts.

    Returns those of which nothing was written: their leases had run out.
    """
    ended = [
        Ended(attempt, backoff(attempt.notification.attempt, runner.policy.notify_backoff, random.random()))
        for attempt in attempts
    ]
    written = runner.system(lambda tx: deliveries.end(tx, ended))
    return tuple(attempt.notification for attempt in attempts if attempt.notification.id not in written)


def take(runner: Runner, count: int, start: UUID = NOBODY) -> Taken:
    """Leases up to ``count`` notifications that are due; ``start`` is where the last look ended."""
    return runner.system(lambda tx: deliveries.take(tx, count, runner.policy.notify_lease, start))


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
