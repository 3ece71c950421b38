"""What the service writes, written by hand: matches with their events, jobs and workspaces, consistent.

Tests of what reads the database begin with such a history and then bend it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Connection, text

from tests.support.seed import insert_advisor, insert_project, insert_user

FAILURE = "workspace_provisioning_failure"
_DECISIONS = {
    "client": ("advisor.client_approved", "client_approved"),
    "advisor": ("advisor.accepted", "advisor_accepted"),
}
_APPEND = """
WITH head AS (
    INSERT INTO project_event_heads AS h (project_id, last_seq) VALUES (:project, 1)
    ON CONFLICT (project_id) DO UPDATE SET last_seq = h.last_seq + 1
    RETURNING last_seq
)
INSERT INTO project_events (project_id, seq, type, payload)
SELECT :project, last_seq, :type,
    jsonb_strip_nulls(jsonb_object(CAST(:keys AS text[]), CAST(:values AS text[])))
FROM head
RETURNING seq
"""
_APPEND_MESSAGES = """
WITH head AS (
    INSERT INTO project_event_heads AS h (project_id, last_seq) VALUES (:project, :count)
    ON CONFLICT (project_id) DO UPDATE SET last_seq = h.last_seq + :count
    RETURNING last_seq - :count AS before
)
INSERT INTO project_events (project_id, seq, type, payload)
SELECT :project, seq, 'message.new', jsonb_build_object('id', gen_random_uuid(), 'project_id', CAST(:project AS uuid),
    'actor_type', 'assistant', 'message_type', 'user', 'mode', 'unified', 'text', repeat('x', :size), 'seq', seq,
    'client_msg_id', gen_random_uuid(), 'created_at', clock_timestamp())
FROM head, generate_series(before + 1, before + :count) AS seq
"""
_SESSION = """
INSERT INTO unified_chat_sessions (project_id, user_id, actor_type, session_state)
VALUES (:project, :advisor, 'advisor', 'active')
"""
_WELCOME = """
INSERT INTO unified_chat_messages (id, project_id, actor_type, message_type, mode, text, response_data, seq)
VALUES (gen_random_uuid(), :project, 'system', 'system', 'plan', 'Welcome',
    jsonb_build_object('event_code', 'advisor_joined', 'match_id', CAST(:match AS text)), :seq)
