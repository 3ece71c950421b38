"""Provisioning jobs as operators see them. What workers do with them is ``storage.provisioning``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, Select, select, text, tuple_

from matching_server.domain.model import JobStatus
from matching_server.domain.provisioning import ProvisioningAttempt, ProvisioningJob, ProvisioningStats
from matching_server.storage.tables import workspace_provisioning_attempts, workspace_provisioning_queue

_jobs = workspace_provisioning_queue.c
_attempts = workspace_provisioning_attempts.c
_ENDED = (JobStatus.COMPLETED, JobStatus.FAILED)
MAX_REASONS = 20

_COUNTS = text(
    """
    SELECT status, count(*) AS jobs, sum(attempt_count)::bigint AS attempts
    FROM workspace_provisioning_queue
    WHERE created_at >= transaction_timestamp() - :window
    GROUP BY status
    """
)
# Two looks, each of which a partial index answers: all jobs that have ended stay in the table.
_OLDEST = text(
    """
    SELECT transaction_timestamp() - min(created_at) FROM (
        SELECT created_at FROM workspace_provisioning_queue WHERE status IN ('pending', 'rollback_needed')
        UNION ALL
        SELECT created_at FROM workspace_provisioning_queue WHERE status = 'processing'
    ) live
    """
)
_REASONS = text(
    f"""
    SELECT coalesce(last_error, 'unknown') AS reason, count(*) AS jobs
    FROM workspace_provisioning_queue
    WHERE status = 'failed' AND created_at >= transaction_timestamp() - :window
    GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT {MAX_REASONS}
    """
)


def stats(conn: Connection, window: timedelta) -> ProvisioningStats:
    """Sums up the jobs that were queued within the window before now."""
    rows = {JobStatus(row.status): row for row in conn.execute(_COUNTS, {"window": window})}
    ended = [rows[status] for status in _ENDED if status in rows]
    jobs = sum(row.jobs for row in ended)
    return ProvisioningStats(
        counts={status: rows[status].jobs if status in rows else 0 for status in JobStatus},
        average_attempts=sum(row.attempts for row in ended) / jobs if jobs else None,
        oldest_pending_age=conn.execute(_OLDEST).scalar_one(),
        failure_reasons=tuple((row.reason, row.jobs) for row in conn.execute(_REASONS, {"window": window})),
    )


def list_page(
    conn: Connection,
    *,
    statuses: Sequence[JobStatus],
    before: tuple[datetime, UUID] | None,
    limit: int,
) -> list[ProvisioningJob]:
    """A page of the jobs in any of the statuses (none given: all), newest first, after the ``before`` position."""
    query = select(workspace_provisioning_queue)
    if statuses:
        query = query.where(_jobs.status.in_([status.value for status in statuses]))
    if before is not None:
        query = query.where(tuple_(_jobs.created_at, _jobs.id) < tuple_(*before))
    return _read(conn, query.order_by(_jobs.created_at.desc(), _jobs.id.desc()).limit(limit))


def newest_of(conn: Connection, match_id: UUID) -> ProvisioningJob | None:
    """The job of a match that was queued last."""
    query = select(workspace_provisioning_queue).where(_jobs.match_id == match_id)
    found = _read(conn, query.order_by(_jobs.created_at.desc(), _jobs.id.desc()).limit(1))
    return found[0] if found else None


def get(conn: Connection, job_id: UUID) -> ProvisioningJob:
    """A job that is there."""
    [job] = _read(conn, select(workspace_provisioning_queue).where(_jobs.id == job_id))
    return job


def _read(conn: Connection, query: Select[Any]) -> list[ProvisioningJob]:
    """The jobs, newest first, with their attempts: one statement, and so one moment."""
    page = query.cte("page")
    rows = conn.execute(
        select(
            page,
            _attempts.number,
            _attempts.started_at,
            _attempts.ended_at,
            _attempts.error,
            _attempts.permanent,
        )
        .select_from(page.outerjoin(workspace_provisioning_attempts, _attempts.job_id == page.c.id))
        .order_by(page.c.created_at.desc(), page.c.id.desc(), _attempts.number)
    )
    return [_job(list(group)) for _, group in groupby(rows, key=lambda row: row.id)]


def _job(rows: Sequence[Row[Any]]) -> ProvisioningJob:
    first = rows[0]
    status = JobStatus(first.status)
    return ProvisioningJob(
        id=first.id,
        match_id=first.match_id,
        status=status,
        attempt_count=first.attempt_count,
        next_retry_at=None if status in _ENDED else first.next_retry_at,
        last_error=first.last_error,
        created_at=first.created_at,
        updated_at=first.updated_at,
        attempts=tuple(_attempts_of(rows)),
    )


def _attempts_of(rows: Iterable[Row[Any]]) -> Iterable[ProvisioningAttempt]:
    for row in rows:
        if row.number is not None:
            yield ProvisioningAttempt(row.number, row.started_at, row.ended_at, row.error, row.permanent)
