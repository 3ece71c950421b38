"""Servers, Postgres and Redis that end in mid-work: what was acknowledged stays, what was not can be repeated."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import grpc

from advisor_matching.v1.match_service_pb2 import CreateMatchRequest
from matching_client import MatchingError
from matching_server.embedded import EmbeddedServices
from tests.support.at_once import answers, together
from tests.support.load import Load
from tests.support.locks import held, wait_for_waiters
from tests.support.processes import ServerProcess
from tests.support.rounds import rounds
from tests.support.wait import eventually
from tests.support.world import SERVICE, World

Tell = Callable[[str], None]
UNAVAILABLE = grpc.StatusCode.UNAVAILABLE
SETTINGS: dict[str, Any] = {
    "provision_lease_seconds": 1,
    "sweep_seconds": 0.2,
    "provision_backoff_seconds": 0.05,
}


def test_a_server_killed_under_load_loses_nothing_that_was_acknowledged(own: World, tell: Tell) -> None:
    """Whatever was not acknowledged is repeated under its request id until it is, and done once."""
    servers = own.start_together(2, **SETTINGS)
    kills = rounds(3, full=100)
    with Load(own, servers=2, projects=rounds(2_000, full=40_000)) as load:
        for _ in range(kills):
            load.wait_for_progress(random.randint(5, 60))
            victim = random.choice(servers)
            victim.kill()
            victim.start()
        load.wait_for_progress()
    load.assert_kept()
    assert load.codes <= {"UNAVAILABLE"}
    eventually(load.all_provisioned, timeout=20, what="every finalized match has its workspace")
    tell(f"{kills} kills, {load.count} calls, {len(load.refusals)} refused and repeated")


def test_a_server_that_is_told_to_end_under_load_finishes_what_has_begun(own: World, tell: Tell) -> None:
    leaving, _ = own.start_together(2, drain_seconds=10, **SETTINGS)
    for _ in range(rounds(2)):
        # Connected again: else the load's first calls would be refused.
        own.service().get_service_info()
        with Load(own, callers=6, persistent=False) as load:
            load.wait_for_progress()
            began = time.monotonic()
            assert leaving.terminate() == 0
            assert time.monotonic() - began < 10
        # CANCELLED is how gRPC itself turns away what reaches a server that has begun to stop.
        assert load.codes <= {"UNAVAILABLE", "UNAVAILABLE DRAINING", "CANCELLED"}
        _assert_refused_calls_had_not_begun(own, load)
        leaving.start()
        eventually(load.all_provisioned, timeout=20, what="every finalized match has its workspace")
        tell(f"ended after {load.count} calls, {len(load.refusals)} refused")


def _assert_refused_calls_had_not_begun(world: World, load: Load) -> None:
    """Whatever was done has been acknowledged."""
    load.assert_kept()
    done = world.row(
        "SELECT count(*) AS created, count(client_decision) AS approved, count(advisor_decision) AS accepted"
        " FROM advisor_match_requests WHERE id = ANY (CAST(:ids AS uuid[])) OR project_id = ANY (:projects)",
        ids=load.acknowledged.created,
        projects=load.refused_projects,
    )
    said = load.acknowledged
    assert done == {
        "created": len(said.created),
        "approved": len(said.approved),
        "accepted": len(said.accepted),
    }


def _reached(made: list[int], wanted: int) -> bool:
    return sum(made) > wanted


def test_callers_of_the_client_notice_nothing_of_restarts(own: World, tell: Tell) -> None:
    """The client makes a call again that was turned away; each is acknowledged within its timeout."""
    server = own.start(**SETTINGS)
    own.new_advisor(slots=100)
    projects, ended = [own.new_project() for _ in range(6)], threading.Event()
    made = [0] * len(projects)

    def ask(number: int) -> None:
        client = own.caller(SERVICE, "service")
        while not ended.is_set():
            client.create_match(projects[number], timeout=15)
            made[number] += 1

    def restart() -> None:
        try:
            for _ in range(rounds(3)):
                wanted = sum(made) + 20
                eventually(partial(_reached, made, wanted), timeout=20, what="calls go on")
                assert server.terminate() == 0
                server.start()
        finally:
            ended.set()

    actions: list[Callable[[], None]] = [restart, *(partial(ask, number) for number in range(6))]
    assert together(actions) == [None] * 7
    tell(f"{rounds(3)} restarts, {sum(made)} calls")


def test_a_call_that_takes_long_is_answered_by_a_server_that_is_ending(own: World) -> None:
    server = own.start(drain_seconds=10)
    own.new_advisor()
    project = own.new_project()
    own.service().get_service_info()
    own.client(project).create_match(project)
    with held(own.conn, "SELECT FROM project_event_heads FOR UPDATE"):
        begun = own.service().stubs.match.CreateMatch.future(CreateMatchRequest(project_id=project))
        wait_for_waiters(own.conn)
        server.ask_to_end()
        eventually(lambda: _is_draining(server), what="the server has begun to end")
    [answer] = answers([begun])
    assert answer.already_open
    eventually(lambda: not server.running, what="the server has ended")
    assert '"stopped"' in server.log()


def _is_draining(server: ServerProcess) -> bool:
    return '"draining"' in server.log()


def test_postgres_killed_under_load_is_told_as_unavailable_and_loses_nothing(
    mortal: World, own_services: EmbeddedServices, tell: Tell
) -> None:
    mortal.start_together(2, **SETTINGS)
    back, kills = [], rounds(1, full=20)
    with Load(mortal, servers=2, projects=rounds(2_000, full=20_000)) as load:
        for _ in range(kills):
            load.wait_for_progress()
            refused = len(load.refusals)
            own_services.postgres.kill()
            # Over before the next round changes the number.
            eventually(lambda: len(load.refusals) > refused, timeout=15, what="calls are refused")  # noqa: B023
            own_services.postgres.restart()
            restarted = time.monotonic()
            load.wait_for_progress(1)
            back.append(time.monotonic() - restarted)
        load.wait_for_progress(100)
    mortal.reconnect()
    load.assert_kept()
    assert load.codes == {"UNAVAILABLE DATABASE_ERROR"}
    assert max(back) < 5
    eventually(load.all_provisioned, timeout=20, what="every finalized match has its workspace")
    assert {error.retry_after is not None for _, error in load.refusals} == {True}
    tell(f"{kills} kills, back after {max(back):.1f} s, {load.count} calls, {len(load.refusals)} refused")


def test_calls_go_on_while_redis_is_away(mortal: World, own_services: EmbeddedServices, tell: Tell) -> None:
    mortal.start(**SETTINGS)
    with Load(mortal) as load:
        load.wait_for_progress()
        own_services.redis.kill()
        load.wait_for_progress(100)
        own_services.redis.restart()
        load.wait_for_progress(100)
    load.assert_kept()
    assert [str(error) for _, error in load.refusals] == []
    eventually(load.all_provisioned, timeout=20, what="every finalized match has its workspace")
    tell(f"{load.count} calls")


def test_with_postgres_away_health_and_reads_say_so(mortal: World, own_services: EmbeddedServices) -> None:
    mortal.start()
    service, project = mortal.service(), mortal.new_project()
    own_services.postgres.kill()
    eventually(
        lambda: service.get_service_info().status == "degraded", what="the service says it is degraded"
    )
    told = [
        _refusal(call)
        for call in (
            lambda: service.get_project(project, timeout=0.5),
            lambda: service.create_match(project, timeout=0.5),
        )
    ]
    assert told == ["DATABASE_ERROR"] * 2
    own_services.postgres.restart()
    eventually(lambda: service.get_service_info().status == "healthy", what="the service is healthy again")
    assert service.get_project(project).id == project


def _refusal(call: Callable[[], object]) -> str:
    try:
        call()
    except MatchingError as error:
        return error.reason
    return "OK"
