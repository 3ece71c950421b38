"""The usual workspace in two statements leaves behind what the general case leaves behind, or nothing at all."""

from __future__ import annotations

import os
import re
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any

import psycopg
import pytest
from _pytest.mark import ParameterSet
from sqlalchemy import event, text

from matching_server.domain.model import JobStatus, Match, MatchStatus, ProvisioningState
from matching_server.domain.provisioning import LeasedJob
from matching_server.operations import workspaces
from matching_server.operations.directory import deactivate_advisor
from matching_server.operations.provisioning import (
    AttemptResult,
    attempt,
    hand_back,
    return_expired_leases,
    take_jobs,
)
from matching_server.operations.runner import Runner
from matching_server.storage import workspaces as statements
from matching_server.storage.database import Ask, Database
from tests.integration.jobs import end_lease, everything, finalized, job_of, take
from tests.integration.world import WAIT, World, call, together
from tests.support.faults import STEPS, failing_on
from tests.support.locks import held, wait_for_waiters
from tests.support.rounds import rounds
from tests.support.seed import insert_project, insert_user

R = AttemptResult
OWN = ("id", "project_id", "created_at", "updated_at", "last_active", "session_id", "next_attempt_at")
"""Columns that differ from one workspace to the next."""
TABLES = {
    "advisor_match_requests": ("requested_by", "expires_at", "client_decided_at", "advisor_decided_at"),
    "workspace_provisioning_queue": ("match_id", "next_retry_at"),
    "workspace_provisioning_attempts": ("job_id", "started_at"),
    "project_advisors": (),
    "unified_chat_sessions": (),
    "unified_chat_messages": (),
    "notification_outbox": ("recipient_id",),
    "project_events": ("user_id",),
    "project_event_heads": (),
}
_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]{22}")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d[T ][\d:.+]+")


@pytest.fixture
def world(world: World) -> World:
    """Workspaces are made, and one advisor is free for many projects."""
    world.advisor(slots=100)
    return world.under(auto_provision=True)


