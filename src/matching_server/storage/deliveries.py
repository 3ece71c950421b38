"""Which notifications are delivered next, and what became of them.

A recipient's notifications are delivered in the order in which they were written: only the oldest one that is
pending can be taken. A taken one stays pending, due again when its lease ends, so whatever a dispatcher that died
held comes back by itself; what is written afterwards names the lease, and of a dispatcher that is late it hits no row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import Row, text

from matching_server.domain.notifications import (
    MAX_ATTEMPTS,
    DeliveryAttempt,
    LeasedNotification,
    NotificationPriority,
    NotificationStatus,
    Recipient,
)
from matching_server.storage.database import Transaction

_SPARE = 4
"""So many times more than wanted are looked at, for those that another dispatcher is just taking."""
_SPENT = f"n.attempt_count >= {MAX_ATTEMPTS}"

# Of two dispatchers that see the same oldest one, the second finds it locked, or no longer due in its newest version.
# One whose last attempt never ended is dead here: nobody knows whether it was delivered, and there is no fourth.
_TAKE = text(
    f"""
    WITH oldest AS MATERIALIZED (
        SELECT DISTINCT ON (recipient_id) id, priority, created_at, next_attempt_at
        FROM notification_outbox WHERE status = 'pending'
        ORDER BY recipient_id, created_at, id
    ), wanted AS MATERIALIZED (
        SELECT id, priority, created_at FROM oldest WHERE next_attempt_at <= statement_timestamp()
        ORDER BY priority = 'high' DESC, created_at, id LIMIT {_SPARE} * CAST(:count AS integer)
    ), due AS MATERIALIZED (
        SELECT n.id FROM wanted JOIN notification_outbox n ON n.id = wanted.id
        WHERE n.status = 'pending' AND n.next_attempt_at <= statement_timestamp()
        ORDER BY wanted.priority = 'high' DESC, wanted.created_at, n.id
        LIMIT CAST(:count AS integer) FOR UPDATE OF n SKIP LOCKED
    ), taken AS (
        UPDATE notification_outbox n
        SET status = CASE WHEN {_SPENT} THEN 'dead' ELSE 'pending' END,
            attempt_count = least(n.attempt_count + 1, {MAX_ATTEMPTS}),
            lease_token = CASE WHEN {_SPENT} THEN NULL ELSE gen_random_uuid() END,
            next_attempt_at = CASE WHEN {_SPENT} THEN NULL ELSE clock_timestamp() + :lease END,
            last_error = CASE WHEN n.lease_token IS NULL THEN n.last_error ELSE 'the lease ran out' END,
            updated_at = clock_timestamp()
        FROM due WHERE n.id = due.id
        RETURNING n.*
    )
    SELECT taken.*, clock_timestamp() AS taken_at, u.id IS NOT NULL AS recipient_exists, u.email
    FROM taken LEFT JOIN auth.users u ON u.id = taken.recipient_id
    ORDER BY taken.priority = 'high' DESC, taken.created_at, taken.id
    """
)
_END = text(
    """
    UPDATE notification_outbox n
    SET status = e.status, last_error = coalesce(e.error, n.last_error), lease_token = NULL,
        taken_by = e.taken_by, updated_at = clock_timestamp(),
        next_attempt_at = CASE WHEN e.status = 'pending'
            THEN clock_timestamp() + make_interval(secs => e.delay) END
    FROM jsonb_to_recordset(CAST(:ended AS jsonb))
        AS e (id uuid, lease_token uuid, status text, error text, delay double precision, taken_by text[])
    WHERE n.id = e.id AND n.lease_token = e.lease_token
    RETURNING n.id
    """
)


@dataclass(frozen=True, slots=True)
class Ended:
    """An attempt that has ended; one that is followed by another is due again after ``delay``."""

    attempt: DeliveryAttempt
    delay: timedelta


@dataclass(frozen=True, slots=True)
class Taken:
    """What is to be delivered now, and what was given up on since its last attempt never ended."""

    leased: tuple[LeasedNotification, ...]
    given_up: tuple[UUID, ...]


def take(tx: Transaction, count: int, lease: timedelta) -> Taken:
    """Leases up to ``count`` due notifications, no two of one recipient: the high ones first, then by age."""
    rows = tx.conn.execute(_TAKE, {"count": count, "lease": lease}).all()
    leased = tuple(_leased(row) for row in rows if row.lease_token is not None)
    return Taken(leased, tuple(row.id for row in rows if row.lease_token is None))


def end(tx: Transaction, ended: Sequence[Ended]) -> set[UUID]:
    """Writes down what became of attempts. Returns those that were written: the others' leases had run out."""
    if not ended:
        return set()
    written = set(
        tx.conn.execute(_END, {"ended": orjson.dumps([_row(one) for one in ended]).decode()}).scalars()
    )
    # The next one of the same recipient can be taken now.
    tx.effects.notification_queued |= any(
        one.attempt.notification.id in written and one.attempt.status is not NotificationStatus.PENDING
        for one in ended
    )
    return written


def _row(ended: Ended) -> dict[str, Any]:
    attempt = ended.attempt
    return {
        "id": attempt.notification.id,
        "lease_token": attempt.notification.lease_token,
        "status": attempt.status.value,
        "error": attempt.error,
        "delay": ended.delay.total_seconds(),
        "taken_by": attempt.taken_by,
    }


def _leased(row: Row[Any]) -> LeasedNotification:
    return LeasedNotification(
        id=row.id,
        type=row.type,
        recipient_id=row.recipient_id,
        priority=NotificationPriority(row.priority),
        payload=row.payload,
        attempt=row.attempt_count,
        created_at=row.created_at,
        taken_at=row.taken_at,
        lease_token=row.lease_token,
        taken_by=tuple(row.taken_by),
        recipient=Recipient(exists=row.recipient_exists, email=row.email),
        correlation_id=row.correlation_id,
    )
