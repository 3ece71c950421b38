"""How much waits in the queues, counted so that what has ended costs nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, text


@dataclass(frozen=True, slots=True)
class Depths:
    """Counts by status, and the age of the oldest row that waits; 0 where none does."""

    jobs: Mapping[str, int]
    oldest_job_seconds: float
    notifications: Mapping[str, int]
    oldest_notification_seconds: float


# One status a part: each is answered by the partial index that holds it.
_JOBS = " UNION ALL ".join(
    f"""SELECT '{status}' AS status, count(*) AS waiting,
        coalesce(extract(epoch FROM clock_timestamp() - min(created_at)), 0) AS oldest
    FROM workspace_provisioning_queue WHERE status = '{status}'"""
    for status in ("pending", "processing", "rollback_needed")
)
_NOTIFICATIONS = " UNION ALL ".join(
    f"""SELECT '{status}' AS status, count(*) AS waiting,
        coalesce(extract(epoch FROM clock_timestamp() - min(created_at)), 0) AS oldest
    FROM notification_outbox WHERE status = '{status}'"""
    for status in ("pending", "dead")
)


def depths(conn: Connection) -> Depths:
    """What waits now."""
    jobs = conn.execute(text(_JOBS)).all()
    notifications = conn.execute(text(_NOTIFICATIONS)).all()
    return Depths(
        jobs={row.status: row.waiting for row in jobs},
        oldest_job_seconds=max(float(row.oldest) for row in jobs),
        notifications={row.status: row.waiting for row in notifications},
        oldest_notification_seconds=next(
            float(row.oldest) for row in notifications if row.status == "pending"
        ),
    )
