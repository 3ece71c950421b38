"""The usual offer in one statement: the project's lock, the claim, the match, its event, the outbox row, the nonce
and the kept answer, all or nothing.

It does what a transaction of the use cases does step by step, for the one case that is nearly all of them: the
project's log ends where it did when the request was looked at, nobody waits, and the advisor is as ranked.
Where anything is otherwise it changes nothing. Its parts depend on each other's rows, never on their order in
the text: the advisor's row is locked after the head, and all that is written is written for the row claimed.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from uuid import UUID

import orjson

from matching_server.domain.calls import Call
from matching_server.domain.effects import Load
from matching_server.domain.event_json import payload_to_json
from matching_server.domain.events import ProjectEvent
from matching_server.domain.model import Match
from matching_server.domain.notifications import NotificationType
from matching_server.storage import availability
from matching_server.storage.availability import AsRanked
from matching_server.storage.database import Database
from matching_server.storage.json_values import criteria_to_json
from matching_server.storage.matches import ClaimRecord

_STATEMENT = f"""
WITH bound AS MATERIALIZED (
    SELECT set_config('lock_timeout', '100ms', true)
), head AS MATERIALIZED (
    {{head}}
), free AS MATERIALIZED (
    SELECT a.advisor_id FROM head, advisor_availability a
    WHERE a.advisor_id = %(advisor_id)s AND a.status = 'available' AND a.has_slot
        AND a.profile_version = %(profile_version)s AND a.current_projects <= %(load)s
    FOR NO KEY UPDATE OF a
), claimed AS (
    {availability.TAKE} FROM free WHERE a.advisor_id = free.advisor_id
    RETURNING a.advisor_id, a.current_projects, a.last_assigned_at, a.version, a.profile_version,
        a.max_concurrent_projects
), match AS (
    INSERT INTO advisor_match_requests (
        id, project_id, requested_by, match_criteria, status, matched_advisor_id, match_score,
        match_reason, scoring_features, load_at_claim, slots_at_claim, expires_in, expires_at,
        allow_previous, correlation_id, created_at, updated_at)
    SELECT %(match_id)s, %(project_id)s, %(requested_by)s, CAST(%(criteria)s AS jsonb), 'matched', advisor_id,
        CAST(%(score)s AS numeric), %(match_reason)s, CAST(%(features)s AS jsonb), current_projects - 1,
        max_concurrent_projects, CAST(%(expires_in)s AS interval), %(expires_at)s, %(allow_previous)s,
        %(correlation_id)s, %(now)s, %(now)s
    FROM claimed
), moved AS (
    {{moved}}
), event AS (
    INSERT INTO project_events (project_id, seq, type, payload, user_id, correlation_id, created_at, traceparent)
    SELECT %(project_id)s, %(seq)s, %(event_type)s, CAST(%(event)s AS jsonb), %(user_id)s, %(correlation_id)s, %(now)s,
        CAST(%(traceparent)s AS text)
    FROM claimed
), told AS (
    INSERT INTO notification_outbox (type, recipient_id, payload, correlation_id, traceparent)
    SELECT '{NotificationType.MATCH_OFFERED}', advisor_id, CAST(%(notification)s AS jsonb), %(correlation_id)s,
        CAST(%(traceparent)s AS text)
    FROM claimed
), nonce AS (
    INSERT INTO used_nonces (kid, nonce, call_id)
    SELECT %(kid)s, %(nonce)s, %(call_id)s FROM claimed WHERE CAST(%(kid)s AS text) IS NOT NULL
), answer AS (
    INSERT INTO idempotent_requests (caller, request_id, method, body_hash, answer)
    SELECT %(caller)s, %(request_id)s, %(method)s, %(body_hash)s, %(answer)s
    FROM claimed WHERE CAST(%(request_id)s AS uuid) IS NOT NULL
)
SELECT EXISTS (SELECT FROM head), claimed.*
FROM (VALUES (1)) AS one LEFT JOIN claimed ON true
"""
_NOBODY_WAITS = "NOT EXISTS (SELECT FROM advisor_match_requests WHERE status = 'pending')"
_OFFER = _STATEMENT.format(
    head=f"""SELECT h.project_id FROM bound, project_event_heads h
    WHERE h.project_id = %(project_id)s AND h.last_seq = %(seq)s - 1 AND {_NOBODY_WAITS}
        AND EXISTS (SELECT FROM projects WHERE id = %(project_id)s AND owner_id = %(owner_id)s)
    FOR UPDATE OF h SKIP LOCKED""",
    moved="UPDATE project_event_heads SET last_seq = %(seq)s FROM claimed WHERE project_id = %(project_id)s",
)
# A project that nothing was ever told of has no head. Whoever makes it first has the project; others violate its key.
_FIRST_OFFER = _STATEMENT.format(
    head=f"""SELECT p.id FROM bound, projects p
    WHERE p.id = %(project_id)s AND p.owner_id = %(owner_id)s AND {_NOBODY_WAITS}
        AND NOT EXISTS (SELECT FROM project_event_heads WHERE project_id = %(project_id)s)""",
    moved="""INSERT INTO project_event_heads (project_id, last_seq)
    SELECT %(project_id)s, %(seq)s FROM claimed""",
)


@dataclass(frozen=True, slots=True)
class Offer:
    """A match with the advisor who is to be claimed for it, and all that goes with it."""

    call: Call
    match: Match
    owner_id: UUID
    """Whose project it was when it was looked at, and has to be still."""
    ranked: AsRanked
    record: ClaimRecord
    event: ProjectEvent
    has_log: bool
    """Whether the project had a log, if an empty one."""
    notification: dict[str, object]
    answer: bytes | None
    """What a repeat of the request is answered, where it carries an id."""


@dataclass(frozen=True, slots=True)
class NotAsRanked:
    """Nothing was changed since the advisor is no longer as they were ranked; another one may be had."""


def make(database: Database, offer: Offer) -> Load | NotAsRanked | None:
    """Makes the offer, in a transaction of its own.

    Returns:
        The advisor's load with it, or why nothing was changed. ``None``: the project is not as it was, the call is
        a replay or a repeat, or it is not known whether the offer was made.
    """
    row = database.try_once(_OFFER if offer.has_log else _FIRST_OFFER, _params(offer))
    if row is None:
        return None
    as_looked_at, advisor_id, *load, _ = row
    if advisor_id is not None:
        return Load(advisor_id, *load)
    return NotAsRanked() if as_looked_at else None


def _params(offer: Offer) -> dict[str, object]:
    call, match, record, event = offer.call, offer.match, offer.record, offer.event
    key, nonce = call.request_key, call.nonce
    kept: dict[str, object] = {"request_id": None, "method": None, "body_hash": None, "answer": None}
    if key is not None:
        kept = {
            "request_id": key.request_id,
            "method": key.method,
            "body_hash": key.body_hash,
            "answer": offer.answer,
        }
    return kept | {
        "project_id": match.project_id,
        "owner_id": offer.owner_id,
        "seq": event.seq,
        "advisor_id": offer.ranked.advisor_id,
        "load": offer.ranked.load,
        "profile_version": offer.ranked.profile_version,
        "match_id": match.id,
        "requested_by": match.requested_by,
        "criteria": _json(criteria_to_json(match.criteria)),
        "score": record.score,
        "match_reason": record.reason,
        # Exact fractions have integers of any length.
        "features": json.dumps(record.features),
        "expires_in": match.expires_in,
        "expires_at": match.expires_at,
        "allow_previous": match.allow_previous,
        "correlation_id": call.correlation_id,
        "traceparent": event.traceparent,
        "now": match.created_at,
        "event_type": event.type.value,
        "event": _json(payload_to_json(event.payload)),
        "user_id": event.user_id,
        "notification": _json(offer.notification),
        "kid": nonce.kid if nonce else None,
        "nonce": nonce.value if nonce else None,
        "call_id": call.id,
        "caller": call.caller.user_id,
    }


def _json(value: object) -> str:
    return orjson.dumps(value).decode()
