"""An admin on one server, somebody else on another, at the same moment: one comes first, the other hears why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from advisor_matching.v1.admin_service_pb2 import (
    AssignAdvisorRequest,
    AssignAdvisorResponse,
    ReleaseAdvisorRequest,
    ReleaseAdvisorResponse,
)
from advisor_matching.v1.decision_service_pb2 import SubmitAdvisorDecisionRequest
from advisor_matching.v1.decision_service_pb2 import SubmitAdvisorDecisionResponse as Answer
from advisor_matching.v1.match_service_pb2 import CreateMatchRequest
from advisor_matching.v1.types_pb2 import AssignmentType, Decision, MatchStatus
from matching_client import AdvisorAtCapacity, InvalidTransition, MatchExpired, MatchingError
from tests.support.at_once import Begun, answers, outcomes
from tests.support.rounds import rounds
from tests.support.wait import eventually
from tests.support.world import World

Tell = Callable[[str], None]
MANUAL, EMERGENCY = AssignmentType.ASSIGNMENT_TYPE_MANUAL, AssignmentType.ASSIGNMENT_TYPE_EMERGENCY
APPROVED, DECLINED = Decision.DECISION_APPROVED, Decision.DECISION_DECLINED
FINALIZED, MATCHED = MatchStatus.MATCH_STATUS_FINALIZED, MatchStatus.MATCH_STATUS_MATCHED
DEADLOCKS = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"


@pytest.fixture
def world(world: World) -> Iterator[World]:
    """Whoever races, nobody may run into a deadlock, and every workspace that is begun is made."""
    before = world.value(DEADLOCKS)
    yield world
    eventually(
        lambda: (
            world.value("SELECT count(*) FROM advisor_match_requests WHERE provisioning_state = 'queued'")
            == 0
        ),
        what="no workspace is waited for",
    )
    assert world.value(DEADLOCKS) == before


def assigns(
    world: World, project: str, advisor: str, how: AssignmentType = EMERGENCY, server: int = 0
) -> Begun[AssignAdvisorResponse]:
    """An assignment, under way."""
    request = AssignAdvisorRequest(project_id=project, advisor_id=advisor, assignment_type=how)
    return world.admin(server=server).stubs.admin.AssignAdvisor.future(request)


def releases(world: World, project: str, advisor: str, server: int = 0) -> Begun[ReleaseAdvisorResponse]:
    """A release, under way."""
    request = ReleaseAdvisorRequest(project_id=project, advisor_id=advisor)
    return world.admin(server=server).stubs.admin.ReleaseAdvisor.future(request)


def decides(world: World, advisor: str, match_id: str, decision: Decision, server: int = 0) -> Begun[Answer]:
    """The advisor's decision, under way."""
    request = SubmitAdvisorDecisionRequest(match_id=match_id, decision=decision)
    return world.advisor(advisor, server=server).stubs.decision.SubmitAdvisorDecision.future(request)


def offered(world: World, count: int) -> tuple[str, str, list[tuple[str, str]]]:
    """So many offers to one advisor, approved by the clients, and another for whom no ranking asks."""
    advisor, other = world.new_advisor(slots=100), world.new_advisor(slots=100, status="busy")
    made = []
    for _ in range(count):
        project = world.new_project()
        match = world.service().create_match(project).match
        world.client(project).submit_client_decision(match.id, "DECISION_APPROVED")
        made.append((project, match.id))
    return advisor, other, made


def race(number: int, one: Callable[[], Begun[object]], other: Callable[[], Begun[object]]) -> list[object]:
    """Both at the same moment, now this and now that one a little earlier; what each came to, in their order."""
    if number % 2:
        return list(outcomes([one(), other()]))
    return list(reversed(outcomes([other(), one()])))


@pytest.mark.parametrize("how", [EMERGENCY, MANUAL], ids=["emergency", "manual"])
@pytest.mark.parametrize("decision", [APPROVED, DECLINED], ids=["approval", "decline"])
def test_an_assignment_and_the_advisors_answer(
    world: World, decision: Decision, how: AssignmentType, tell: Tell
) -> None:
    count = rounds(15, full=100)
    advisor, other, made = offered(world, count)
    world.service().update_availability(other, status="AVAILABILITY_STATUS_AVAILABLE")
    first = 0
    for number, (project, match_id) in enumerate(made):
        assigned, decided = race(
            number,
            partial(assigns, world, project, other, how, server=1),
            partial(decides, world, advisor, match_id, decision),
        )
        status = world.status(match_id)
        if status == "expired":
            first += 1
            assert isinstance(decided, InvalidTransition), decided
            assert decided.metadata["from"] == "expired"
        if decision == APPROVED and status == "finalized":
            assert isinstance(assigned, (InvalidTransition, AssignAdvisorResponse)), assigned
        else:
            assert isinstance(assigned, AssignAdvisorResponse), assigned
            assert assigned.match.status == (FINALIZED if how == EMERGENCY else MATCHED)
    tell(f"{count} rounds: the admin first in {first}")


