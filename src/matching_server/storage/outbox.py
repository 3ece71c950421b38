"""The notification outbox: written in the transaction that causes a notification, and what admins see of it.

``storage.deliveries`` is what the dispatcher does with it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import Connection, Row, any_, func, literal, select, text, tuple_, update

from matching_server.domain.notifications import (
    Notification,
    NotificationPriority,
    NotificationStatus,
    NotificationType,
)
from matching_server.domain.trace import TRACEPARENT
from matching_server.storage.database import Transaction
from matching_server.storage.tables import notification_outbox, users

# Not a row each, for the reason that the event log gives.
_ENQUEUE = text(
    """
    INSERT INTO notification_outbox (type, recipient_id, priority, payload, correlation_id, traceparent)
    SELECT :type, recipient, :priority, CAST(:payload AS jsonb), :correlation_id, CAST(:traceparent AS text)
    FROM unnest(CAST(:recipients AS uuid[])) AS recipient
    """
)

_outbox = notification_outbox.c


def enqueue(
    tx: Transaction,
    type_: NotificationType,
    recipients: Sequence[UUID],
    payload: dict[str, Any],
    *,
    high_priority: bool = False,
) -> None:
    """One notification for each recipient, due at once."""
    tx.conn.execute(
        _ENQUEUE,
        {
            "type": type_.value,
            "recipients": list(recipients),
            "priority": "high" if high_priority else "normal",
            "payload": orjson.dumps(payload).decode(),
            "correlation_id": tx.correlation_id,
            "traceparent": TRACEPARENT.get(),
        },
    )
    tx.effects.notification_queued |= bool(recipients)


def admins(tx: Transaction) -> list[UUID]:
    """Everybody whom an alert concerns."""
    return list(tx.conn.execute(select(users.c.id).where(literal("admin") == any_(users.c.roles))).scalars())


def list_page(
    conn: Connection,
    *,
    statuses: Collection[NotificationStatus],
    type_: str | None,
    recipient_id: UUID | None,
    before: tuple[datetime, UUID] | None,
    limit: int,
) -> list[Notification]:
    """A page of the notifications that meet every filter given, newest first, those after the ``before`` position."""
    query = select(notification_outbox)
    if statuses:
        query = query.where(_outbox.status.in_([status.value for status in statuses]))
    if type_ is not None:
        query = query.where(_outbox.type == type_)
    if recipient_id is not None:
        query = query.where(_outbox.recipient_id == recipient_id)
    if before is not None:
        query = query.where(tuple_(_outbox.created_at, _outbox.id) < tuple_(*before))
    query = query.order_by(_outbox.created_at.desc(), _outbox.id.desc()).limit(limit)
    return [_notification(row) for row in conn.execute(query)]


def revive(tx: Transaction, notification_id: UUID) -> Notification | None:
    """Makes a dead notification due, with a fresh counter; sinks that have taken it will not get it again.

    Returns it as it then is: unchanged where it is not dead. ``None``: there is none.
    """
    statement = (
        update(notification_outbox)
        .where(_outbox.id == notification_id, _outbox.status == NotificationStatus.DEAD.value)
        .values(
            status=NotificationStatus.PENDING.value,
            attempt_count=0,
            next_attempt_at=func.clock_timestamp(),
            updated_at=func.clock_timestamp(),
        )
        .returning(notification_outbox)
    )
    row = tx.conn.execute(statement).one_or_none()
    if row is not None:
        tx.effects.notification_queued = True
        return _notification(row)
    row = tx.conn.execute(select(notification_outbox).where(_outbox.id == notification_id)).one_or_none()
    return _notification(row) if row is not None else None


def _notification(row: Row[Any]) -> Notification:
    return Notification(
        id=row.id,
        type=row.type,
        recipient_id=row.recipient_id,
        priority=NotificationPriority(row.priority),
        payload=row.payload,
        status=NotificationStatus(row.status),
        attempt_count=row.attempt_count,
        next_attempt_at=row.next_attempt_at,
        last_error=row.last_error,
        created_at=row.created_at,
    )
