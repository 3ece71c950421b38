"""Two answers to one match at the same moment: one of them wins, and the other hears why."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import timedelta
from functools import partial

import pytest

from advisor_matching.v1.decision_service_pb2 import (
    SubmitAdvisorDecisionRequest,
    SubmitClientDecisionRequest,
)
from advisor_matching.v1.decision_service_pb2 import SubmitAdvisorDecisionResponse as AdvisorAnswer
from advisor_matching.v1.decision_service_pb2 import SubmitClientDecisionResponse as ClientAnswer
from advisor_matching.v1.match_service_pb2 import CreateMatchRequest
from advisor_matching.v1.types_pb2 import Decision, MatchStatus
from matching_client import DuplicateMatchRequest, InvalidTransition, MatchExpired, MatchingError
from tests.support.at_once import Begun, answers, outcomes
from tests.support.locks import held, wait_for_waiters
from tests.support.rounds import rounds
from tests.support.wait import eventually
from tests.support.world import World

Tell = Callable[[str], None]
APPROVED, DECLINED = Decision.DECISION_APPROVED, Decision.DECISION_DECLINED
FINALIZED = MatchStatus.MATCH_STATUS_FINALIZED
_APPROVED_BY = {"client": "client_approved", "advisor": "advisor_accepted"}


def client_decides(
    world: World, project: str, match_id: str, decision: Decision, server: int = 0
) -> Begun[ClientAnswer]:
    """The client's decision, under way."""
    request = SubmitClientDecisionRequest(match_id=match_id, decision=decision)
    return world.client(project, server=server).stubs.decision.SubmitClientDecision.future(request)


def advisor_decides(
    world: World, advisor: str, match_id: str, decision: Decision, server: int = 0
) -> Begun[AdvisorAnswer]:
    """The advisor's decision, under way."""
    request = SubmitAdvisorDecisionRequest(match_id=match_id, decision=decision)
    return world.advisor(advisor, server=server).stubs.decision.SubmitAdvisorDecision.future(request)