"""
_QUEUE = """
INSERT INTO workspace_provisioning_queue (match_id, project_id)
SELECT id, project_id FROM advisor_match_requests WHERE id = :match
"""
_END_JOB = """
WITH ended AS (
    UPDATE workspace_provisioning_queue
    SET status = :status, attempt_count = :attempts, updated_at = clock_timestamp()
    WHERE match_id = :match AND status IN ('pending', 'processing', 'rollback_needed')
    RETURNING id
)
INSERT INTO workspace_provisioning_attempts (job_id, number)
SELECT id, generate_series(1, :attempts) FROM ended
"""
_ALERT = """
INSERT INTO notification_outbox (type, recipient_id, priority, payload)
SELECT :type, id, 'high', jsonb_build_object('matchId', CAST(:match AS text))
FROM auth.users WHERE 'admin' = ANY (roles)
"""


@dataclass(frozen=True, slots=True)
class History:
    """Writes a history on one connection."""

    conn: Connection

    def run(self, sql: str, **params: Any) -> None:
        """One statement."""
        self.conn.execute(text(sql), params)

    def ask(self, sql: str, **params: Any) -> Any:
        """The one value that a query returns."""
        return self.conn.execute(text(sql), params).scalar_one()

    def get(self, match_id: UUID, column: str) -> Any:
        """A column of a match."""
        return self.ask(f"SELECT {column} FROM advisor_match_requests WHERE id = :match", match=match_id)

    def set(self, match_id: UUID, change: str, **params: Any) -> None:
        """Changes a match, and tells nobody."""
        self.run(f"UPDATE advisor_match_requests SET {change} WHERE id = :match", match=match_id, **params)

    def event(self, project_id: UUID, type_: str, payload: dict[str, Any]) -> int:
        """Appends to a project's log; returns the event's number. What is ``None`` is left out."""
        values = [None if value is None else str(value) for value in payload.values()]
        seq = self.ask(_APPEND, project=project_id, type=type_, keys=list(payload), values=values)
        return int(seq)

    def messages(self, project_id: UUID, count: int, *, size: int) -> None:
        """Appends so many events of chat messages, of that many characters each, and tells no server."""
        self.run(_APPEND_MESSAGES, project=project_id, count=count, size=size)

    def pending(self, project_id: UUID | None = None) -> UUID:
        """A match that waits for an advisor."""
        return self._create("pending", project_id, advisor_id=None)

    def offered(self, project_id: UUID | None = None, advisor_id: UUID | None = None, **columns: Any) -> UUID:
        """A match with an advisor, whose slot it takes."""
        advisor = advisor_id or insert_advisor(self.conn)
        match = self._create("matched", project_id, advisor, **columns)
        self._load(advisor, 1)
        return match

    def serve(self, match_id: UUID, advisor_id: UUID) -> None:
        """The waiting match gets its advisor."""
        self.set(match_id, "matched_advisor_id = :advisor", advisor=advisor_id)
        self._load(advisor_id, 1)
        self.move(match_id, "matched", "advisor.matched")

    def approve(self, match_id: UUID, side: str, *, provision: bool = True) -> None:
        """One side's approval. The second finalizes, and queues a job unless told otherwise."""
        type_, status = _DECISIONS[side]
        before = self.get(match_id, "status")
        self.set(match_id, f"{side}_decision = 'approved'")
        if before == "matched":
            self.move(match_id, status, type_)
        else:
            self._tell(match_id, type_, status, before)
            self.finalize(match_id, provision=provision)

    def finalize(self, match_id: UUID, *, provision: bool = True) -> None:
        """The match is finalized, by whatever right."""
        self.move(match_id, "finalized", "advisor.finalized")
        if provision:
            self.set(match_id, "provisioning_state = 'queued'")
            self.run(_QUEUE, match=match_id)

    def close(self, match_id: UUID, status: str, type_: str, reason: str | None = None) -> None:
        """The match ends, and its slot comes free."""
        self.set(match_id, "closed_reason = :reason", reason=reason)
        self.move(match_id, status, type_)
        if advisor := self.get(match_id, "matched_advisor_id"):
            self._load(advisor, -1)

    def provision(self, match_id: UUID) -> None:
        """The queued job is done: access row, session, welcome and event."""
        project, of = self._parties(match_id)
        self.run("INSERT INTO project_advisors (project_id, advisor_id) VALUES (:project, :advisor)", **of)
        self.run(_SESSION, **of)
        seq = self.event(project, "message.new", {"text": "Welcome"})
        self.run(_WELCOME, project=project, match=match_id, seq=seq)
        self.event(project, "advisor.workspace_ready", {"match_id": match_id})
        self.set(match_id, "provisioning_state = 'ready'")
        self._end_job(match_id, "completed", attempts=1)

    def fail(self, match_id: UUID, reverted_to: str, withdrawn: str | None = None) -> None:
        """The queued job failed for good: the match goes back, a side decides again, admins are told."""
        if withdrawn is not None:
            self.set(match_id, f"{withdrawn}_decision = NULL")
        self.set(match_id, "status = :to, provisioning_state = 'failed'", to=reverted_to)
        payload = {"match_id": match_id, "reverted_to": reverted_to}
        self.event(self.get(match_id, "project_id"), "advisor.provisioning_failed", payload)
        self.run(
            "INSERT INTO admin_matching_interventions (match_id, intervention_type) VALUES (:match, :type)",
            match=match_id,
            type=FAILURE,
        )
        self.run(_ALERT, match=match_id, type=FAILURE)
        self._end_job(match_id, "failed", attempts=3)

    def release(self, match_id: UUID) -> None:
        """An admin took the advisor off the project."""
        project, of = self._parties(match_id)
        self.event(project, "advisor.released", {"match_id": match_id})
        self.run(
            "UPDATE project_advisors SET status = 'inactive' WHERE project_id = :project", project=project
        )
        if self.get(match_id, "provisioning_state") == "ready":
            self._load(of["advisor"], -1)
        else:
            self._end_job(match_id, "failed", attempts=0)
            self.set(match_id, "provisioning_state = NULL")
            self.close(match_id, "expired", "advisor.match_expired", "released")

    def prune(self, project_id: UUID, through: int) -> None:
        """Retention forgets a project's events up to that number."""
        of = {"project": project_id, "through": through}
        self.run("UPDATE project_event_heads SET pruned_through = :through WHERE project_id = :project", **of)
        self.run("DELETE FROM project_events WHERE project_id = :project AND seq <= :through", **of)

    def move(self, match_id: UUID, status: str, type_: str) -> None:
        """Another status, and its event."""
        before = self.get(match_id, "status")
        self.set(match_id, "status = :status", status=status)
        self._tell(match_id, type_, status, before)

    def _create(self, status: str, project_id: UUID | None, advisor_id: UUID | None, **columns: Any) -> UUID:
        match = uuid4()
        values = {
            "id": match,
            "project_id": project_id or insert_project(self.conn),
            "requested_by": uuid4(),
            "status": status,
            "matched_advisor_id": advisor_id,
            "expires_in": timedelta(hours=2),
            **columns,
        }
        names, binds = ", ".join(values), ", ".join(f":{name}" for name in values)
        self.run(
            f"INSERT INTO advisor_match_requests ({names}, expires_at)"
            f" VALUES ({binds}, clock_timestamp() + :expires_in)",
            **values,
        )
        self._tell(match, "advisor.matched" if advisor_id else "advisor.match_pending", status, None)
        return match

    def _tell(self, match_id: UUID, type_: str, status: str, before: str | None) -> None:
        payload = {"match_id": match_id, "status": status, "previous_status": before}
        self.event(self.get(match_id, "project_id"), type_, payload)

    def _parties(self, match_id: UUID) -> tuple[UUID, dict[str, UUID]]:
        project = self.get(match_id, "project_id")
        return project, {"project": project, "advisor": self.get(match_id, "matched_advisor_id")}

    def _load(self, advisor_id: UUID, change: int) -> None:
        self.run(
            "UPDATE advisor_availability SET current_projects = current_projects + :change"
            " WHERE advisor_id = :advisor",
            change=change,
            advisor=advisor_id,
        )

    def _end_job(self, match_id: UUID, status: str, attempts: int) -> None:
        self.run(_END_JOB, match=match_id, status=status, attempts=attempts)


