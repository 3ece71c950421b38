"""The provisioning queue. Jobs are leased; every write for a job names its lease, and must hit one row."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from uuid import UUID

from sqlalchemy import text

from matching_server.domain.model import JobStatus, Match
from matching_server.domain.provisioning import LeasedJob, LeaseLost
from matching_server.domain.trace import TRACEPARENT
from matching_server.storage.database import AskAll, Transaction

_ENQUEUE = text(
    """
    INSERT INTO workspace_provisioning_queue (match_id, project_id, correlation_id, traceparent)
    VALUES (:match_id, :project_id, :correlation_id, :traceparent)
    """
)
# Nobody waits until it is on disk that a job was taken: what is written for the job is there only behind it, and where
# a crash loses both, the job is due and its lease unknown.
_TAKE = """
    WITH due AS MATERIALIZED (
        SELECT id FROM workspace_provisioning_queue
        WHERE status IN ('pending', 'rollback_needed') AND next_retry_at <= statement_timestamp()
        ORDER BY next_retry_at LIMIT {count} FOR UPDATE SKIP LOCKED
    ), taken AS (
        UPDATE workspace_provisioning_queue q
        SET status = CASE q.status WHEN 'pending' THEN 'processing' ELSE q.status END,
            attempt_count = q.attempt_count + CASE q.status WHEN 'pending' THEN 1 ELSE 0 END,
            lease_token = gen_random_uuid(), lease_expires_at = clock_timestamp() + %(lease)s,
            next_retry_at = clock_timestamp() + %(lease)s, updated_at = clock_timestamp()
        FROM due WHERE q.id = due.id
        RETURNING q.id, q.match_id, q.project_id, q.status, q.attempt_count, q.lease_token, q.last_error,
                  q.correlation_id, q.traceparent
    ), begun AS (
        INSERT INTO workspace_provisioning_attempts (job_id, number)
        SELECT id, attempt_count FROM taken WHERE status = 'processing'
    )
    SELECT taken.*, set_config('synchronous_commit', 'off', true) FROM taken
"""
_HOLD = text(
    """
    SELECT 1 FROM workspace_provisioning_queue
    WHERE id = :id AND lease_token = :lease_token AND status IN ('processing', 'rollback_needed')
    FOR UPDATE
    """
)
_HOLD_WITH_PARTIES = text(
    """
    SELECT a.active AS advisor_active, p.owner_id, u.locale AS owner_locale
    FROM workspace_provisioning_queue q
    LEFT JOIN advisors a ON a.id = :advisor_id
    LEFT JOIN projects p ON p.id = q.project_id
    LEFT JOIN auth.users u ON u.id = p.owner_id
    WHERE q.id = :id AND q.lease_token = :lease_token AND q.status IN ('processing', 'rollback_needed')
    FOR UPDATE OF q
    """
)
_END = text(
    """
    WITH ended AS (
        UPDATE workspace_provisioning_queue
        SET status = :status, last_error = COALESCE(:error, last_error), lease_token = NULL,
            lease_expires_at = NULL, next_retry_at = clock_timestamp() + :delay,
            updated_at = clock_timestamp()
        WHERE id = :id AND lease_token = :lease_token
        RETURNING id, attempt_count
    ), attempt AS (
        UPDATE workspace_provisioning_attempts a
        SET ended_at = clock_timestamp(), error = :error, permanent = :permanent
        FROM ended WHERE a.job_id = ended.id AND a.number = ended.attempt_count AND a.ended_at IS NULL
    )
    SELECT count(*) FROM ended
    """
)
_CANCEL = text(
    """
    WITH cancelled AS (
        UPDATE workspace_provisioning_queue
        SET status = 'failed', last_error = :why, lease_token = NULL, lease_expires_at = NULL,
            updated_at = clock_timestamp()
        WHERE match_id = :match_id AND status IN ('pending', 'processing', 'rollback_needed')
        RETURNING id
    )
    UPDATE workspace_provisioning_attempts a
    SET ended_at = clock_timestamp(), error = :why
    FROM cancelled WHERE a.job_id = cancelled.id AND a.ended_at IS NULL
    """
)
_RETURN_EXPIRED = text(
    """
    WITH expired AS MATERIALIZED (
        SELECT id, attempt_count >= :max_attempts AS spent FROM workspace_provisioning_queue
        WHERE status = 'processing' AND lease_expires_at <= statement_timestamp()
        FOR UPDATE SKIP LOCKED
    ), returned AS (
        UPDATE workspace_provisioning_queue q
        SET status = CASE WHEN expired.spent THEN 'rollback_needed' ELSE 'pending' END,
            last_error = 'the lease ran out', lease_token = NULL, lease_expires_at = NULL,
            next_retry_at = clock_timestamp(), updated_at = clock_timestamp()
        FROM expired WHERE q.id = expired.id
        RETURNING q.id, q.attempt_count
    ), attempts AS (
        UPDATE workspace_provisioning_attempts a
        SET ended_at = clock_timestamp(), error = 'the lease ran out'
        FROM returned WHERE a.job_id = returned.id AND a.number = returned.attempt_count
    )
    SELECT count(*) FROM returned
    """
)


_MINE = """
    SELECT q.id, q.attempt_count FROM workspace_provisioning_queue q
    JOIN unnest(CAST(:ids AS uuid[]), CAST(:lease_tokens AS uuid[])) AS mine (id, lease_token)
        ON q.id = mine.id AND q.lease_token = mine.lease_token
    FOR UPDATE OF q SKIP LOCKED
