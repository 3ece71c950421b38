"""The usual workspace in two statements: a look without locks, and all that a job has to write, all or nothing.

The second does what a transaction does step by step, for the one case that is nearly all of them: the project's log
ends where it did when the job was looked at, and the job is still this worker's. Where anything is otherwise, or
somebody else holds a row, it changes nothing and waits for nobody. Its parts depend on each other's rows, never on
their order in the text: the match is locked after the head and the job after the match, and all that is written is
written for the job.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import orjson

from matching_server.domain.event_json import payload_to_json
from matching_server.domain.events import ProjectEvent
from matching_server.domain.model import ActorType, JobStatus, MatchStatus, ProvisioningState
from matching_server.domain.notifications import NotificationType
from matching_server.domain.provisioning import LeasedJob
from matching_server.storage import workspace
from matching_server.storage.database import Ask, Database
from matching_server.storage.workspace import Workspace

_MATCH_IS_USUAL = f"""
    m.status = '{MatchStatus.FINALIZED}' AND m.provisioning_state = '{ProvisioningState.QUEUED}'
    AND m.assignment_type IS NULL
"""
# A leased job is being processed or rolled back. Said of the other status: asked for this one, the planner would read
# the index of all leases, which seems to be all but empty, instead of the key.
_JOB_IS_OURS = f"""
    q.id = %(job_id)s AND q.lease_token = %(lease_token)s AND q.status <> '{JobStatus.ROLLBACK_NEEDED}'
"""
_LOOK = f"""
SELECT h.last_seq, clock_timestamp(), a.id, a.display_name, m.expires_at, p.owner_id, u.locale
FROM workspace_provisioning_queue q
JOIN advisor_match_requests m ON m.id = q.match_id
JOIN project_event_heads h ON h.project_id = q.project_id
JOIN projects p ON p.id = q.project_id
JOIN advisors a ON a.id = m.matched_advisor_id
LEFT JOIN auth.users u ON u.id = p.owner_id
WHERE {_JOB_IS_OURS} AND {_MATCH_IS_USUAL} AND a.active
"""
_MAKE = f"""
WITH head AS MATERIALIZED (
    SELECT h.project_id FROM project_event_heads h
    WHERE h.project_id = %(project_id)s AND h.last_seq = %(seq)s - 1
    FOR UPDATE SKIP LOCKED
), match AS MATERIALIZED (
    SELECT m.id FROM head, advisor_match_requests m
    WHERE m.id = %(match_id)s AND m.matched_advisor_id = %(advisor_id)s AND {_MATCH_IS_USUAL}
    FOR NO KEY UPDATE OF m SKIP LOCKED
), job AS MATERIALIZED (
    SELECT q.id FROM match, workspace_provisioning_queue q
    WHERE q.match_id = match.id AND {_JOB_IS_OURS}
    FOR NO KEY UPDATE OF q SKIP LOCKED
), usual AS MATERIALIZED (
    SELECT job.id FROM job, advisors a, projects p
    WHERE a.id = %(advisor_id)s AND a.active AND p.id = %(project_id)s AND p.owner_id = %(owner_id)s
), access AS (
    INSERT INTO project_advisors (project_id, advisor_id, status, role, assigned_at)
    SELECT %(project_id)s, %(advisor_id)s, 'active', %(role)s, %(created_at)s FROM usual
    {workspace.ACCESS_AGAIN}
), session AS (
    INSERT INTO unified_chat_sessions (project_id, user_id, actor_type, session_state, preferred_locale)
    SELECT %(project_id)s, %(advisor_id)s, '{ActorType.ADVISOR}', 'active', %(locale)s FROM usual
    {workspace.SESSION_AGAIN}
), welcome AS (
    INSERT INTO unified_chat_messages (id, project_id, actor_type, message_type, mode, text, response_data, seq,
        created_at)
    SELECT %(message_id)s, %(project_id)s, %(actor_type)s, %(message_type)s, %(mode)s, %(text)s,
        CAST(%(response_data)s AS jsonb), %(seq)s, %(created_at)s
    FROM usual
), told AS (
    INSERT INTO notification_outbox (type, recipient_id, payload, correlation_id, traceparent)
    SELECT '{NotificationType.WORKSPACE_READY}', %(owner_id)s, CAST(%(notification)s AS jsonb), %(correlation_id)s,
        CAST(%(traceparent)s AS text)
    FROM usual
), ready AS (
    UPDATE advisor_match_requests m SET provisioning_state = '{ProvisioningState.READY}'
    FROM usual WHERE m.id = %(match_id)s
), ended AS (
    UPDATE workspace_provisioning_queue q
    SET status = '{JobStatus.COMPLETED}', lease_token = NULL, lease_expires_at = NULL,
        next_retry_at = clock_timestamp(), updated_at = clock_timestamp()
    FROM usual WHERE q.id = usual.id
), attempt AS (
    UPDATE workspace_provisioning_attempts a SET ended_at = clock_timestamp()
    FROM usual WHERE a.job_id = usual.id AND a.number = %(attempt)s AND a.ended_at IS NULL
), moved AS (
    UPDATE project_event_heads h SET last_seq = %(last_seq)s FROM usual WHERE h.project_id = %(project_id)s
), events AS (
    INSERT INTO project_events (project_id, seq, type, payload, correlation_id, created_at, traceparent)
    SELECT %(project_id)s, event.seq, event.type, event.payload, %(correlation_id)s, %(created_at)s,
        CAST(%(traceparent)s AS text)
    FROM usual, (VALUES
        (%(seq)s, %(first_type)s, CAST(%(first)s AS jsonb)),
        (%(last_seq)s, %(last_type)s, CAST(%(last)s AS jsonb))
    ) AS event (seq, type, payload)
)
SELECT EXISTS (SELECT FROM usual)
"""


@dataclass(frozen=True, slots=True)
class UsualJob:
    """What is known of a job's project and match before any of it is locked."""

    last_seq: int
    """Where the project's log ends."""
    now: datetime
    """The database's clock."""
    advisor_id: UUID
    advisor_name: str
    expires_at: datetime
    owner_id: UUID
    locale: str | None
    """The owner's."""


