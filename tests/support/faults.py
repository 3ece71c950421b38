"""Provisionings that fail, and jobs that nobody can take."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from sqlalchemy import Connection

from tests.support.world import World

CAUSE = "the disk is on fire"
STEPS = {
    "access row": "INSERT ON project_advisors",
    "chat session": "INSERT ON unified_chat_sessions",
    "welcome message": "INSERT ON unified_chat_messages",
    "event": "INSERT ON project_events WHEN (NEW.type = 'advisor.workspace_ready')",
    "match": "UPDATE ON advisor_match_requests WHEN (NEW.provisioning_state = 'ready')",
    "job": "UPDATE ON workspace_provisioning_queue WHEN (NEW.status = 'completed')",
    "notification": "INSERT ON notification_outbox WHEN (NEW.type = 'workspace_ready')",
}
"""What a provisioning writes, by what it writes."""
JOB_QUEUED = "INSERT ON workspace_provisioning_queue"
"""The last that a decision writes which finalizes a match, or an assignment in an emergency."""
NOTHING_BEGINS = "LOCK TABLE workspace_provisioning_attempts IN EXCLUSIVE MODE"
"""Whoever holds this keeps jobs from being taken, and attempts from being ended."""
UNUSUAL = "UPDATE advisor_match_requests SET assignment_type = 'manual_assignment' WHERE id = :id"
"""Leaves the match's workspace to the general case, which makes it step by step."""


def failing(world: World, step: str, times: int = 1_000_000) -> AbstractContextManager[None]:
    """The step raises so many times, and then no more."""
    return failing_on(world.conn, step, times)


@contextmanager
def failing_on(conn: Connection, step: str, times: int = 1_000_000) -> Iterator[None]:
    """The same in this connection's database."""
    with failing_write(conn, STEPS[step], times):
        yield


@contextmanager
def failing_write(conn: Connection, what: str, times: int = 1_000_000) -> Iterator[None]:
    """A write, in the words of ``STEPS``, raises so many times, and then no more."""
    on, _, condition = what.partition(" WHEN ")
    # A sequence counts on through rolled back transactions.
    conn.exec_driver_sql(
        f"""
        CREATE SEQUENCE fault_number;
        CREATE FUNCTION fault() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF nextval('fault_number') <= {times} THEN RAISE EXCEPTION '{CAUSE}'; END IF;
            RETURN NEW;
        END $$;
        CREATE TRIGGER fault BEFORE {on} FOR EACH ROW {condition and f"WHEN {condition}"}
            EXECUTE FUNCTION fault()
        """
    )
    try:
        yield
    finally:
        conn.exec_driver_sql("DROP FUNCTION fault CASCADE; DROP SEQUENCE fault_number")