"""
_EXTEND = text(
    f"""
    WITH mine AS MATERIALIZED ({_MINE})
    UPDATE workspace_provisioning_queue q
    SET lease_expires_at = clock_timestamp() + :lease,
        next_retry_at = CASE q.status WHEN 'rollback_needed' THEN clock_timestamp() + :lease ELSE q.next_retry_at END
    FROM mine WHERE q.id = mine.id
    """
)
_HAND_BACK = text(
    f"""
    WITH mine AS MATERIALIZED ({_MINE}), returned AS (
        UPDATE workspace_provisioning_queue q
        SET status = CASE q.status WHEN 'processing' THEN 'pending' ELSE q.status END,
            attempt_count = q.attempt_count - CASE q.status WHEN 'processing' THEN 1 ELSE 0 END,
            lease_token = NULL, lease_expires_at = NULL,
            next_retry_at = clock_timestamp(), updated_at = clock_timestamp()
        FROM mine WHERE q.id = mine.id
        RETURNING q.id
    ), attempt AS (
        DELETE FROM workspace_provisioning_attempts a USING mine
        WHERE a.job_id = mine.id AND a.number = mine.attempt_count AND a.ended_at IS NULL
    )
    SELECT count(*) FROM returned
    """
)


def enqueue(tx: Transaction, match: Match) -> None:
    """A new job for a finalized match, with a fresh counter, due at once."""
    tx.conn.execute(
        _ENQUEUE,
        {
            "match_id": match.id,
            "project_id": match.project_id,
            "correlation_id": tx.correlation_id,
            "traceparent": TRACEPARENT.get(),
        },
    )
    tx.effects.job_queued = True


def take(ask_all: AskAll, count: int, lease: timedelta) -> list[LeasedJob]:
    """Leases up to ``count`` due jobs: each is this worker's until the lease ends.

    ``ask_all`` is ``Database.ask_all``, or in a transaction ``asking_all`` its connection. Jobs whose answer was lost
    are nobody's until their leases end.
    """
    return [_job(*row) for row in ask_all(_take(count), {"lease": lease})]


@cache
def _take(count: int) -> str:
    """The number is part of the statement: a bound one is guessed to be a tenth of all that wait, and so, where many
    do, no plan is ever kept.
    """
    return _TAKE.format(count=count)


def hold(tx: Transaction, job: LeasedJob) -> None:
    """Locks the job's row for the rest of the transaction.

    Raises:
        LeaseLost: the job is no longer this worker's.
    """
    row = tx.conn.execute(_HOLD, {"id": job.id, "lease_token": job.lease_token}).one_or_none()
    if row is None:
        raise LeaseLost


@dataclass(frozen=True, slots=True)
class Parties:
    """Whom a workspace is for."""

    advisor_active: bool | None
    """Whether the advisor takes part in matching, ``None`` where they are gone."""
    owner_id: UUID | None
    """``None`` where the project is gone."""
    owner_locale: str | None


def hold_with_parties(tx: Transaction, job: LeasedJob, advisor_id: UUID) -> Parties:
    """As ``hold``, and tells for whom the workspace is, as of then."""
    known = {"id": job.id, "lease_token": job.lease_token, "advisor_id": advisor_id}
    row = tx.conn.execute(_HOLD_WITH_PARTIES, known).one_or_none()
    if row is None:
        raise LeaseLost
    return Parties(row.advisor_active, row.owner_id, row.owner_locale)


def complete(tx: Transaction, job: LeasedJob) -> None:
    """The workspace is ready. Raises LeaseLost as ``hold`` does, as do the two below."""
    _end(tx, job, JobStatus.COMPLETED)


def retry(tx: Transaction, job: LeasedJob, error: str, delay: timedelta) -> None:
    """The attempt failed, another one follows."""
    _end(tx, job, JobStatus.PENDING, error=error, delay=delay)


def fail(tx: Transaction, job: LeasedJob, error: str, *, permanent: bool) -> None:
    """Given up; belongs into the transaction that rolls the match back."""
    _end(tx, job, JobStatus.FAILED, error=error, permanent=permanent)


def cancel(tx: Transaction, match: Match, why: str) -> None:
    """Ends a match's live job without a failure; a worker that has it loses its lease."""
    tx.conn.execute(_CANCEL, {"match_id": match.id, "why": why})


