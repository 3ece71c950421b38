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

NOBODY = UUID(int=0)
"""Before every recipient."""
_REACH = 250
"""So many rows of each priority, the oldest, and so many recipients are looked at at a time, however many wait."""
_SPARE = 4
"""So many times more than wanted are looked at, for those that another dispatcher is just taking."""
_SPENT = f"n.attempt_count >= {MAX_ATTEMPTS}"

# The oldest rows of a priority may all be held up by one recipient who has many, or whose pause is long; therefore
# recipients have their turns as well, each look going on where the last one ended. Row by row: whatever the planner
# believes of the table, one row is found by the index, and many at once may be found by sorting all.
_LOOK = text(
    f"""
    WITH RECURSIVE first AS (
        SELECT CAST(:nobody AS uuid) AS id, CAST(:nobody AS uuid) AS recipient_id, priority,
            CAST('-infinity' AS timestamptz) AS created_at, CAST(NULL AS timestamptz) AS next_attempt_at, 0 AS number
        FROM unnest(ARRAY['high', 'normal']) AS priority
        UNION ALL
        SELECT following.*, first.number + 1 FROM first, LATERAL (
            SELECT id, recipient_id, priority, created_at, next_attempt_at FROM notification_outbox
            WHERE status = 'pending' AND (priority, created_at, id) > (first.priority, first.created_at, first.id)
            ORDER BY priority, created_at, id LIMIT 1
        ) following WHERE first.number < {_REACH} AND following.priority = first.priority
    ), turn AS (
        (SELECT id, recipient_id, priority, created_at, next_attempt_at, 1 AS number FROM notification_outbox
        WHERE status = 'pending' AND recipient_id >= :start ORDER BY recipient_id, created_at, id LIMIT 1)
        UNION ALL
        SELECT following.*, turn.number + 1 FROM turn, LATERAL (
            SELECT id, recipient_id, priority, created_at, next_attempt_at FROM notification_outbox
            WHERE status = 'pending' AND recipient_id > turn.recipient_id
            ORDER BY recipient_id, created_at, id LIMIT 1
        ) following WHERE turn.number < {_REACH}
    ), due AS (
        SELECT id, priority, created_at FROM first
        WHERE next_attempt_at <= statement_timestamp() AND id = (
            SELECT o.id FROM notification_outbox o
            WHERE o.status = 'pending' AND o.recipient_id = first.recipient_id
            ORDER BY o.created_at, o.id LIMIT 1)
        UNION
        SELECT id, priority, created_at FROM turn WHERE next_attempt_at <= statement_timestamp()
    ), wanted AS (
        SELECT * FROM due ORDER BY priority = 'high' DESC, created_at, id
        LIMIT {_SPARE} * CAST(:count AS integer)
    )
    SELECT ARRAY(SELECT id FROM wanted) AS wanted,
        (SELECT recipient_id FROM turn WHERE number = {_REACH}) AS reached
    """
)
# Of two dispatchers that see the same oldest one, the second finds it locked, or no longer due in its newest version.
# One whose last attempt never ended is dead here: nobody knows whether it was delivered, and there is no fourth.
# That it is still pending is asked in words that fit no index but the key's. Columns by name: with all of them, one
# that a migration adds would change the answer of the prepared statement, which Postgres refuses.
_TAKE = text(
    f"""
    WITH due AS MATERIALIZED (
        SELECT n.id FROM notification_outbox n
        WHERE n.id = ANY (CAST(:wanted AS uuid[]))
            AND n.status NOT IN ('sent', 'dead') AND n.next_attempt_at <= statement_timestamp()
        ORDER BY n.priority = 'high' DESC, n.created_at, n.id
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
        RETURNING n.id, n.type, n.recipient_id, n.priority, n.payload, n.attempt_count, n.created_at, n.lease_token,
            n.taken_by, n.correlation_id, n.traceparent
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
    reached: UUID | None = None
    """The recipient with whom the next look goes on; ``None`` where everybody had a turn."""


def take(tx: Transaction, count: int, lease: timedelta, start: UUID = NOBODY) -> Taken:
    """Leases up to ``count`` due notifications, no two of one recipient: the high ones first, then by age.

    What it costs does not grow with what is pending: looked at are the oldest, and some recipients from ``start`` on.
    """
    looked = tx.conn.execute(_LOOK, {"count": count, "start": start, "nobody": NOBODY}).one()
    if not looked.wanted:
        return Taken((), (), looked.reached)
    rows = tx.conn.execute(_TAKE, {"wanted": looked.wanted, "count": count, "lease": lease}).all()
    leased = tuple(_leased(row) for row in rows if row.lease_token is not None)
    return Taken(leased, tuple(row.id for row in rows if row.lease_token is None), looked.reached)


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
        traceparent=row.traceparent,
    )