def offered(world: World, count: int) -> list[tuple[str, str, str]]:
    """So many matches, each as (project, advisor, match)."""
    for _ in range(count // 100 + 1):
        world.new_advisor(slots=100)
    made = []
    for _ in range(count):
        project = world.new_project()
        match = world.service().create_match(project).match
        made.append((project, match.matched_advisor.id, match.id))
    return made


def test_both_approvals_at_the_same_moment_finalize_once_with_one_job(world: World, tell: Tell) -> None:
    count = rounds(60, full=500)
    for number, (project, advisor, match) in enumerate(offered(world, count)):
        by_client = partial(client_decides, world, project, match, APPROVED, server=0)
        by_advisor = partial(advisor_decides, world, advisor, match, APPROVED, server=1)
        # Either is the first to leave in half of the rounds.
        begun: list[Begun[ClientAnswer | AdvisorAnswer]]
        begun = [by_client(), by_advisor()] if number % 2 else [by_advisor(), by_client()]
        told = answers(begun)
        assert sum(answer.status == FINALIZED for answer in told) == 1
        assert sum(bool(answer.workspace_provisioning) for answer in told) == 1
    assert set(world.statuses()) == {"finalized"}
    eventually(lambda: _all_ready(world, count), what="every workspace is ready")
    assert len(world.values("SELECT match_id FROM workspace_provisioning_queue")) == count
    for (project,) in world.rows("SELECT project_id FROM advisor_match_requests"):
        assert world.event_types(project).count("advisor.finalized") == 1
    tell(f"{count} rounds")


def _all_ready(world: World, count: int) -> bool:
    ready = "SELECT count(*) FROM advisor_match_requests WHERE provisioning_state = 'ready'"
    return bool(world.value(ready) == count)


@pytest.mark.parametrize("who_declines", ["client", "advisor"])
def test_an_approval_and_a_decline_at_the_same_moment_end_in_one_of_them(
    world: World, who_declines: str, tell: Tell
) -> None:
    """Whoever declines has approved before, and changes their mind while the other side approves."""
    count, won = rounds(20, full=500), {"finalized": 0, f"{who_declines}_declined": 0}
    for number, (project, advisor, match) in enumerate(offered(world, count)):
        sides: dict[str, Callable[..., Begun[ClientAnswer | AdvisorAnswer]]] = {
            "client": partial(client_decides, world, project, match),
            "advisor": partial(advisor_decides, world, advisor, match),
        }
        decliner = sides.pop(who_declines)
        [(who_approves, approver)] = sides.items()
        [first_approved] = answers([decliner(APPROVED)])
        assert first_approved.status != FINALIZED
        decline, approve = partial(decliner, DECLINED, server=0), partial(approver, APPROVED, server=1)
        told = outcomes([decline(), approve()] if number % 2 else [approve(), decline()])
        declined, approved = told if number % 2 else reversed(told)
        status = world.status(match)
        loser = declined if status == "finalized" else approved
        asked_for = f"{who_declines}_declined" if status == "finalized" else _APPROVED_BY[who_approves]
        assert isinstance(loser, InvalidTransition), loser
        assert (loser.metadata["from"], loser.metadata["to"]) == (status, asked_for)
        assert sum(isinstance(ended, MatchingError) for ended in told) == 1
        won[status] += 1
    eventually(lambda: _all_ready(world, won["finalized"]), what="every workspace is ready")
    tell(f"{count} rounds: {won}")


def test_an_approval_at_the_moment_of_expiry_is_made_in_time_or_hears_of_it(world: World, tell: Tell) -> None:
    """Expiries lie close together around now, while the sweeps and the approvals of all run at once."""
    count = rounds(60)
    made = offered(world, count)
    answers(client_decides(world, project, match, APPROVED) for project, _, match in made)
    world.execute(
        """
        WITH spread AS (
            SELECT id, row_number() OVER (ORDER BY id) - 10 AS place FROM advisor_match_requests
        )
        UPDATE advisor_match_requests m SET expires_at = clock_timestamp() + place * interval '5 ms'
        FROM spread WHERE spread.id = m.id
        """
    )
    told = outcomes(
        advisor_decides(world, advisor, match, APPROVED, server=number % 2)
        for number, (_, advisor, match) in enumerate(made)
    )
    for (_, _, match), ended in zip(made, told, strict=True):
        row = world.row("SELECT * FROM advisor_match_requests WHERE id = :id", id=match)
        if isinstance(ended, MatchingError):
            assert isinstance(ended, MatchExpired)
            assert ended.match_id == match
            assert (row["status"], row["closed_reason"]) == ("expired", "expired")
        else:
            assert (ended.status, row["status"]) == (FINALIZED, "finalized")
            assert row["advisor_decided_at"] < row["expires_at"]
    late = sum(isinstance(ended, MatchExpired) for ended in told)
    assert late >= 10 * count // 60, "those that had expired before anybody decided"
    eventually(lambda: _all_ready(world, count - late), what="every workspace is ready")
    tell(f"{count} rounds: {count - late} in time, {late} expired")


def test_a_decision_that_waits_for_its_turn_beyond_the_expiry_is_too_late(world: World) -> None:
    advisor, project = world.new_advisor(), world.new_project()
    match = world.service().create_match(project, expires_in=timedelta(seconds=1)).match
    of = {"id": project}
    with held(world.conn, "SELECT FROM project_event_heads WHERE project_id = :id FOR UPDATE", **of):
        begun = client_decides(world, project, match.id, APPROVED)
        wait_for_waiters(world.conn)
        over = "SELECT expires_at < clock_timestamp() FROM advisor_match_requests WHERE project_id = :id"
        eventually(lambda: world.value(over, **of), what="the match has expired")
    [ended] = outcomes([begun])
    assert isinstance(ended, MatchExpired)
    assert (world.status(match.id), world.load(advisor)) == ("expired", 0)


@pytest.mark.parametrize("fail_if_open", [False, True])
def test_the_same_request_many_times_at_once_has_one_answer(
    world: World, fail_if_open: bool, tell: Tell
) -> None:
    world.new_advisor(slots=100)
    count = rounds(5)
    for _ in range(count):
        request = CreateMatchRequest(
            project_id=world.new_project(), request_id=str(uuid.uuid4()), fail_if_open=fail_if_open
        )
        begun = [
            world.service(server=number % 2).stubs.match.CreateMatch.future(request) for number in range(10)
        ]
        first, *others = answers(begun)
        assert others == [first] * 9
        assert not first.already_open
        # Another request is another matter.
        [duplicate] = outcomes(
            [
                world.service().stubs.match.CreateMatch.future(
                    CreateMatchRequest(project_id=request.project_id, fail_if_open=True)
                )
            ]
        )
        assert isinstance(duplicate, DuplicateMatchRequest)
        assert duplicate.match_id == first.match.id
    tell(f"{count} rounds of 10")