def extend_leases(tx: Transaction, jobs: Collection[LeasedJob], lease: timedelta) -> None:
    """These jobs are their worker's for so long from now on; those that are not any more stay as they are.

    A job whose row is locked is just being written, by its own worker as a rule, and passed over.
    """
    tx.conn.execute(_EXTEND, _mine(jobs) | {"lease": lease})


def hand_back(tx: Transaction, jobs: Collection[LeasedJob]) -> int:
    """Gives up jobs that were begun, as if they had not been: due at once, the attempt not counted. Returns how many.

    A job whose row is locked is just being written, and passed over.
    """
    returned: int = tx.conn.execute(_HAND_BACK, _mine(jobs)).scalar_one()
    tx.effects.job_queued |= returned > 0
    return returned


def _mine(jobs: Collection[LeasedJob]) -> dict[str, list[UUID]]:
    return {"ids": [job.id for job in jobs], "lease_tokens": [job.lease_token for job in jobs]}


def _end(
    tx: Transaction,
    job: LeasedJob,
    status: JobStatus,
    *,
    error: str | None = None,
    permanent: bool = False,
    delay: timedelta = timedelta(0),
) -> None:
    hit = tx.conn.execute(
        _END,
        {
            "id": job.id,
            "lease_token": job.lease_token,
            "status": status.value,
            "error": error,
            "permanent": permanent,
            "delay": delay,
        },
    ).scalar_one()
    if hit != 1:
        raise LeaseLost


def return_expired(tx: Transaction, max_attempts: int) -> int:
    """Gives back the jobs of workers that died or froze; those out of attempts go on to be rolled back."""
    returned: int = tx.conn.execute(_RETURN_EXPIRED, {"max_attempts": max_attempts}).scalar_one()
    tx.effects.job_queued |= returned > 0
    return returned


def _job(
    id_: UUID,
    match_id: UUID,
    project_id: UUID,
    status: str,
    attempt_count: int,
    lease_token: UUID,
    last_error: str | None,
    correlation_id: str | None,
    traceparent: str | None,
    _: object,
) -> LeasedJob:
    return LeasedJob(
        id=id_,
        match_id=match_id,
        project_id=project_id,
        status=JobStatus(status),
        attempt=attempt_count,
        lease_token=lease_token,
        last_error=last_error,
        correlation_id=correlation_id,
        traceparent=traceparent,
    )