def test_a_release_and_the_last_approval(world: World, tell: Tell) -> None:
    """An offer that is taken back cannot be accepted; one that was accepted first is taken back all the same."""
    count = rounds(20, full=100)
    advisor, _, made = offered(world, count)
    first = 0
    for number, (project, match_id) in enumerate(made):
        released, decided = race(
            number,
            partial(releases, world, project, advisor, server=1),
            partial(decides, world, advisor, match_id, APPROVED),
        )
        assert isinstance(released, ReleaseAdvisorResponse), released
        assert released.released
        status = world.status(match_id)
        if isinstance(decided, MatchingError):
            first += 1
            assert isinstance(decided, InvalidTransition), decided
            assert (decided.metadata["from"], decided.metadata["to"]) == ("expired", "advisor_accepted")
            assert (status, "advisor.accepted" in world.event_types(project)) == ("expired", False)
        else:
            # Released while the workspace was being made, or once it was there.
            assert status in {"expired", "finalized"}
            assert world.event_types(project).index("advisor.finalized") < world.event_types(project).index(
                "advisor.released"
            )
    assert world.values("SELECT status FROM project_advisors WHERE status = 'active'") == []
    assert world.load(advisor) == 0
    tell(f"{count} rounds: the admin first in {first}")


def test_an_emergency_and_the_expiry(world: World, tell: Tell) -> None:
    count = rounds(20)
    advisor, other, made = offered(world, count)
    world.execute(
        """
        WITH spread AS (
            SELECT id, row_number() OVER (ORDER BY created_at) - 5 AS place FROM advisor_match_requests
        )
        UPDATE advisor_match_requests m SET expires_at = clock_timestamp() + place * interval '50 ms'
        FROM spread WHERE spread.id = m.id
        """
    )
    begun = [
        (assigns(world, project, other, server=1), decides(world, advisor, match_id, APPROVED))
        for project, match_id in made
    ]
    ended: Counter[str] = Counter()
    for (project, match_id), (assigning, deciding) in zip(made, begun, strict=True):
        [assigned], [decided] = outcomes([assigning]), outcomes([deciding])
        row = world.row(
            "SELECT status, closed_reason FROM advisor_match_requests WHERE id = :id", id=match_id
        )
        ended[row["closed_reason"] or row["status"]] += 1
        if row["status"] == "expired":
            assert isinstance(assigned, AssignAdvisorResponse), assigned
            late = MatchExpired if row["closed_reason"] == "expired" else InvalidTransition
            assert isinstance(decided, late), (decided, row)
        else:
            assert not isinstance(decided, MatchingError), decided
            assert isinstance(assigned, (InvalidTransition, AssignAdvisorResponse)), assigned
        assert "advisor.finalized" in world.event_types(project)
    assert ended["expired"]
    tell(f"{count} rounds: {dict(ended)}")


def test_an_emergency_and_a_request_for_an_advisor(world: World, tell: Tell) -> None:
    count = rounds(20)
    world.new_advisor(slots=100)
    other = world.new_advisor(slots=100, status="busy")
    for number in range(count):
        project = world.new_project()
        request = CreateMatchRequest(project_id=project)
        assigned, created = race(
            number,
            partial(assigns, world, project, other, server=1),
            partial(world.service().stubs.match.CreateMatch.future, request),
        )
        assert isinstance(assigned, AssignAdvisorResponse), assigned
        assert not isinstance(created, MatchingError), created
        unsettled = world.values(
            "SELECT matched_advisor_id::text FROM advisor_match_requests"
            " WHERE project_id = :id AND status IN ('matched', 'finalized')",
            id=project,
        )
        assert other in unsettled
    tell(f"{count} rounds")


def test_the_last_slot_is_assigned_once(world: World, tell: Tell) -> None:
    count = rounds(10)
    for _ in range(count):
        last = world.new_advisor(slots=1)
        projects = [world.new_project() for _ in range(6)]
        told = outcomes(
            [
                assigns(world, project, last, MANUAL, server=number % 2)
                for number, project in enumerate(projects)
            ]
        )
        assert sum(isinstance(one, AssignAdvisorResponse) for one in told) == 1
        assert sum(isinstance(one, AdvisorAtCapacity) for one in told) == 5
        assert world.load(last) == 1
    tell(f"{count} rounds of 6")


def test_assignments_that_swap_advisors_do_not_deadlock(world: World, tell: Tell) -> None:
    count = rounds(10)
    advisors = [world.new_advisor(slots=100) for _ in range(3)]
    projects = [world.new_project() for _ in range(6)]
    for _ in range(count):
        answers(
            assigns(world, project, advisors[(turn + number) % 3], MANUAL, server=number % 2)
            for turn in range(3)
            for number, project in enumerate(projects)
        )
        assert sum(world.load(advisor) for advisor in advisors) == len(projects)
    tell(f"{count} rounds of 18")


def test_a_release_and_the_workers(world: World, tell: Tell) -> None:
    """The workers take the job within milliseconds: now the release is first, and now they are."""
    count, ended = rounds(30), {"expired": 0, "finalized": 0}
    advisor = world.new_advisor(slots=1)
    for number in range(count):
        project = world.new_project()
        [made] = answers([assigns(world, project, advisor, server=number % 2)])
        [released] = answers([releases(world, project, advisor, server=number // 2 % 2)])
        assert released.released
        status = world.status(made.match.id)
        ended[status] += 1
        access = world.values("SELECT status FROM project_advisors WHERE project_id = :id", id=project)
        assert access == (["inactive"] if status == "finalized" else [])
        assert world.load(advisor) == 0
    eventually(
        lambda: (
            world.value(
                "SELECT count(*) FROM workspace_provisioning_queue WHERE status NOT IN ('completed', 'failed')"
            )
            == 0
        ),
        what="no job is left",
    )
    assert world.values("SELECT status FROM project_advisors WHERE status = 'active'") == []
    assert (
        world.value("SELECT count(*) FROM workspace_provisioning_queue WHERE status = 'failed'")
        == (ended["expired"])
    )
    tell(f"{count} rounds: {ended}")