def every_fate(history: History) -> dict[str, UUID]:
    """One match of each fate, and an admin; the ids by the name of the fate."""
    insert_user(history.conn, roles=["admin"])
    return _open_and_closed(history) | _finalized(history) | _rolled_back(history)


def _open_and_closed(history: History) -> dict[str, UUID]:
    fates = {"pending": history.pending(), "offered": history.offered()}

    fates["claimed_and_declined"] = history.pending()
    history.serve(fates["claimed_and_declined"], insert_advisor(history.conn))
    history.approve(fates["claimed_and_declined"], "advisor")
    history.close(fates["claimed_and_declined"], "client_declined", "advisor.match_declined")

    fates["declined"] = history.offered()
    history.close(fates["declined"], "advisor_declined", "advisor.match_declined")

    fates["expired"] = history.offered()
    history.close(fates["expired"], "expired", "advisor.match_expired", "expired")
    return fates


def _finalized(history: History) -> dict[str, UUID]:
    fates = {name: _approved(history) for name in ("queued", "ready", "released", "cancelled")}
    fates["by_hand"] = _approved(history, provision=False)
    history.provision(fates["ready"])
    history.provision(fates["released"])
    history.release(fates["released"])
    history.release(fates["cancelled"])
    return fates


def _rolled_back(history: History) -> dict[str, UUID]:
    """One that was rolled back and provisioned again, and an emergency that was rolled back."""
    retried = _approved(history)
    history.fail(retried, "client_approved", withdrawn="advisor")
    history.set(retried, "advisor_decision = 'approved'")
    history.finalize(retried)
    emergency = history.offered(assignment_type="emergency_assignment", load_at_claim=3, slots_at_claim=3)
    history.finalize(emergency)
    history.fail(emergency, "matched")
    return {"retried": retried, "emergency": emergency}


def _approved(history: History, *, provision: bool = True) -> UUID:
    match = history.offered(load_at_claim=0, slots_at_claim=3)
    history.approve(match, "client")
    history.approve(match, "advisor", provision=provision)
    return match
