"""The writes that repair what an audit has found. Each judges the row anew, under its lock, before it writes.

``None`` is returned where nothing is wrong any more, or somebody else is at the row.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import RowMapping, TextClause, text

from matching_server.domain.event_json import payload_from_json
from matching_server.domain.events import ChatMessage, EventType
from matching_server.storage.availability import load_of
from matching_server.storage.database import Transaction
from matching_server.storage.tables import HELD

# Whatever changes what is counted here changes the availability row in the same transaction. So with that row
# locked, what has committed is in the row and is counted, and what has not will change the row that is left.
_LOCK_LOAD = text(
    "SELECT current_projects FROM advisor_availability WHERE advisor_id = :advisor_id FOR NO KEY UPDATE"
)
_COUNT = text(
    f"""
    SELECT count(*) FROM (
        SELECT project_id FROM advisor_match_requests WHERE matched_advisor_id = :advisor_id AND {HELD}
        UNION
        SELECT project_id FROM project_advisors WHERE advisor_id = :advisor_id AND status = 'active'
    ) busy
    """
)
_SET_LOAD = text(
    """
    UPDATE advisor_availability SET current_projects = :projects, updated_at = clock_timestamp()
    WHERE advisor_id = :advisor_id
    RETURNING advisor_id, current_projects, last_assigned_at, version, profile_version
    """
)
_RETURN_LEASE = text(
    """
    WITH stuck AS MATERIALIZED (
        SELECT id, lease_expires_at::text AS lease_expires_at, attempt_count >= :max_attempts AS spent
        FROM workspace_provisioning_queue
        WHERE id = :job_id AND status = 'processing'
            AND (lease_expires_at IS NULL OR lease_expires_at <= statement_timestamp())
        FOR UPDATE SKIP LOCKED
    ), returned AS (
        UPDATE workspace_provisioning_queue q
        SET status = CASE WHEN stuck.spent THEN 'rollback_needed' ELSE 'pending' END,
            last_error = 'the lease ran out', lease_token = NULL, lease_expires_at = NULL,
            next_retry_at = clock_timestamp(), updated_at = clock_timestamp()
        FROM stuck WHERE q.id = stuck.id
        RETURNING q.id, q.match_id, q.project_id, q.status, q.attempt_count, stuck.lease_expires_at
    ), attempts AS (
        UPDATE workspace_provisioning_attempts a
        SET ended_at = clock_timestamp(), error = 'the lease ran out'
        FROM returned WHERE a.job_id = returned.id AND a.number = returned.attempt_count
            AND a.ended_at IS NULL
    )
    SELECT match_id, project_id, status, lease_expires_at FROM returned
    """
)
# As text: what an audit finds need not fit into a datetime.
_MAKE_DUE = text(
    """
    WITH stuck AS MATERIALIZED (
        SELECT id, next_attempt_at::text AS before FROM notification_outbox
        WHERE id = :notification_id AND status = 'pending'
            AND (next_attempt_at IS NULL OR next_attempt_at > clock_timestamp() + interval '1 day')
        FOR UPDATE SKIP LOCKED
    )
    UPDATE notification_outbox n SET next_attempt_at = clock_timestamp(), updated_at = clock_timestamp()
    FROM stuck WHERE n.id = stuck.id
    RETURNING stuck.before, n.next_attempt_at::text AS after
    """
)
_WORKSPACE = text(
    """
    SELECT
        (SELECT status FROM project_advisors
            WHERE project_id = :project_id AND advisor_id = :advisor_id) AS access,
        EXISTS (SELECT FROM unified_chat_sessions
            WHERE project_id = :project_id AND user_id = :advisor_id) AS has_session,
        EXISTS (SELECT FROM unified_chat_messages
            WHERE project_id = :project_id AND response_data ->> 'event_code' = 'advisor_joined'
                AND response_data ->> 'match_id' = CAST(:match_id AS text)) AS has_welcome
    """
)
_WELCOME_EVENT = text(
    f"""
    SELECT payload FROM project_events
    WHERE project_id = :project_id AND type = '{EventType.MESSAGE_NEW}'
        AND payload -> 'response_data' ->> 'event_code' = 'advisor_joined'
        AND payload -> 'response_data' ->> 'match_id' = CAST(:match_id AS text)
    ORDER BY seq LIMIT 1
    """
)


def recount(tx: Transaction, advisor_id: UUID) -> tuple[int, int] | None:
    """Makes an advisor's load what their held matches and active access rows come to: (before, after)."""
    params = {"advisor_id": advisor_id}
    before = tx.conn.execute(_LOCK_LOAD, params).scalar_one_or_none()
    # A statement of its own: it sees what committed while the lock was waited for.
    after: int = tx.conn.execute(_COUNT, params).scalar_one()
    if before is None or before == after:
        return None
    row = tx.conn.execute(_SET_LOAD, {**params, "projects": after}).one()
    tx.effects.loads.append(load_of(row))
    tx.effects.availability_changed.add(advisor_id)
    tx.effects.capacity_freed |= after < before
    return before, after


def return_lease(tx: Transaction, job_id: UUID, max_attempts: int) -> RowMapping | None:
    """Gives back a job whose worker is gone, with or without a lease: its match and project, and how it was."""
    returned = _one(tx, _RETURN_LEASE, job_id=job_id, max_attempts=max_attempts)
    tx.effects.job_queued |= returned is not None
    return returned


def make_due(tx: Transaction, notification_id: UUID) -> tuple[str | None, str] | None:
    """Makes a notification due that would never be, or not in any foreseeable time: (before, after)."""
    row = _one(tx, _MAKE_DUE, notification_id=notification_id)
    return (row["before"], row["after"]) if row is not None else None


@dataclass(frozen=True, slots=True)
class WorkspaceParts:
    """What there is of a workspace. ``access`` is the status of the advisor's row, ``None`` where there is none."""

    access: str | None
    has_session: bool
    has_welcome: bool


def workspace_parts(tx: Transaction, project_id: UUID, advisor_id: UUID, match_id: UUID) -> WorkspaceParts:
    """What there is of the workspace that was made for a match."""
    params = {"project_id": project_id, "advisor_id": advisor_id, "match_id": match_id}
    return WorkspaceParts(**tx.conn.execute(_WORKSPACE, params).mappings().one())


def told_welcome(tx: Transaction, project_id: UUID, match_id: UUID) -> ChatMessage | None:
    """The welcome message of a match as the log tells of it, if it still does."""
    row = _one(tx, _WELCOME_EVENT, project_id=project_id, match_id=match_id)
    if row is None:
        return None
    message = payload_from_json(EventType.MESSAGE_NEW, row["payload"])
    assert isinstance(message, ChatMessage)
    return message


def _one(tx: Transaction, statement: TextClause, **params: Any) -> RowMapping | None:
    return tx.conn.execute(statement, params).mappings().one_or_none()