def look(ask: Ask, job: LeasedJob) -> UsualJob | None:
    """How the job stands; ``None`` where it is not this worker's, or not the usual case.

    ``ask`` is ``Database.ask``, or in a transaction ``asking`` its connection.
    """
    row = ask(_LOOK, _named(job))
    return UsualJob(*row) if row else None


def make(
    database: Database, job: LeasedJob, made: Workspace, welcomed: ProjectEvent, ready: ProjectEvent
) -> bool | None:
    """Makes the workspace, completes the job and logs both events, in a transaction of its own.

    Returns whether it did, or changed nothing. ``None``: it failed, or nobody knows whether it went through.
    """
    values = workspace.parameters(made) | {
        "seq": welcomed.seq,
        "first_type": welcomed.type.value,
        "first": _payload(welcomed),
        "last_seq": ready.seq,
        "last_type": ready.type.value,
        "last": _payload(ready),
        "attempt": job.attempt,
        "correlation_id": job.correlation_id,
        "traceparent": ready.traceparent,
    }
    row = database.try_once(_MAKE, values | _named(job))
    return None if row is None else bool(row[0])


def was_made(database: Database, made: Workspace) -> bool:
    """Whether this very workspace is there, and not another worker's: its welcome has an id of its own."""
    known = {"message_id": made.welcome.id}
    return database.ask("SELECT FROM unified_chat_messages WHERE id = %(message_id)s", known) is not None


def _named(job: LeasedJob) -> dict[str, object]:
    return {"job_id": job.id, "lease_token": job.lease_token}


def _payload(event: ProjectEvent) -> str:
    return orjson.dumps(payload_to_json(event.payload)).decode()
