"""Servers whose host's clock is ten minutes ahead, or ten minutes behind: nothing but signatures notices.

Who calls has the same clock as the server; the database has the right one.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from datetime import timedelta
from functools import partial
from typing import Any

import grpc
import pytest

from advisor_matching.v1.event_service_pb2 import WatchProjectEventsRequest
from advisor_matching.v1.types_pb2 import Match
from matching_client import Unauthenticated
from matching_server.embedded import EmbeddedServices
from tests.support.clocks import calling_with_clock_off_by, clock_off_by
from tests.support.databases import TestDatabases, connected, wait_until_alone
from tests.support.faults import NOTHING_BEGINS, failing
from tests.support.locks import held, wait_for_waiter_on
from tests.support.processes import Servers
from tests.support.rounds import FULL_SCALE, SCALE
from tests.support.wait import eventually
from tests.support.world import World, environment
from tests.support.worlds import own_world

OFF = timedelta(minutes=10)
CLOCKS = {"ahead": OFF.total_seconds(), "behind": -OFF.total_seconds()}
APPROVED = "DECISION_APPROVED"
SETTINGS: dict[str, Any] = {
    "sweep_seconds": 0.2,
    "heartbeat_seconds": 1,
    "provision_lease_seconds": 60,
    "provision_backoff_seconds": 0.2,
    # Six minutes: less than the clocks are off.
    "event_retention_days": 6 / 24 / 60,
}


@pytest.fixture(scope="module", params=CLOCKS)
def shared(
    request: pytest.FixtureRequest,
    databases: TestDatabases,
    services: EmbeddedServices,
    tmp_path_factory: pytest.TempPathFactory,
) -> Generator[World]:
    """One server, whose clock is wrong."""
    directory, seconds = tmp_path_factory.mktemp("servers"), CLOCKS[request.param]
    with databases.migrated() as url, connected(url) as conn:
        with own_world(conn, Servers(directory, url, services.redis_url)) as world:
            wrong = clock_off_by(directory / "clock", seconds)
            world.servers.start(environment=environment(SETTINGS) | wrong)
            yield world
        wait_until_alone(conn)
        world.assert_sound()


@pytest.fixture
def off(shared: World, request: pytest.FixtureRequest) -> Iterator[float]:
    """How many seconds; who calls in the test has the same clock as the server."""
    seconds = CLOCKS[request.node.callspec.params["shared"]]
    with calling_with_clock_off_by(seconds):
        yield seconds


@pytest.fixture
def world(world: World, off: float) -> World:
    """Called by that clock."""
    return world


def matched(world: World, **options: Any) -> tuple[str, str, Match]:
    """A project that is offered to its own advisor: (project, advisor, match)."""
    advisor, project = world.new_advisor(slots=1), world.new_project()
    match = world.client(project).create_match(project, **options).match
    assert match.matched_advisor.id == advisor
    return project, advisor, match


def finalized(world: World) -> Match:
    """The same, approved by both."""
    project, advisor, match = matched(world)
    world.client(project).submit_client_decision(match.id, APPROVED)
    return world.advisor(advisor).submit_advisor_decision(match.id, APPROVED).match


def seconds_from_now(world: World, column: str, table: str) -> float:
    """How far ahead of the database's clock the one value is."""
    return float(world.value(f"SELECT extract(epoch FROM {column} - clock_timestamp()) FROM {table}"))


def test_only_a_call_signed_by_the_same_clock_is_taken(world: World, off: float) -> None:
    assert world.admin().get_pool_status().total_advisors == 0
    for seconds in {0, *CLOCKS.values()} - {off}:
        with calling_with_clock_off_by(seconds), pytest.raises(Unauthenticated) as refused:
            world.admin().get_pool_status()
        assert refused.value.detail == "TIMESTAMP_SKEW"


def test_times_are_those_of_the_database(world: World) -> None:
    _, _, match = matched(world)
    age = -seconds_from_now(world, "created_at", "advisor_match_requests")
    assert 0 <= age < 5
    assert match.expires_at.ToDatetime() - match.created_at.ToDatetime() == timedelta(hours=2)


def test_an_offer_ends_at_its_time_and_not_ten_minutes_off_it(world: World) -> None:
    """By the server's clock the long one would be over, or the short one not for a long time."""
    _, _, short = matched(world, expires_in=timedelta(seconds=1))
    project, advisor, long = matched(world, expires_in=timedelta(minutes=5))
    world.wait_for_status(short.id, "expired", timeout=5)
    assert world.status(long.id) == "matched"
    world.client(project).submit_client_decision(long.id, APPROVED)
    world.advisor(advisor).submit_advisor_decision(long.id, APPROVED)
    world.wait_for_ready(long.id)


def test_a_worker_leases_for_as_long_as_is_set(world: World) -> None:
    with held(world.conn, "LOCK TABLE project_advisors IN EXCLUSIVE MODE") as holder:
        match = finalized(world)
        wait_for_waiter_on(world.conn, holder)
        assert 50 < seconds_from_now(world, "lease_expires_at", "workspace_provisioning_queue") <= 60
    world.wait_for_ready(match.id)


def test_a_lease_is_another_workers_until_it_runs_out_and_not_ten_minutes_off(world: World) -> None:
    with held(world.conn, NOTHING_BEGINS):
        match = finalized(world)
        world.execute(
            "UPDATE workspace_provisioning_queue SET status = 'processing', attempt_count = 1,"
            " lease_token = gen_random_uuid(), lease_expires_at = clock_timestamp() + interval '60 s'"
        )
    # Sweeps have come and gone when this has expired.
    _, _, short = matched(world, expires_in=timedelta(seconds=1))
    world.wait_for_status(short.id, "expired", timeout=5)
    assert world.values("SELECT status FROM workspace_provisioning_queue") == ["processing"]
    world.execute("UPDATE workspace_provisioning_queue SET lease_expires_at = clock_timestamp()")
    world.wait_for_ready(match.id, timeout=5)


def test_an_attempt_is_made_again_after_its_backoff(world: World) -> None:
    with failing(world, "access row", times=2):
        match = finalized(world)
        world.wait_for_ready(match.id, timeout=5)
    assert world.value("SELECT attempt_count FROM workspace_provisioning_queue") == 3


def test_a_stream_lives_and_beats(world: World) -> None:
    project, _, match = matched(world)
    request = WatchProjectEventsRequest(project_id=project, from_start=True)
    stream = world.client(project).stubs.event.WatchProjectEvents(request, timeout=10)
    events = (answer.event for answer in stream)
    assert next(events).match.match_id == match.id
    beats = [next(events) for _ in range(2)]
    assert {(beat.type, beat.heartbeat.last_event_id != "") for beat in beats} == {("heartbeat", True)}
    stream.cancel()
    with pytest.raises(grpc.RpcError):
        list(stream)


@pytest.mark.skipif(SCALE < FULL_SCALE, reason="what is kept is looked at once a minute: in make robustness")
def test_events_are_kept_as_long_as_they_are_young(world: World) -> None:
    young, _, _ = matched(world)
    old, _, _ = matched(world)
    world.execute(
        "UPDATE project_events SET created_at = created_at - interval '7 minutes' WHERE project_id = :id",
        id=old,
    )
    kept = partial(world.values, "SELECT project_id::text FROM project_events")
    eventually(lambda: kept() == [young], timeout=90, what="the old event is forgotten, the young one kept")
