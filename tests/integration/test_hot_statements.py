"""Statements that run all the time use the index that was made for them, generic plans included.

A partial index serves only where the planner sees its predicate: a bound value hides it once the plan is
generic, after a few executions on one connection.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Connection, text

from matching_server.domain.model import Caller, JobStatus, MatchCriteria, Role, TechStack
from matching_server.domain.provisioning import LeasedJob
from matching_server.storage import (
    assignments,
    availability,
    backlog,
    deliveries,
    directory,
    eligibility,
    event_log,
    matches,
    outbox,
    queues,
    reach,
    retention,
    rules,
    workspaces,
)
from matching_server.storage import provisioning as queue
from matching_server.storage.database import Database, Transaction, asking, asking_all
from matching_server.storage.project_context import project_context
from tests.support.databases import TestDatabases, connected
from tests.support.seed import insert_advisors, insert_projects

RUNS = 30
HISTORY = 3_000
OFFERED = 300
DUE = 5
COOLDOWN = timedelta(hours=168)
FILL = (
    # Ended matches, and those that are offered, each of a project of its own; a few wait.
    """
    INSERT INTO advisor_match_requests
        (id, project_id, requested_by, status, matched_advisor_id, expires_in, expires_at, created_at)
    SELECT gen_random_uuid(), gen_random_uuid(), gen_random_uuid(),
        CASE WHEN number <= :offered THEN 'matched' ELSE 'client_declined' END, gen_random_uuid(),
        interval '2 h', clock_timestamp() + make_interval(hours => number - :due), clock_timestamp()
    FROM generate_series(1, :history) number
    """,
    """
    INSERT INTO advisor_match_requests (id, project_id, requested_by, status, expires_in, expires_at)
    SELECT gen_random_uuid(), id, gen_random_uuid(), 'pending', interval '2 h',
        clock_timestamp() + interval '1 h'
    FROM unnest(CAST(:waiting AS uuid[])) AS id
    """,
    """
    INSERT INTO project_advisors (project_id, advisor_id)
    SELECT p.id, a.id FROM (SELECT id FROM projects LIMIT 30) p, (SELECT id FROM advisors LIMIT 100) a
    """,
    """
    INSERT INTO workspace_provisioning_queue (match_id, project_id, status)
    SELECT id, project_id, CASE WHEN row_number() OVER () <= 5 THEN 'pending' ELSE 'completed' END
    FROM advisor_match_requests WHERE status = 'client_declined'
    """,
    # As many rules as projects, some deleted; those of the waiting matches name nobody who has a slot.
    """
    INSERT INTO admin_preference_rules (advisor_id, effect, project_id, created_by, deleted_at)
    SELECT :busy, 'require', id, :busy,
        CASE WHEN id <> ALL (CAST(:waiting AS uuid[])) AND random() < 0.5 THEN clock_timestamp() END
    FROM projects
    """,
    """
    INSERT INTO admin_advisor_assignments (project_id, advisor_id, assignment_type, assigned_by, status)
    SELECT gen_random_uuid(), gen_random_uuid(), 'manual_assignment', gen_random_uuid(),
        CASE WHEN number <= :offered THEN 'active' ELSE 'cancelled' END
    FROM generate_series(1, :history) number
    """,
    """
    INSERT INTO project_events (project_id, seq, type, payload)
    SELECT :project, number, 'advisor.released', '{}' FROM generate_series(1, :history) number
    """,
    # Ten times as many that were sent; a few recipients wait, one of them for a lot.
    """
    INSERT INTO notification_outbox (type, recipient_id, status, next_attempt_at, created_at, updated_at)
    SELECT 'test', gen_random_uuid(), 'sent', NULL, written, written
    FROM generate_series(1, 10 * :history) number,
        LATERAL (SELECT clock_timestamp() - make_interval(secs => number) AS written) w
    """,
    """
    INSERT INTO notification_outbox (type, recipient_id)
    SELECT 'test', CASE WHEN number <= :due THEN gen_random_uuid() ELSE :busy END
    FROM generate_series(1, 4 * :due) number
    """,
    """
    INSERT INTO notification_outbox (type, recipient_id, status)
    SELECT 'test', gen_random_uuid(), 'dead' FROM generate_series(1, :due) number
    """,
)


@dataclass(frozen=True)
class Crowd:
    """A database in which what is looked for is rare."""

    database: Database
    project: UUID
    advisor: UUID


@pytest.fixture(scope="module")
def crowd(databases: TestDatabases) -> Iterator[Crowd]:
    """Shared, since every run is undone."""
    with databases.migrated() as url:
        with connected(url) as conn:
            found = _fill(conn)
        database = Database(url, pool_size=1, application_name="hot")
        yield Crowd(database, *found)
        database.close()


def _fill(conn: Connection) -> tuple[UUID, UUID]:
    project, *others = insert_projects(conn, 500)
    advisors = insert_advisors(conn, HISTORY, slots=1)
    conn.execute(text("UPDATE advisor_availability SET current_projects = 1"))
    insert_advisors(conn, DUE)
    values = {
        "project": project,
        "busy": advisors[0],
        "waiting": others[:DUE],
        "history": HISTORY,
        "offered": OFFERED,
        "due": DUE,
    }
    for statement in FILL:
        conn.execute(text(statement), values)
    conn.execute(text("ANALYZE"))
    return project, advisors[0]


Run = Callable[[Transaction, Crowd], object]
MATCHES = "advisor_match_requests"
QUEUE = "workspace_provisioning_queue"
RULES = "admin_preference_rules"
OUTBOX = "notification_outbox"
START = (datetime.min.replace(tzinfo=UTC), UUID(int=0))
ANY_INDEX = None
JOB = LeasedJob(uuid4(), uuid4(), uuid4(), JobStatus.PROCESSING, 1, uuid4(), None, None)


def advising(crowd: Crowd) -> Caller:
    return Caller(crowd.advisor, "", frozenset({Role.ADVISOR}))


STATEMENTS: dict[str, tuple[str, str | None, Run]] = {
    "anybody with a slot": (
        "advisor_availability",
        "ix_advisor_availability_has_slot",
        lambda tx, crowd: availability.claim_anybody(tx, [uuid4()]),
    ),
    "the next choices": (
        "advisor_availability",
        ANY_INDEX,
        lambda tx, crowd: availability.claim_unlocked(tx, [uuid4() for _ in range(50)]),
    ),
    "the next of the backlog": (
        MATCHES,
        "ix_advisor_match_requests_pending",
        lambda tx, crowd: backlog.next_servable(tx.conn, COOLDOWN, [uuid4()]),
    ),
    "the rules of the backlog": (
        RULES,
        "ix_admin_preference_rules_live",
        lambda tx, crowd: backlog.next_servable(tx.conn, COOLDOWN),
    ),
    "the rules that apply": (
        RULES,
        "ix_admin_preference_rules_live",
        lambda tx, crowd: project_context(
            asking(tx.conn), crowd.project, MatchCriteria(tech_stack=TechStack("react")), timedelta(hours=1)
        ),
    ),
    "the newest rules": (
        RULES,
        "ix_admin_preference_rules_created_at_id",
        lambda tx, crowd: rules.list_page(
            tx.conn, before=(datetime.max.replace(tzinfo=UTC), uuid4()), limit=5
        ),
    ),
    "what an advisor may claim": (
        MATCHES,
        "ix_advisor_match_requests_pending",
        lambda tx, crowd: matches.list_claimable(tx.conn, crowd.advisor, COOLDOWN, after=START, limit=50),
    ),
    "whether an advisor is eligible": (
        MATCHES,
        ANY_INDEX,
        lambda tx, crowd: eligibility.is_eligible(tx.conn, uuid4(), crowd.advisor, COOLDOWN),
    ),
    "whether others wait": (
        MATCHES,
        "ix_advisor_match_requests_pending",
        lambda tx, crowd: project_context(asking(tx.conn), crowd.project, MatchCriteria(), COOLDOWN),
    ),
    "a project's unsettled match": (
        MATCHES,
        "uq_advisor_match_requests_unsettled",
        lambda tx, crowd: matches.lock_unsettled(tx, crowd.project),
    ),
    "whether a project is offered to an advisor": (
        MATCHES,
        ANY_INDEX,
        lambda tx, crowd: reach.parts(tx.conn, advising(crowd), crowd.project),
    ),
    "an advisor's open offers": (
        MATCHES,
        "ix_advisor_match_requests_held",
        lambda tx, crowd: matches.open_offers(tx.conn, crowd.advisor),
    ),
    "open matches past their time": (
        MATCHES,
        "ix_advisor_match_requests_open_expiry",
        lambda tx, crowd: matches.overdue(tx.conn, 200),
    ),
    "jobs that are due": (
        QUEUE,
        "ix_workspace_provisioning_queue_due",
        lambda tx, crowd: queue.take(asking_all(tx.conn), 1, timedelta(0)),
    ),
    "how a job stands": (
        QUEUE,
        "pk_workspace_provisioning_queue",
        lambda tx, crowd: workspaces.look(asking(tx.conn), JOB),
    ),
    "how many jobs wait": (
        QUEUE,
        "ix_workspace_provisioning_queue_due",
        lambda tx, crowd: queues.depths(tx.conn),
    ),
    "old jobs that were completed": (
        QUEUE,
        "ix_workspace_provisioning_queue_created_at_id",
        lambda tx, crowd: retention.forget_completed(tx, timedelta(days=1)),
    ),
    "leases that ran out": (
        QUEUE,
        "ix_workspace_provisioning_queue_lease",
        lambda tx, crowd: queue.return_expired(tx, 3),
    ),
    "notifications that are due": (
        OUTBOX,
        "ix_notification_outbox_pending",
        lambda tx, crowd: deliveries.take(tx, 32, timedelta(0)),
    ),
    "the oldest notifications": (
        OUTBOX,
        "ix_notification_outbox_oldest",
        lambda tx, crowd: deliveries.take(tx, 32, timedelta(0)),
    ),
    "how many notifications are dead": (
        OUTBOX,
        "ix_notification_outbox_dead",
        lambda tx, crowd: queues.depths(tx.conn),
    ),
    "the newest notifications": (
        OUTBOX,
        "ix_notification_outbox_created_at_id",
        lambda tx, crowd: outbox.list_page(
            tx.conn, statuses=(), type_=None, recipient_id=None, before=None, limit=50
        ),
    ),
    "notifications that were sent long ago": (
        OUTBOX,
        "ix_notification_outbox_sent",
        lambda tx, crowd: retention.forget_sent(tx, timedelta(days=30)),
    ),
    "whether an advisor is active": (
        "project_advisors",
        ANY_INDEX,
        lambda tx, crowd: directory.is_active_advisor(tx.conn, crowd.project, crowd.advisor),
    ),
    "an assignment that ends": (
        "admin_advisor_assignments",
        "uq_admin_advisor_assignments_active",
        lambda tx, crowd: assignments.cancel_of_advisor(tx, crowd.project, crowd.advisor),
    ),
    "an assignment without a match": (
        "admin_advisor_assignments",
        "uq_admin_advisor_assignments_active",
        lambda tx, crowd: project_context(asking(tx.conn), crowd.project, MatchCriteria(), COOLDOWN),
    ),
    "events after a number": (
        "project_events",
        "pk_project_events",
        lambda tx, crowd: event_log.read_after(tx.conn, crowd.project, HISTORY - 10, 200),
    ),
}


class Undo(Exception):
    """Takes back what a run changed, so that the next one finds the same."""


def counted(tx: Transaction, what: str, relation: str | None) -> int:
    """What this connection has counted of a table or an index: its scans, or the entries they returned."""
    value: int = tx.conn.execute(
        text(f"SELECT coalesce(pg_stat_get_xact_{what}(to_regclass(:relation)), 0)"), {"relation": relation}
    ).scalar_one()
    return value


def measured(crowd: Crowd, run: Run, what: str, relation: str | None) -> list[int]:
    """How much each of many runs under generic plans added to a count."""
    added = []

    def work(tx: Transaction) -> None:
        tx.conn.execute(text("SET LOCAL plan_cache_mode = force_generic_plan"))
        before = counted(tx, what, relation)
        run(tx, crowd)
        added.append(counted(tx, what, relation) - before)
        raise Undo

    for _ in range(RUNS):
        with pytest.raises(Undo):
            crowd.database.transact(work)
    return added


@pytest.mark.parametrize("name", list(STATEMENTS))
def test_a_hot_statement_keeps_its_index(crowd: Crowd, name: str) -> None:
    table, index, run = STATEMENTS[name]
    assert measured(crowd, run, "numscans", table) == [0] * RUNS, "the table is read from end to end"
    if index is not ANY_INDEX:
        assert min(measured(crowd, run, "numscans", index)) > 0, "the index is not used"


def test_the_sweep_reads_what_is_due_and_not_all_that_is_open(crowd: Crowd) -> None:
    _, index, run = STATEMENTS["open matches past their time"]
    assert max(measured(crowd, run, "tuples_returned", index)) <= DUE + 1


def test_a_dispatcher_reads_what_is_pending_and_not_all_that_was_sent(crowd: Crowd) -> None:
    _, index, run = STATEMENTS["notifications that are due"]
    # What is undone leaves entries behind: only the first run finds none of those.
    crowd.database.read(lambda conn: conn.exec_driver_sql("VACUUM (INDEX_CLEANUP ON) notification_outbox"))
    # Each recipient's oldest in turn, and whose turn it is of each of the oldest.
    assert measured(crowd, run, "tuples_returned", index)[0] <= 6 * DUE
    crowd.database.read(lambda conn: conn.exec_driver_sql("VACUUM (INDEX_CLEANUP ON) notification_outbox"))
    # Only what is taken is found by its key: to lock it, and to write the lease.
    assert measured(crowd, run, "tuples_returned", "pk_notification_outbox")[0] <= 4 * DUE


def test_what_was_sent_long_ago_is_found_without_reading_the_dead(databases: TestDatabases) -> None:
    with databases.migrated() as url:
        with connected(url) as conn:
            conn.execute(
                text(
                    "INSERT INTO notification_outbox (type, recipient_id, status, created_at, updated_at)"
                    " SELECT 'test', gen_random_uuid(), CASE WHEN number <= :due THEN 'sent' ELSE 'dead' END,"
                    " written, written FROM generate_series(1, :history) number,"
                    " LATERAL (SELECT clock_timestamp() - make_interval(days => 90, secs => number) AS written) w"
                ),
                {"due": DUE, "history": HISTORY},
            )
            conn.execute(text("ANALYZE"))
        database = Database(url, pool_size=1, application_name="hot")

        def forget(tx: Transaction) -> int:
            assert retention.forget_sent(tx, timedelta(days=30)) == DUE
            # By an index, and from end to end.
            return counted(tx, "tuples_fetched", OUTBOX) + counted(tx, "tuples_returned", OUTBOX)

        read = database.transact(forget).value
        database.close()
    assert read <= 4 * DUE


MANY_WAIT = (
    """
    INSERT INTO advisor_match_requests (id, project_id, requested_by, status, expires_in, expires_at)
    SELECT gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), 'finalized', interval '2 h', clock_timestamp()
    FROM generate_series(1, :waiting)
    """,
    """
    INSERT INTO workspace_provisioning_queue (match_id, project_id)
    SELECT id, project_id FROM advisor_match_requests
    """,
    "ANALYZE",
)


@pytest.fixture
def busy(databases: TestDatabases) -> Iterator[Database]:
    """Many jobs wait; all is done on one connection."""
    with databases.migrated() as url:
        with connected(url) as conn:
            for statement in MANY_WAIT:
                conn.execute(text(statement), {"waiting": HISTORY})
        database = Database(url, pool_size=1, application_name="hot")
        yield database
        database.close()


def take_one(tx: Transaction) -> None:
    assert len(queue.take(asking_all(tx.conn), 1, timedelta(minutes=1))) == 1


def test_the_plan_of_taking_a_job_is_kept_however_many_wait(busy: Database) -> None:
    for _ in range(RUNS):
        busy.transact(take_one)
    planned = text("SELECT custom_plans FROM pg_prepared_statements WHERE statement LIKE '%SKIP LOCKED%'")
    assert busy.read(lambda conn: conn.execute(planned).scalar_one()) < 10, "it is planned anew for each job"


def test_that_a_job_was_taken_is_the_one_thing_whose_way_to_the_disk_is_not_waited_for(
    busy: Database,
) -> None:
    def said(conn: Connection) -> object:
        return conn.execute(text("SHOW synchronous_commit")).scalar_one()

    def take_and_say(tx: Transaction) -> object:
        take_one(tx)
        return said(tx.conn)

    assert busy.transact(take_and_say).value == "off"
    assert busy.read(said) == "on"
