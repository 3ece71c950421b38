"""Each invariant broken in every way that it knows, by SQL, in a history of every fate."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID, uuid4

from tests.support.history import History
from tests.support.seed import insert_advisor

Fates = dict[str, UUID]
Plant = Callable[[History, Fates], None]


def _anywhere(sql: str) -> Plant:
    return lambda history, fates: history.run(sql)


def _on(fate: str, *statements: str) -> Plant:
    """Statements about one match; they may use ``:match``, ``:project`` and ``:advisor``."""

    def plant(history: History, fates: Fates) -> None:
        match = fates[fate]
        project, advisor = (history.get(match, column) for column in ("project_id", "matched_advisor_id"))
        for sql in statements:
            history.run(sql, match=match, project=project, advisor=advisor)

    return plant


def _match(fate: str, change: str) -> Plant:
    return _on(fate, f"UPDATE advisor_match_requests SET {change} WHERE id = :match")


def on_job(fate: str, change: str) -> Plant:
    return _on(fate, f"UPDATE workspace_provisioning_queue SET {change} WHERE match_id = :match")


def _event(fate: str, type_: str, field: str, value: str) -> Plant:
    """An event of one match tells something else."""
    return _on(
        fate,
        f"UPDATE project_events SET payload = payload || jsonb_build_object('{field}', '{value}')"
        f" WHERE project_id = :project AND type = '{type_}'",
    )


def _without(index: str, then: Plant) -> Plant:
    """What a unique index prevents as well."""

    def plant(history: History, fates: Fates) -> None:
        history.run(f"DROP INDEX {index}")
        then(history, fates)

    return plant


def _second_match(fate: str) -> Plant:
    def plant(history: History, fates: Fates) -> None:
        history.pending(history.get(fates[fate], "project_id"))

    return _without("uq_advisor_match_requests_unsettled", plant)


def _advisor_whom_nobody_counts(history: History, fates: Fates) -> None:
    advisor = insert_advisor(history.conn)
    history.run(
        "UPDATE advisor_availability SET current_projects = 1 WHERE advisor_id = :advisor", advisor=advisor
    )


def _finalized_without_the_advisor(history: History, fates: Fates) -> None:
    match = history.offered()
    history.approve(match, "client")
    history.finalize(match)


def _told_twice(history: History, fates: Fates) -> None:
    payload = {"match_id": fates["offered"], "status": "matched", "previous_status": "pending"}
    history.event(history.get(fates["offered"], "project_id"), "advisor.matched", payload)


def _second_ready_event(history: History, fates: Fates) -> None:
    payload = {"match_id": fates["ready"]}
    history.event(history.get(fates["ready"], "project_id"), "advisor.workspace_ready", payload)


def _event_of_nobody(history: History, fates: Fates) -> None:
    payload = {"match_id": uuid4(), "status": "pending"}
    history.event(history.get(fates["pending"], "project_id"), "advisor.match_pending", payload)


_EARLIER = "clock_timestamp() - interval '1 hour'"
_ACCESS = "INSERT INTO project_advisors (project_id, advisor_id) VALUES (:project, :advisor)"
_JOB = "INSERT INTO workspace_provisioning_queue (match_id, project_id) VALUES (:match, :project)"
_MATCH_AGAIN = """
INSERT INTO advisor_match_requests (id, project_id, requested_by, status, expires_in, expires_at, created_at)
SELECT gen_random_uuid(), project_id, requested_by, 'expired', expires_in, expires_at, clock_timestamp()
FROM advisor_match_requests WHERE id = :match
"""
_WELCOME_AGAIN = """
INSERT INTO unified_chat_messages (id, project_id, actor_type, message_type, text, response_data, seq)
SELECT gen_random_uuid(), project_id, actor_type, message_type, text, response_data, seq + 1000
FROM unified_chat_messages WHERE project_id = :project
"""
_NO_READY_EVENT = """
UPDATE project_events SET type = 'message.new'
WHERE project_id = :project AND type = 'advisor.workspace_ready'
"""
_NO_ALERT = "DELETE FROM notification_outbox WHERE payload ->> 'matchId' = CAST(:match AS text)"

PLANTED: dict[str, dict[str, Plant]] = {
    "load_is_counted": {
        "a slot taken by nobody": _advisor_whom_nobody_counts,
        "a slot that nobody gave back": _match("offered", "matched_advisor_id = gen_random_uuid()"),
        "access that did not take a slot": _on("expired", _ACCESS),
    },
    "capacity_is_respected": {
        "a full advisor": _match("offered", "load_at_claim = 3, slots_at_claim = 3"),
        "an overfull advisor": _match("expired", "load_at_claim = 4, slots_at_claim = 3"),
    },
    "one_unsettled_match": {
        "two open matches": _second_match("pending"),
        "one open, one being provisioned": _second_match("queued"),
    },
    "steps_are_legal": {
        "an offer of nobody": _match("declined", "matched_advisor_id = NULL"),
        "no such step": _event("expired", "advisor.match_expired", "previous_status", "advisor_declined"),
        "a step from elsewhere": _event("expired", "advisor.match_expired", "previous_status", "pending"),
        "a history without a beginning": _event("offered", "advisor.matched", "previous_status", "pending"),
        "a rollback to nowhere": _event("emergency", "advisor.matched", "status", "pending"),
        "the same step twice": _told_twice,
    },
    "finalized_was_decided": {
        "one side never decided": _finalized_without_the_advisor,
        "one side withdrew": _match("ready", "client_decision = NULL"),
        "finalized after a failure without a job": _on(
            "queued",
            "UPDATE advisor_match_requests SET provisioning_state = 'failed' WHERE id = :match",
            "DELETE FROM workspace_provisioning_queue WHERE match_id = :match",
        ),
        "no job": _on("queued", "DELETE FROM workspace_provisioning_queue WHERE match_id = :match"),
        "no job that is done": _on(
            "ready", "DELETE FROM workspace_provisioning_queue WHERE match_id = :match"
        ),
        "two jobs": _without("uq_workspace_provisioning_queue_live_or_done", _on("queued", _JOB)),
        "a job for a match that was closed": on_job("cancelled", "status = 'pending'"),
    },
    "completed_is_provisioned": {
        "no access row": _on("released", "DELETE FROM project_advisors WHERE project_id = :project"),
        "no session": _on("ready", "DELETE FROM unified_chat_sessions WHERE project_id = :project"),
        "no welcome": _on("ready", "DELETE FROM unified_chat_messages WHERE project_id = :project"),
        "two welcomes": _without("uq_unified_chat_messages_welcome", _on("ready", _WELCOME_AGAIN)),
        "no event": _on("ready", _NO_READY_EVENT),
        "two events": _second_ready_event,
    },
    "failures_are_told": {
        "one attempt too many": on_job("ready", "attempt_count = 4"),
        "no intervention": _on(
            "emergency", "DELETE FROM admin_matching_interventions WHERE match_id = :match"
        ),
        "no alert": _on("emergency", _NO_ALERT),
    },
    "leases_are_swept": {
        "a lease that ended": on_job(
            "queued", f"status = 'processing', lease_token = id, lease_expires_at = {_EARLIER}"
        ),
        "work without a lease": on_job("queued", "status = 'processing'"),
    },
    "log_has_no_gap": {
        "an event lost": _on("ready", "DELETE FROM project_events WHERE project_id = :project AND seq = 5"),
        "a number given to nothing": _anywhere("UPDATE project_event_heads SET last_seq = last_seq + 1"),
        "forgotten, and still there": _on(
            "ready", "UPDATE project_event_heads SET pruned_through = 1 WHERE project_id = :project"
        ),
        "no head": _on("pending", "DELETE FROM project_event_heads WHERE project_id = :project"),
    },
    "status_has_its_event": {
        "a status without its event": _match("offered", "status = 'advisor_accepted'"),
        "a match without any event": _on("expired", _MATCH_AGAIN),
        "a match without any event, younger than what was forgotten": _on(
            "expired",
            "UPDATE project_event_heads SET pruned_through = 1 WHERE project_id = :project",
            "DELETE FROM project_events WHERE project_id = :project AND seq = 1",
            _MATCH_AGAIN,
        ),
        "an event without its match": _event_of_nobody,
    },
    "outbox_moves": {
        "never due": _anywhere("UPDATE notification_outbox SET next_attempt_at = NULL"),
        "due in another age": _anywhere("UPDATE notification_outbox SET next_attempt_at = 'infinity'"),
        "leased for another age": _anywhere(
            "UPDATE notification_outbox SET lease_token = gen_random_uuid(),"
            " next_attempt_at = clock_timestamp() + interval '2 days'"
        ),
    },
    "expired_is_closed": {
        "an offer": _match("offered", f"expires_at = {_EARLIER}"),
        "a waiting match": _match("pending", f"expires_at = {_EARLIER}"),
    },
}
"""What plants a violation, by the invariant that it breaks, and no other, and by what it does."""
CASES = [(name, fault) for name, faults in PLANTED.items() for fault in faults]
