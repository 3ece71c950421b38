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

from sqlalchemy import Connection, text

from matching_server.domain.calls import Call
from matching_server.domain.effects import Load
from matching_server.domain.event_json import payload_to_json
from matching_server.domain.events import ProjectEvent
from matching_server.domain.model import Match
from matching_server.storage.availability import AS_RANKED, TAKE, AsRanked, load_of
from matching_server.storage.json_values import criteria_to_json
from matching_server.storage.matches import ClaimRecord
from matching_server.storage.outbox import NotificationType

_OFFER = text(
    f"""
    WITH bound AS MATERIALIZED (
        SELECT set_config('lock_timeout', '100ms', true)
    ), head AS MATERIALIZED (
        SELECT h.project_id FROM bound, project_event_heads h
        WHERE h.project_id = :project_id AND h.last_seq = :seq - 1
            AND NOT EXISTS (SELECT FROM advisor_match_requests WHERE status = 'pending')
        FOR UPDATE OF h SKIP LOCKED
    ), free AS MATERIALIZED (
        SELECT a.advisor_id FROM head, advisor_availability a
        WHERE a.advisor_id = :advisor_id AND a.status = 'available' AND a.has_slot AND {AS_RANKED}
        FOR NO KEY UPDATE OF a
    ), claimed AS (
        {TAKE} FROM free WHERE a.advisor_id = free.advisor_id
        RETURNING a.advisor_id, a.current_projects, a.max_concurrent_projects, a.last_assigned_at, a.version,
            a.profile_version
    ), match AS (
        INSERT INTO advisor_match_requests (
            id, project_id, requested_by, match_criteria, status, matched_advisor_id, match_score,
            match_reason, scoring_features, load_at_claim, slots_at_claim, expires_in, expires_at,
            allow_previous, correlation_id, created_at, updated_at)
        SELECT :match_id, :project_id, :requested_by, CAST(:criteria AS jsonb), 'matched', advisor_id,
            CAST(:score AS numeric), :match_reason, CAST(:features AS jsonb), current_projects - 1,
            max_concurrent_projects, CAST(:expires_in AS interval), :expires_at, :allow_previous,
            :correlation_id, :now, :now
        FROM claimed
    ), moved AS (
        UPDATE project_event_heads SET last_seq = :seq FROM claimed WHERE project_id = :project_id
    ), event AS (
        INSERT INTO project_events (project_id, seq, type, payload, user_id, correlation_id, created_at)
        SELECT :project_id, :seq, :event_type, CAST(:event AS jsonb), :user_id, :correlation_id, :now
        FROM claimed
    ), told AS (
        INSERT INTO notification_outbox (type, recipient_id, payload, correlation_id)
        SELECT '{NotificationType.MATCH_OFFERED}', advisor_id, CAST(:notification AS jsonb), :correlation_id
        FROM claimed
    ), nonce AS (
        INSERT INTO used_nonces (kid, nonce, call_id)
        SELECT :kid, :nonce, :call_id FROM claimed WHERE CAST(:kid AS text) IS NOT NULL
    ), answer AS (
        INSERT INTO idempotent_requests (caller, request_id, method, body_hash, answer)
        SELECT :caller, :request_id, :method, :body_hash, :answer
        FROM claimed WHERE CAST(:request_id AS uuid) IS NOT NULL
    )
    SELECT claimed.*, EXISTS (SELECT FROM head) AS as_looked_at
    FROM (VALUES (1)) AS one LEFT JOIN claimed ON true
    """
)


@dataclass(frozen=True, slots=True)
class Offer:
    """A match with the advisor who is to be claimed for it, and all that goes with it."""

    call: Call
    match: Match
    ranked: AsRanked
    record: ClaimRecord
    event: ProjectEvent
    notification: dict[str, object]
    answer: bytes | None
    """What a repeat of the request is answered, where it carries an id."""


@dataclass(frozen=True, slots=True)
class NotAsRanked:
    """Nothing was changed since the advisor is no longer as they were ranked; another one may be had."""


def offer(conn: Connection, offer: Offer) -> Load | NotAsRanked | None:
    """Makes the offer, on a connection that commits by itself.

    Returns:
        The advisor's load with it, or why nothing was changed: ``None`` where the project is not as it was.

    Raises:
        sqlalchemy.exc.SQLAlchemyError: nothing was changed either, by a replay or a repeated request among
            others, unless the connection broke.
    """
    row = conn.execute(_OFFER, _params(offer)).one()
    if row.advisor_id is not None:
        return load_of(row)
    return NotAsRanked() if row.as_looked_at else None


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
        "seq": event.seq,
        "advisor_id": offer.ranked.advisor_id,
        "load": offer.ranked.load,
        "profile_version": offer.ranked.profile_version,
        "match_id": match.id,
        "requested_by": match.requested_by,
        "criteria": _json(criteria_to_json(match.criteria)),
        "score": record.score,
        "match_reason": record.reason,
        "features": _json(record.features),
        "expires_in": match.expires_in,
        "expires_at": match.expires_at,
        "allow_previous": match.allow_previous,
        "correlation_id": call.correlation_id,
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
    return json.dumps(value, separators=(",", ":"))
