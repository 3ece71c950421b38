"""A server that dies before its commit, or after it and before its answer: the same request, repeated, is good."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator

import pytest

from advisor_matching.v1.decision_service_pb2 import SubmitAdvisorDecisionRequest
from advisor_matching.v1.match_service_pb2 import CreateMatchRequest
from advisor_matching.v1.types_pb2 import Decision, MatchStatus
from matching_client import Unavailable
from tests.support.at_once import Begun, answers, outcomes
from tests.support.rounds import FULL_SCALE, SCALE
from tests.support.wire import ADMIT, APPROVE, OFFER, Moment, Plan, Point, Wire
from tests.support.world import World

MOMENTS = [Moment.BEFORE, Moment.AFTER]


@pytest.fixture
def advisor(own: World) -> str:
    """The only one, whom the server knows when it starts: who has to be looked for is found in a transaction."""
    return own.new_advisor(slots=100)


@pytest.fixture
def wire(own: World, advisor: str) -> Iterator[Wire]:
    """Between the database and the server, the only one."""
    with Wire(own.conn.engine.url) as wire:
        own.start("--no-workers", database_url=wire.url)
        yield wire


def dies_unheard(world: World, wire: Wire, plan: Plan, call: Callable[[], Begun[object]]) -> None:
    """The server is killed where the plan holds the call."""
    begun = call()
    wire.wait_for_held(plan)
    world.servers.all[0].kill()
    [ended] = outcomes([begun])
    assert isinstance(ended, Unavailable)
    world.servers.all[0].start()
    # Connected again: what follows is called once.
    world.service().get_service_info()


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_request_for_an_advisor_that_was_not_heard_of_is_answered_to_its_repeat(
    own: World, wire: Wire, advisor: str, moment: Moment
) -> None:
    project = own.new_project()
    request = CreateMatchRequest(project_id=project, request_id=str(uuid.uuid4()), fail_if_open=True)
    plan = wire.plan(OFFER, [Point(0, moment)], project=project)
    dies_unheard(own, wire, plan, lambda: own.service().stubs.match.CreateMatch.future(request))
    assert len(own.values("SELECT id FROM advisor_match_requests")) == (moment is Moment.AFTER)
    [answer] = answers([own.service().stubs.match.CreateMatch.future(request)])
    assert not answer.already_open
    assert own.event_types(project) == ["advisor.matched"]
    assert own.load(advisor) == 1


def last_answer(world: World, decision: Decision) -> tuple[str, SubmitAdvisorDecisionRequest]:
    """A project whose match only the advisor has yet to answer, and that."""
    project = world.new_project()
    match = world.service().create_match(project).match
    world.client(project).submit_client_decision(match.id, "DECISION_APPROVED")
    return project, SubmitAdvisorDecisionRequest(match_id=match.id, decision=decision)


@pytest.mark.parametrize("moment", MOMENTS)
def test_an_approval_that_was_not_heard_of_can_be_repeated_and_finalizes_once(
    own: World, wire: Wire, advisor: str, moment: Moment
) -> None:
    decide = own.advisor(advisor).stubs.decision.SubmitAdvisorDecision
    project, request = last_answer(own, Decision.DECISION_APPROVED)
    plan = wire.plan(APPROVE, [Point(0, moment)])
    dies_unheard(own, wire, plan, lambda: decide.future(request))
    assert own.status(request.match_id) == ("finalized" if moment is Moment.AFTER else "client_approved")
    [answer] = answers([decide.future(request)])
    assert answer.status == MatchStatus.MATCH_STATUS_FINALIZED
    assert own.event_types(project)[1:] == [
        "advisor.client_approved",
        "advisor.accepted",
        "advisor.finalized",
    ]
    jobs = "SELECT count(*) FROM workspace_provisioning_queue WHERE match_id = :id"
    assert own.value(jobs, id=request.match_id) == 1


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_decline_that_was_not_heard_of_can_be_repeated_and_gives_the_slot_back_once(
    own: World, wire: Wire, advisor: str, moment: Moment
) -> None:
    """At its COMMIT; in full, at every statement."""
    decide = own.advisor(advisor).stubs.decision.SubmitAdvisorDecision
    recorded = wire.plan(ADMIT)
    answers([decide.future(last_answer(own, Decision.DECISION_DECLINED)[1])])
    last = len(recorded.seen[-1]) - 1
    assert recorded.seen[-1][last] == "COMMIT"
    for step in range(last + 1) if SCALE >= FULL_SCALE else [last]:
        project, request = last_answer(own, Decision.DECISION_DECLINED)
        plan = wire.plan(ADMIT, [Point(step, moment)])
        dies_unheard(own, wire, plan, lambda: decide.future(request))  # noqa: B023
        done = (step, moment) == (last, Moment.AFTER)
        assert own.status(request.match_id) == ("advisor_declined" if done else "client_approved")
        [answer] = answers([decide.future(request)])
        assert answer.status == MatchStatus.MATCH_STATUS_ADVISOR_DECLINED
        assert own.event_types(project)[1:] == ["advisor.client_approved", "advisor.match_declined"]
        assert own.load(advisor) == 0
