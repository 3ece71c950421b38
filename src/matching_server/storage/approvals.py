"""The usual approval in one statement: the project's lock, the match's step, its events, the outbox row, the job and
the nonce, all or nothing.

It does what a transaction of the use cases does step by step, where the match and its project's log are as they were
when they were looked at. Where anything is otherwise, or another transaction has the project, it changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import orjson

from matching_server.domain.calls import Call
from matching_server.domain.event_json import payload_to_json
from matching_server.domain.events import ProjectEvent
from matching_server.domain.model import Match, RecordedDecision, Side
from matching_server.domain.notifications import NotificationType
from matching_server.domain.trace import TRACEPARENT
from matching_server.storage import matches
from matching_server.storage.database import Database
from matching_server.storage.reach import reach
from matching_server.storage.tables import OPEN

# Whose decision it is, as a condition of both statements.
_IS_SIDE = {
    Side.CLIENT: "p.owner_id = %(as_client)s",
    Side.ADVISOR: "m.matched_advisor_id = %(as_advisor)s",
}
_LOOK = """
SELECT m.*, h.last_seq, clock_timestamp()
FROM ({match}) AS m
JOIN projects p ON p.id = m.project_id
JOIN project_event_heads h ON h.project_id = m.project_id
WHERE {is_side}
"""
_APPROVE = f"""
WITH head AS MATERIALIZED (
    SELECT h.project_id, p.owner_id FROM project_event_heads h JOIN projects p ON p.id = h.project_id
    WHERE h.project_id = %(project_id)s AND h.last_seq = %(last_seq)s
    FOR UPDATE OF h SKIP LOCKED
), decided AS (
    UPDATE advisor_match_requests m
    SET status = %(status)s, provisioning_state = %(provisioning_state)s, {{side}}_decision = 'approved',
        {{side}}_decision_reason = %(reason)s, {{side}}_decided_at = %(now)s
    FROM head p
    WHERE m.id = %(match_id)s AND m.version = %(version)s AND {{is_side}}
        AND ({OPEN}) AND m.expires_at > clock_timestamp()
    RETURNING m.version, m.updated_at
), moved AS (
    UPDATE project_event_heads h SET last_seq = h.last_seq + cardinality(CAST(%(types)s AS text[]))
    FROM decided WHERE h.project_id = %(project_id)s
), events AS (
    INSERT INTO project_events (project_id, seq, type, payload, user_id, correlation_id, created_at, traceparent)
    SELECT %(project_id)s, %(last_seq)s + event.place, event.type, event.payload, %(user_id)s, %(correlation_id)s,
        %(now)s, CAST(%(traceparent)s AS text)
    FROM decided, unnest(CAST(%(types)s AS text[]), CAST(%(payloads)s AS jsonb[]))
        WITH ORDINALITY AS event (type, payload, place)
), told AS (
    INSERT INTO notification_outbox (type, recipient_id, payload, correlation_id, traceparent)
    SELECT '{NotificationType.ADVISOR_ACCEPTED}', p.owner_id, CAST(%(notification)s AS jsonb), %(correlation_id)s,
        CAST(%(traceparent)s AS text)
    FROM decided, head p WHERE CAST(%(notification)s AS jsonb) IS NOT NULL
), queued AS (
    INSERT INTO workspace_provisioning_queue (match_id, project_id, correlation_id, traceparent)
    SELECT %(match_id)s, %(project_id)s, %(correlation_id)s, CAST(%(traceparent)s AS text)
    FROM decided WHERE %(provisioning_state)s = 'queued'
), nonce AS (
    INSERT INTO used_nonces (kid, nonce, call_id)
    SELECT %(kid)s, %(nonce)s, %(call_id)s FROM decided WHERE CAST(%(kid)s AS text) IS NOT NULL
)
SELECT version, updated_at FROM decided
"""
_LOOKS = {
    side: _LOOK.format(match=matches.AS_DRIVER_READS_ONE, is_side=is_side)
    for side, is_side in _IS_SIDE.items()
}
_APPROVALS = {side: _APPROVE.format(side=side.value, is_side=is_side) for side, is_side in _IS_SIDE.items()}


class Looked(NamedTuple):
    """A match as it is before any of it is locked, and where its project's log ends."""

    match: Match
    last_seq: int
    now: datetime
    """The database's clock."""


@dataclass(frozen=True, slots=True)
class Approval:
    """One side's approval, and all that goes with it."""

    call: Call
    side: Side
    seen: Match
    decision: RecordedDecision
    approved: Match
    """The match with the decision, in the status that it leads to."""
    events: tuple[ProjectEvent, ...]
    """Numbered from the end of the log as it was looked at."""
    notification: dict[str, object] | None
    """What the owner is told where it is the advisor who approves."""


def look(database: Database, match_id: UUID, side: Side, call: Call) -> Looked | None:
    """How things stand; ``None`` where the match is not there for that side."""
    row = database.ask(_LOOKS[side], {"match_id": match_id, **reach(call.caller)})
    return None if row is None else Looked(matches.from_driver(row[:-2]), row[-2], row[-1])


def make(database: Database, approval: Approval) -> Match | None:
    """Records the approval, in a transaction of its own.

    Returns the match as it is then. ``None``: things are not as they were looked at, the call is a replay, or it is
    not known whether it went through.
    """
    row = database.try_once(_APPROVALS[approval.side], _params(approval))
    return None if row is None else replace(approval.approved, version=row[0], updated_at=row[1])


def _params(approval: Approval) -> dict[str, object]:
    call, match, nonce = approval.call, approval.approved, approval.call.nonce
    state = match.provisioning_state
    return {
        **reach(call.caller),
        "project_id": match.project_id,
        "match_id": match.id,
        "version": approval.seen.version,
        "status": match.status.value,
        "provisioning_state": state.value if state else None,
        "reason": approval.decision.reason,
        "now": approval.decision.decided_at,
        "last_seq": approval.events[0].seq - 1,
        "types": [event.type.value for event in approval.events],
        "payloads": [orjson.dumps(payload_to_json(event.payload)).decode() for event in approval.events],
        "user_id": call.caller.user_id,
        "notification": orjson.dumps(approval.notification).decode() if approval.notification else None,
        "correlation_id": call.correlation_id,
        "traceparent": TRACEPARENT.get(),
        "kid": nonce.kid if nonce else None,
        "nonce": nonce.value if nonce else None,
        "call_id": call.id,
    }
