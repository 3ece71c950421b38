"""Workers in processes of their own: woken, drained, slow, and alone with the work."""

from __future__ import annotations

import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import Connection

from advisor_matching.v1.types_pb2 import Match
from tests.support.faults import NOTHING_BEGINS
from tests.support.locks import held, wait_for_waiters
from tests.support.processes import ServerNotReady, Servers
from tests.support.rounds import rounds
from tests.support.wait import eventually
from tests.support.world import World
from tests.support.worlds import own_world

Tell = Callable[[str], None]


@pytest.fixture
def world(conn: Connection, servers: Servers) -> Iterator[World]:
    """A server that answers calls and leaves the work to others."""
    with own_world(conn, servers) as world:
        world.start("--no-workers")
        yield world


def job(world: World, match: Match) -> tuple[str, int, bool]:
    """Status, attempts and whether somebody has it, of the match's only job."""
    row = world.row(
        "SELECT status, attempt_count, lease_token IS NOT NULL AS leased FROM workspace_provisioning_queue"
        " WHERE match_id = :id",
        id=match.id,
    )
    return row["status"], row["attempt_count"], row["leased"]


@contextmanager
def at_work(world: World) -> Iterator[Match]:
    """While the block runs, a worker has begun with a match's job and waits for the project's turn."""
    with held(world.conn, NOTHING_BEGINS) as nothing_begins:
        _, _, match = world.finalized()
        with held(world.conn, "SELECT FROM project_event_heads FOR UPDATE"):
            nothing_begins.rollback()
            eventually(lambda: job(world, match) == ("processing", 1, True), what="the job has begun")
            yield match


def test_a_worker_does_within_a_second_what_a_server_queued(world: World, tell: Tell) -> None:
    world.start_worker()
    slowest = 0.0
    for _ in range(rounds(5)):
        _, _, match = world.finalized()
        began = time.monotonic()
        world.wait_for_ready(match.id)
        slowest = max(slowest, time.monotonic() - began)
        world.empty()
    tell(f"{rounds(5)} workspaces, ready {slowest:.2f} s after the approval at the most")


def test_a_worker_serves_who_waits_and_sweeps(world: World) -> None:
    world.start_worker(sweep_seconds=0.2)
    project = world.new_project()
    match = world.client(project).create_match(project).match
    assert world.status(match.id) == "pending"
    world.new_advisor()
    world.wait_for_status(match.id, "matched")
    world.execute(
        "UPDATE advisor_match_requests SET expires_at = clock_timestamp() WHERE id = :id", id=match.id
    )
    world.wait_for_status(match.id, "expired")


def test_watchers_of_a_server_see_what_a_worker_does(world: World) -> None:
    world.start_worker()
    project, _, _ = world.finalized()
    seen = [event.type for event in world.watched(project, 6)]
    assert seen[-2:] == ["message.new", "advisor.workspace_ready"]


def test_a_job_that_does_not_end_within_the_drain_is_handed_back_at_once(world: World) -> None:
    worker = world.start_worker(drain_seconds=0.3)
    with at_work(world) as match:
        wait_for_waiters(world.conn)
        assert worker.terminate(timeout=1.5) == 0
        assert job(world, match) == ("pending", 0, False)
        assert world.value("SELECT count(*) FROM workspace_provisioning_attempts") == 0
    world.start_worker()
    world.wait_for_ready(match.id)
    assert job(world, match) == ("completed", 1, False)


def test_a_job_that_takes_longer_than_its_lease_stays_its_workers(world: World) -> None:
    worker = world.start_worker(provision_lease_seconds=0.5, sweep_seconds=0.1)
    ends = "SELECT lease_expires_at FROM workspace_provisioning_queue"
    with at_work(world) as match:
        first = world.value(ends)
        eventually(
            lambda: world.value(f"SELECT ({ends}) > :first + interval '0.9 s'", first=first),
            what="the lease has been extended beyond its first length",
        )
    world.wait_for_ready(match.id)
    assert job(world, match) == ("completed", 1, False)
    assert "lease_lost" not in worker.log()


def test_metrics_tell_of_attempts_and_of_what_waits(world: World) -> None:
    address = world.servers.free_address()
    with held(world.conn, NOTHING_BEGINS) as nothing_begins:
        _, _, match = world.finalized()
        worker = world.start_worker(metrics_listen=address)
        assert told(address, 'matching_provisioning_jobs{status="pending"}') == 1
        assert told(address, "matching_provisioning_oldest_seconds") > 0
        nothing_begins.rollback()
    world.wait_for_ready(match.id)
    eventually(lambda: told(address, 'matching_provisioning_attempts_total{result="completed"}') == 1)
    assert told(address, "matching_provisioning_attempt_seconds_count") == 1
    assert told(address, 'matching_provisioning_jobs{status="pending"}') == 0
    eventually(lambda: told(address, "matching_healthy") == 1)
    with pytest.raises(ServerNotReady, match=f"cannot serve metrics on {address}"):
        world.start_worker(metrics_listen=address)
    assert worker.running


def told(address: str, name: str) -> float:
    """The value of one metric; -1 where nothing has been said of it."""
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=5) as answer:
        lines = answer.read().decode().splitlines()
    return next((float(line.split()[-1]) for line in lines if line.startswith(f"{name} ")), -1)
