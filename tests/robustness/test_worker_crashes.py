"""Workers that die or freeze with a job in their hands: another one takes it, and the effect is one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from functools import partial
from typing import Any

import pytest
from sqlalchemy import Connection

from advisor_matching.v1.types_pb2 import Match
from tests.support.faults import NOTHING_BEGINS, UNUSUAL, failing
from tests.support.locks import held, wait_for_waiters
from tests.support.processes import ServerProcess, Servers
from tests.support.wait import eventually
from tests.support.world import World
from tests.support.worlds import own_world

LEASE: dict[str, Any] = {
    "provision_lease_seconds": 0.6,
    "sweep_seconds": 0.1,
    "provision_backoff_seconds": 0.05,
}
FIRST_WRITE = "SELECT FROM project_event_heads FOR UPDATE"
CHAT_SESSION = "LOCK TABLE unified_chat_sessions IN EXCLUSIVE MODE"
"""What somebody else holds, so that the worker stops there. `test_every_step.py` stops it everywhere."""
WRITTEN = (
    "project_advisors",
    "unified_chat_sessions",
    "unified_chat_messages",
    "notification_outbox",
    "project_events",
)
DOOR = "SELECT pg_advisory_xact_lock(1)"
"""Whoever holds this has the usual case's one statement stop where it writes a table that has a ``stand``."""


@pytest.fixture
def world(conn: Connection, servers: Servers) -> Iterator[World]:
    """A server that answers calls and leaves the work to others."""
    with own_world(conn, servers) as world:
        world.start("--no-workers")
        yield world


def assert_one_workspace(world: World, project: str, match: Match, *, attempts: int) -> None:
    """What the audit asserts of every completed job, said once more for this one."""
    for table in ("project_advisors", "unified_chat_sessions", "unified_chat_messages"):
        assert world.value(f"SELECT count(*) FROM {table} WHERE project_id = :id", id=project) == 1
    assert world.event_types(project)[3:] == ["advisor.finalized", "message.new", "advisor.workspace_ready"]
    assert (job(world, match)["status"], job(world, match)["attempt_count"]) == ("completed", attempts)


def job(world: World, match: Match) -> Mapping[str, Any]:
    """The match's only job."""
    return world.row("SELECT * FROM workspace_provisioning_queue WHERE match_id = :id", id=match.id)


def has_begun(world: World, match: Match) -> bool:
    """Whether a worker has taken the match's job."""
    return bool(job(world, match)["status"] == "processing")


def stop_at(world: World, step: str, worker: ServerProcess, stop: Callable[[], None]) -> None:
    """Stops the worker while it stands at that step of the only job."""
    with held(world.conn, step):
        if not worker.running:
            worker.start()
        wait_for_waiters(world.conn)
        stop()


def test_what_a_killed_worker_had_sent_is_there_as_a_whole_and_once(world: World) -> None:
    """Nobody waits for the answer any more, and Postgres does what it was asked for."""
    worker = world.start(**LEASE)
    for table in WRITTEN:
        world.conn.exec_driver_sql(
            f"""
            CREATE FUNCTION stand() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN PERFORM pg_advisory_xact_lock_shared(1); RETURN NEW; END $$;
            CREATE TRIGGER stand BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION stand()
            """
        )
        with held(world.conn, NOTHING_BEGINS) as nothing_begins:
            project, _, match = world.finalized()
            with held(world.conn, DOOR):
                nothing_begins.rollback()
                eventually(partial(has_begun, world, match), what="the job has begun")
                wait_for_waiters(world.conn)
                worker.kill()
        worker.start()
        world.wait_for_ready(match.id)
        assert_one_workspace(world, project, match, attempts=1)
        world.conn.exec_driver_sql("DROP FUNCTION stand CASCADE")
        world.empty()


def test_a_lease_that_runs_out_counts_as_an_attempt_and_the_third_is_the_last(world: World) -> None:
    admin = world.new_admin()
    project, advisor, match = world.finalized()
    world.execute(UNUSUAL, id=match.id)
    worker = world.start(**LEASE, wait=False)
    for _ in range(3):
        stop_at(world, CHAT_SESSION, worker, worker.kill)
    worker.start()
    world.wait_for_provisioning(match.id, "failed")
    errors = world.values("SELECT error FROM workspace_provisioning_attempts ORDER BY number")
    assert errors == ["the lease ran out"] * 3
    assert (world.status(match.id), world.load(advisor)) == ("client_approved", 1)
    assert world.event_types(project)[-1] == "advisor.provisioning_failed"
    alerted = world.values(
        "SELECT recipient_id::text FROM notification_outbox WHERE type = 'workspace_provisioning_failure'"
    )
    assert alerted == [admin]


def test_a_worker_that_wakes_up_after_its_lease_writes_nothing(world: World) -> None:
    """It froze while it wrote down that its attempt had failed; meanwhile another worker has succeeded."""
    frozen = world.start(**LEASE | {"provision_lease_seconds": 2})
    with failing(world, "access row", times=1), ExitStack() as until_frozen:
        with held(world.conn, NOTHING_BEGINS) as nothing_begins:
            project, _, match = world.finalized()
            with held(world.conn, FIRST_WRITE):
                nothing_begins.rollback()
                eventually(lambda: job(world, match)["status"] == "processing", what="the job has begun")
                until_frozen.enter_context(held(world.conn, NOTHING_BEGINS))
        eventually(lambda: ends_an_attempt(world), what="the worker writes down that its attempt has failed")
        frozen.freeze()
    world.start(**LEASE)
    world.wait_for_ready(match.id, timeout=15)
    assert_one_workspace(world, project, match, attempts=2)
    frozen.thaw()
    eventually(lambda: '"lease_lost"' in frozen.log(), what="the worker has noticed")
    assert_one_workspace(world, project, match, attempts=2)


def ends_an_attempt(world: World) -> bool:
    """Whether somebody waits for a lock to do so. The claim loop and the sweep wait for it, too."""
    waiting = (
        "SELECT query FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    )
    return any("WITH ended" in statement for statement in world.values(waiting))