@pytest.fixture
def in_steps(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Turns the usual case off."""
    return lambda: monkeypatch.setattr(workspaces, "make_at_once", lambda *_: False)


def written(world: World, match: Match) -> dict[str, list[str]]:
    """All rows, with this match's ids and times taken out: which id it was, and that it was one moment, is kept."""
    known = {
        str(match.id): "MATCH",
        str(match.project_id): "PROJECT",
        str(match.matched_advisor_id): "ADVISOR",
        str(world.owner(match.project_id)): "OWNER",
    }
    # When the workspace was made, by its last event.
    ready = world.events(match.project_id)[-1].created_at
    rows = {}
    for table, own in TABLES.items():
        columns = " - ".join(["to_jsonb(t)", *(f"'{name}'" for name in (*OWN, *own))])
        found = [str(row[0]) for row in world.rows(f"SELECT ({columns})::text FROM {table} t")]
        rows[table] = sorted(
            _MOMENT.sub(
                lambda at: "READY" if datetime.fromisoformat(at[0]) == ready else "WHEN",
                _ID.sub(lambda id_: known.get(id_[0], "ID"), row),
            )
            for row in found
        )
    return rows


@pytest.mark.plants_violations
@pytest.mark.parametrize("again", [False, True], ids=["new", "again"])
def test_both_ways_write_the_same(world: World, in_steps: Callable[[], None], again: bool) -> None:
    found, told = [], []
    for usual in (True, False):
        if not usual:
            in_steps()
        world.run(f"TRUNCATE {', '.join(TABLES)} CASCADE")
        world.run("UPDATE advisor_availability SET current_projects = 0, last_assigned_at = NULL")
        owner = insert_user(world.conn, locale="de-DE")
        project = insert_project(world.conn, owner_id=owner)
        by = replace(world.client(project), correlation_id="correlation")
        match = world.approve(world.create(project, by))
        world.run("UPDATE workspace_provisioning_queue SET correlation_id = 'correlation'")
        world.run("DELETE FROM project_events WHERE type <> 'advisor.finalized'")
        world.run("UPDATE project_events SET correlation_id = 'correlation'")
        world.run("DELETE FROM notification_outbox")
        if again:
            of = {"project": project, "advisor": match.matched_advisor_id}
            world.run(
                "INSERT INTO project_advisors VALUES (:project, :advisor, 'inactive', 'consultant')", **of
            )
            world.run(
                "INSERT INTO unified_chat_sessions (project_id, user_id, actor_type, session_state)"
                " VALUES (:project, :advisor, 'advisor', 'ended')",
                **of,
            )
        assert attempt(world.runner, take(world)) is R.COMPLETED
        assert world.events(project)[-2:] == world.effects[-1].events, "watchers are shown what is stored"
        told.append([field for field in _plain(world) if field != "events"])
        found.append(written(world, match))
    assert found[0] == found[1]
    assert told[0] == told[1]
    assert not [table for table, rows in found[0].items() if not rows]


def _plain(world: World) -> list[str]:
    effects = world.effects[-1]
    return [name for name in effects.__slots__ if getattr(effects, name)]


def test_the_usual_job_is_a_take_a_look_and_one_statement(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    match = finalized(world)
    asked = []
    statement = Database._statement

    def counted(database: Database, query: str, params: Any) -> Any:
        asked.append(query)
        return statement(database, query, params)

    monkeypatch.setattr(Database, "_statement", counted)
    monkeypatch.setattr(Database, "transact", _must_not_run)
    assert attempt(world.runner, take(world)) is R.COMPLETED
    assert len(asked) == 3
    assert job_of(world, match, "status, lease_token, last_error") == ("completed", None, None)


def _must_not_run(*_: Any, **__: Any) -> None:
    raise AssertionError("the general case ran")


def test_its_plans_are_kept(world: World) -> None:
    narrow = Database(world.database._engine.url.render_as_string(False), pool_size=1, application_name="one")
    try:
        one = replace(world, database=narrow)
        for _ in range(12):
            finalized(world)
            assert attempt(one.runner, take(one)) is R.COMPLETED
        plans = text("SELECT statement, generic_plans, custom_plans FROM pg_prepared_statements")
        found = [
            (generic, custom)
            for statement, generic, custom in narrow.read(lambda conn: conn.execute(plans).all())
            if "workspace_provisioning_queue" in statement
        ]
    finally:
        narrow.close()
    assert len(found) == 3
    assert all(generic > 0 and custom <= 5 for generic, custom in found), found


Change = Callable[[World, LeasedJob], object]


def _sql(statement: str) -> Change:
    def run(world: World, job: LeasedJob) -> None:
        known = {
            "match": job.match_id,
            "project": job.project_id,
            "advisor": world.match(job.match_id).matched_advisor_id,
        }
        world.run(statement, **{name: id_ for name, id_ in known.items() if f":{name}" in statement})

    return run


def _out_of_its_lease(world: World, _: LeasedJob) -> None:
    end_lease(world)
    assert return_expired_leases(world.runner) == 1


def _leased_by_another(world: World, job: LeasedJob) -> None:
    _out_of_its_lease(world, job)
    take(world)


def _rolled_back_by_another(world: World, job: LeasedJob) -> None:
    world.run("UPDATE workspace_provisioning_queue SET attempt_count = 3")
    world.run("UPDATE workspace_provisioning_attempts SET number = 3")
    end_lease(world)
    return_expired_leases(world.runner)
    assert attempt(world.runner, take(world)) is R.ROLLED_BACK


def _deactivated(world: World, job: LeasedJob) -> None:
    advisor = world.match(job.match_id).matched_advisor_id
    assert advisor is not None
    deactivate_advisor(world.runner, call(), advisor, None)


def _released(world: World, job: LeasedJob) -> None:
    advisor = world.match(job.match_id).matched_advisor_id
    assert advisor is not None
    assert world.release(job.project_id, advisor)


UNUSUAL: dict[str, Change] = {
    "the advisor is deactivated": _deactivated,
    "the advisor is gone": _sql("DELETE FROM auth.users WHERE id = :advisor"),
    "the project is gone": _sql("DELETE FROM projects WHERE id = :project"),
    "the advisor is released": _released,
    "the lease has run out": _out_of_its_lease,
    "another worker has the job": _leased_by_another,
    "the job was handed back": lambda world, job: hand_back(world.runner, [job]),
    "another worker has rolled it back": _rolled_back_by_another,
    "another worker has made it": lambda world, job: attempt(world.runner, job),
    "a rollback is needed": _sql(
        "UPDATE workspace_provisioning_queue SET status = 'rollback_needed' WHERE match_id = :match"
    ),
    "an admin has assigned the advisor": _sql(
        "UPDATE advisor_match_requests SET assignment_type = 'manual_assignment' WHERE id = :match"
    ),
    "it is an emergency": _sql(
        "UPDATE advisor_match_requests SET assignment_type = 'emergency_assignment' WHERE id = :match"
    ),
    "the match is not finalized": _sql(
        "UPDATE advisor_match_requests SET status = 'client_approved' WHERE id = :match"
    ),
    "the workspace is not queued": _sql(
        "UPDATE advisor_match_requests SET provisioning_state = 'failed' WHERE id = :match"
    ),
}
ONLY_MEANWHILE: dict[str, Change] = {
    "the log has moved on": _sql(
        "UPDATE project_event_heads SET last_seq = last_seq + 1 WHERE project_id = :project"
    ),
    "the project has another owner": lambda world, job: world.run(
        "UPDATE projects SET owner_id = :owner WHERE id = :id",
        owner=insert_user(world.conn),
        id=job.project_id,
    ),
    "it is for another advisor": lambda world, job: world.run(
        "UPDATE advisor_match_requests SET matched_advisor_id = :advisor WHERE id = :id",
        advisor=world.advisor(status="busy"),
        id=job.match_id,
    ),
}


NEVER = {
    "the match is not finalized",
    "the workspace is not queued",
    "the log has moved on",
    "it is for another advisor",
}
"""States that nothing leads to."""


def _cases(*names: str) -> list[ParameterSet]:
    planted = pytest.mark.plants_violations
    return [pytest.param(name, marks=planted if name in NEVER else ()) for name in names]


def _nothing_is_made(world: World, match: Match, job: LeasedJob) -> Callable[[], None]:
    """What is there now stays as it is."""
    before = everything(world, match), len(world.effects)

    def check() -> None:
        assert (everything(world, match), len(world.effects)) == before

    return check


@pytest.mark.parametrize("unusual", _cases(*UNUSUAL))
def test_what_is_not_usual_is_left_to_the_general_case(world: World, unusual: str) -> None:
    match = finalized(world)
    job = take(world)
    UNUSUAL[unusual](world, job)
    check = _nothing_is_made(world, match, job)
    assert statements.look(world.database.ask, job) is None
    assert workspaces.make_at_once(world.runner, job) is False
    check()


@pytest.mark.parametrize("unusual", _cases(*UNUSUAL, *ONLY_MEANWHILE))
def test_what_changes_after_the_look_is_left_to_the_general_case(
    world: World, monkeypatch: pytest.MonkeyPatch, unusual: str
) -> None:
    match = finalized(world)
    job = take(world)
    look, checks = statements.look, []

    def overtaken(ask: Ask, of: LeasedJob) -> Any:
        seen = look(ask, of)
        monkeypatch.setattr(statements, "look", look)
        (UNUSUAL | ONLY_MEANWHILE)[unusual](world, job)
        checks.append(_nothing_is_made(world, match, job))
        return seen

    monkeypatch.setattr(statements, "look", overtaken)
    assert workspaces.make_at_once(world.runner, job) is False
    [check] = checks
    check()


@pytest.mark.parametrize(
    "row",
    [
        "SELECT FROM project_event_heads WHERE project_id = :project FOR UPDATE",
        "SELECT FROM advisor_match_requests WHERE id = :match FOR UPDATE",
        "SELECT FROM workspace_provisioning_queue WHERE match_id = :match FOR UPDATE",
    ],
)
def test_a_row_that_is_held_is_not_waited_for(world: World, row: str) -> None:
    match = finalized(world)
    job = take(world)
    check = _nothing_is_made(world, match, job)
    known = {"project": match.project_id, "match": match.id}
    with held(world.conn, row, **{name: id_ for name, id_ in known.items() if f":{name}" in row}):
        began = time.monotonic()
        assert workspaces.make_at_once(world.runner, job) is False
        assert time.monotonic() - began < 1.5
    check()
    assert attempt(world.runner, job) is R.COMPLETED


@pytest.mark.parametrize("usual", [True, False], ids=["at once", "in steps"])
@pytest.mark.parametrize("step", STEPS)
def test_a_fault_at_any_step_leaves_nothing_behind_in_either_way(
    world: World, in_steps: Callable[[], None], step: str, usual: bool
) -> None:
    match = finalized(world)
    told = world.told(match.project_id)
    if not usual:
        in_steps()
    with failing_on(world.conn, step, times=1):
        assert attempt(world.runner, take(world)) is R.RETRIED
    assert world.match(match.id) == match
    assert world.told(match.project_id) == told
    for table in ("project_advisors", "unified_chat_sessions", "unified_chat_messages"):
        assert world.ask(f"SELECT count(*) FROM {table}") == 0
    status, count, error = job_of(world, match, "status, attempt_count, last_error")
    assert (status, count, error) == ("pending", 1, "RaiseException: the disk is on fire")
    world.run("UPDATE workspace_provisioning_queue SET next_retry_at = clock_timestamp()")
    assert attempt(world.runner, take(world)) is R.COMPLETED


# -------------------------------------------------------------------------------------------- answers that are lost

STANDS = """
    CREATE FUNCTION stand() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN PERFORM pg_advisory_xact_lock_shared(1); RETURN NEW; END $$;
    CREATE TRIGGER stand BEFORE INSERT ON project_events FOR EACH ROW
        WHEN (NEW.type = 'message.new') EXECUTE FUNCTION stand()
"""


@contextmanager
def sent(world: World) -> Iterator[tuple[list[psycopg.Connection[Any]], LeasedJob, Match, Any]]:
    """While the block runs, the statement has been sent and stands in the midst of its writing.

    Yields the worker's connections, the newest last, the job, its match, and what will become of the attempt.
    """
    match = finalized(world)
    job = take(world)
    world.conn.exec_driver_sql(STANDS)
    opened: list[psycopg.Connection[Any]] = []

    @event.listens_for(world.database._engine, "checkout")
    def checkout(connection: psycopg.Connection[Any], *_: object) -> None:
        opened.append(connection)

    with ThreadPoolExecutor(1) as pool:
        with held(world.conn, "SELECT pg_advisory_xact_lock(1)"):
            result = pool.submit(attempt, world.runner, job)
            wait_for_waiters(world.conn)
            yield opened, job, match, result
        result.exception(WAIT)


def cut(connection: psycopg.Connection[Any]) -> None:
    """Nothing more comes or goes; Postgres learns of it when it answers."""
    with socket.socket(fileno=os.dup(connection.fileno())) as line:
        line.shutdown(socket.SHUT_RDWR)


def one_workspace(world: World, match: Match) -> None:
    for table in ("project_advisors", "unified_chat_sessions", "unified_chat_messages"):
        assert world.ask(f"SELECT count(*) FROM {table}") == 1
    assert world.told(match.project_id)[-3:] == [
        "advisor.finalized",
        "message.new",
        "advisor.workspace_ready",
    ]
    assert job_of(world, match, "status, attempt_count") == ("completed", 1)
    assert len(world.notified("workspace_ready")) == 1
    shown = [one for effects in world.effects for one in effects.events]
    assert shown[-2:] == world.events(match.project_id)[-2:]
    assert [one.type.value for one in shown].count("advisor.workspace_ready") == 1


def test_an_answer_that_is_lost_is_no_lost_lease(world: World) -> None:
    """The general case waits for the statement that nobody hears of any more, and finds its workspace."""
    with sent(world) as (opened, job, match, result):
        cut(opened[-1])
        wait_for_waiters(world.conn, 2)
    assert result.result(WAIT) is R.COMPLETED
    one_workspace(world, match)
    before = everything(world, match)
    assert attempt(world.runner, job) is R.LEASE_LOST
    assert everything(world, match) == before


def test_a_statement_that_died_with_its_connection_is_made_up_for(world: World) -> None:
    with sent(world) as (_, _, match, result):
        world.run(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND wait_event = 'advisory'"
        )
    assert result.result(WAIT) is R.COMPLETED
    one_workspace(world, match)


def test_a_workspace_of_another_worker_is_none_of_ones_own(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The statement was lost before it arrived, and the lease ran out."""
    match = finalized(world)
    job = take(world)
    monkeypatch.setattr(statements, "make", lambda *_: None)
    made = workspaces.make_at_once(world.runner, job)
    assert isinstance(made, workspaces.Unanswered)
    monkeypatch.undo()
    _leased_by_another(world, job)
    [(token,)] = world.rows("SELECT lease_token FROM workspace_provisioning_queue")
    assert attempt(world.runner, replace(job, attempt=2, lease_token=token)) is R.COMPLETED
    monkeypatch.setattr(statements, "make", lambda *_: None)
    before = everything(world, match), len(world.effects)
    assert attempt(world.runner, job) is R.LEASE_LOST
    assert not workspaces.made_after_all(world.runner, made)
    assert (everything(world, match), len(world.effects)) == before


# --------------------------------------------------------------------------------------------------------- races


def _second_worker(world: World, job: LeasedJob) -> object:
    end_lease(world)
    return_expired_leases(world.runner)
    return [attempt(world.runner, other) for other in take_jobs(world.runner, 1)]


def _spent(world: World, job: LeasedJob) -> object:
    """It was the last attempt."""
    once: Runner = world.under(provision_max_attempts=1).runner
    end_lease(world)
    return_expired_leases(once)
    return [attempt(once, other) for other in take_jobs(once, 1)]


RACERS: dict[str, Change] = {
    "release": lambda world, job: world.release(
        job.project_id, world.match(job.match_id).matched_advisor_id or job.id
    ),
    "deactivation": _deactivated,
    "hand-back": lambda world, job: hand_back(world.runner, [job]),
    "second worker": _second_worker,
    "rollback": _spent,
    "the same once more": lambda world, job: attempt(world.runner, job),
}


def later(milliseconds: int, work: Callable[[], object]) -> object:
    time.sleep(milliseconds / 1000)
    return work()


@pytest.mark.parametrize("racer", RACERS)
def test_a_workspace_and_what_others_do_to_it(world: World, racer: str) -> None:
    """One after the other, whichever comes first: a whole workspace or none, and never two."""
    for number in range(rounds(15)):
        world.advisor(slots=1, rating=5) if racer == "deactivation" else None
        match = finalized(world)
        job = take(world)

        # Now this one is a little later, now the other.
        ours, theirs = together(
            partial(later, number % 5, partial(attempt, world.runner, job)),
            partial(later, number % 3, partial(RACERS[racer], world, job)),
        )
        assert isinstance(ours, AttemptResult), ours
        assert not isinstance(theirs, Exception), theirs
        while jobs := take_jobs(world.runner, 10):
            for left in jobs:
                attempt(world.runner, left)
        stored = world.match(match.id)
        told = world.told(match.project_id)
        made = int("advisor.workspace_ready" in told)
        assert told.count("advisor.workspace_ready") == told.count("message.new") == made
        for table in ("project_advisors", "unified_chat_sessions", "unified_chat_messages"):
            count = f"SELECT count(*) FROM {table} WHERE project_id = :id"
            assert world.ask(count, id=match.project_id) == made
        ready = (stored.status, stored.provisioning_state) == (MatchStatus.FINALIZED, ProvisioningState.READY)
        assert ready == bool(made)
        status = job_of(world, match, "status")[0]
        assert status == (JobStatus.COMPLETED if made else JobStatus.FAILED)
        if ours is R.COMPLETED:
            assert made
