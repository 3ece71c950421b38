"""Many callers at the same moment, over several servers: nothing is given twice, and nobody is turned away."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import pytest

from advisor_matching.v1.decision_service_pb2 import SubmitClientDecisionRequest
from advisor_matching.v1.match_service_pb2 import CreateMatchRequest
from advisor_matching.v1.types_pb2 import Decision, Match, MatchStatus
from matching_client import MatchingClient
from tests.support.at_once import answers, together
from tests.support.databases import wait_until_alone
from tests.support.locks import held, wait_for_waiters
from tests.support.rounds import rounds
from tests.support.wait import eventually
from tests.support.world import World

Tell = Callable[[str], None]
PENDING, MATCHED = MatchStatus.MATCH_STATUS_PENDING, MatchStatus.MATCH_STATUS_MATCHED


def create_all(world: World, projects: Sequence[str], servers: int) -> list[Match]:
    """A request for each project, all under way together, dealt out to the servers in turn."""
    clients = [world.service(server=number) for number in range(servers)]
    begun = [
        clients[number % servers].stubs.match.CreateMatch.future(CreateMatchRequest(project_id=project))
        for number, project in enumerate(projects)
    ]
    return [answer.match for answer in answers(begun)]


def decline_request(match_id: str) -> SubmitClientDecisionRequest:
    return SubmitClientDecisionRequest(match_id=match_id, decision=Decision.DECISION_DECLINED)


def test_200_creates_for_one_project_are_one_match(world: World, tell: Tell) -> None:
    for _ in range(rounds(2)):
        world.new_advisor()
        project = world.new_project()
        created = create_all(world, [project] * 200, servers=2)
        assert len({match.id for match in created}) == 1
        assert {match.status for match in created} == {MATCHED}
        assert world.event_types(project) == ["advisor.matched"]
    tell(f"{rounds(2)} rounds of 200 creates")


@pytest.fixture
def fleet(world: World, request: pytest.FixtureRequest) -> Iterator[int]:
    """So many servers, whatever the module has, for one test."""
    wanted: int = request.param
    extra = world.start_together(wanted - len(world.servers.all), sweep_seconds=0.5)
    yield wanted
    for server in extra:
        server.terminate()
        world.servers.all.remove(server)


@pytest.mark.parametrize("fleet", [2, 4], indirect=True, ids="{}-servers".format)
def test_every_slot_is_given_once_and_what_comes_free_goes_to_who_waits(
    world: World, fleet: int, tell: Tell
) -> None:
    advisors = [world.new_advisor(slots=3) for _ in range(10)]
    projects = [world.new_project() for _ in range(200)]
    created = create_all(world, projects, fleet)
    assert world.statuses() == {"matched": 30, "pending": 170}
    assert [world.load(advisor) for advisor in advisors] == [3] * 10
    # Who was told that they wait, waited: an answer is never overtaken by a slot that was free all along.
    assert sum(match.status == PENDING for match in created) == 170

    declined = [match for match in created if match.status == MATCHED][:5]
    answers(
        world.client(match.project_id, server=number % fleet).stubs.decision.SubmitClientDecision.future(
            decline_request(match.id)
        )
        for number, match in enumerate(declined)
    )
    after = {"client_declined": 5, "matched": 30, "pending": 165}
    eventually(lambda: world.statuses() == after, timeout=4, what=f"statuses are {after}")
    # Those who declined ask again: whom they declined is not offered to them, whoever else they get.
    again = create_all(world, [match.project_id for match in declined], fleet)
    assert {match.status for match in again} == {PENDING}
    assert world.statuses() == {"client_declined": 5, "matched": 30, "pending": 170}
    tell(f"200 projects, 30 slots, {fleet} servers, then 5 declines")


def test_a_slot_that_comes_free_never_goes_back_to_the_project_that_declined(world: World) -> None:
    advisor, project = world.new_advisor(slots=1), world.new_project()
    match = world.service().create_match(project).match
    world.client(project).submit_client_decision(match.id, Decision.DECISION_DECLINED)
    waiting = world.service(server=1).create_match(project).match
    assert (waiting.status, world.load(advisor)) == (PENDING, 0)
    other = world.new_project()
    assert create_all(world, [other], 1)[0].status == MATCHED
    assert world.status(waiting.id) == "pending"


def test_storms_on_two_projects_never_deadlock(own: World, tell: Tell) -> None:
    """Eight callers create and decline on two projects, whose transactions meet on rows of every kind."""
    own.start_together(2, sweep_seconds=0.1)
    for _ in range(2):
        own.new_advisor(slots=1)
    projects = [own.new_project() for _ in range(2)]
    count = rounds(20)
    owners = [[own.client(project, server=server) for project in projects] for server in range(2)]
    stormed = together([partial(_storm, owners[number % 2], projects, count) for number in range(8)])
    assert stormed == [None] * 8
    # A session tells of its deadlocks when it ends, if not before.
    assert [server.terminate() for server in own.servers.all] == [0, 0]
    wait_until_alone(own.conn)
    assert own.value("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()") == 0
    tell(f"8 callers, each {count} rounds of a create and a decline on 2 projects")


def _storm(owners: Sequence[MatchingClient], projects: Sequence[str], count: int) -> None:
    """Raises whatever a call answers but OK: none of them may fail, nor be in another's way."""
    for _ in range(count):
        for project, owner in zip(projects, owners, strict=True):
            request = CreateMatchRequest(project_id=project, allow_previous=True)
            match = owner.stubs.match.CreateMatch(request).match
            owner.stubs.decision.SubmitClientDecision(decline_request(match.id))


def test_a_locked_sole_advisor_with_a_free_slot_is_waited_for(world: World, tell: Tell) -> None:
    """The row's holder lets go within the short wait for the first choice, and well after it."""
    advisor = world.new_advisor(slots=100)
    count = rounds(3)
    for hold_seconds in (0.05, 0.4):
        for _ in range(count):
            project = world.new_project()
            with held(
                world.conn,
                "SELECT FROM advisor_availability WHERE advisor_id = :id FOR UPDATE",
                id=advisor,
            ) as holder:
                begun = world.service().stubs.match.CreateMatch.future(CreateMatchRequest(project_id=project))
                wait_for_waiters(world.conn)
                holder.exec_driver_sql(f"SELECT pg_sleep({hold_seconds})")
                assert not begun.done()
            [answer] = answers([begun])
            assert answer.match.status == MATCHED
            assert answer.match.matched_advisor.id == advisor
    tell(f"{count} rounds for each of two waits")
