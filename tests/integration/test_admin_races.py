"""An admin's hand at the same moment as somebody else's: one comes first, and the other hears what it met."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from uuid import UUID

import pytest

from matching_server.domain.errors import (
    AdvisorAtCapacity,
    AdvisorInactive,
    AlreadyAssigned,
    InvalidTransition,
    MatchExpired,
)
from matching_server.domain.model import (
    AssignmentType,
    ClosedReason,
    Decision,
    Match,
    MatchStatus,
    ProvisioningState,
    Side,
)
from matching_server.operations.commands import AssignedAdvisor
from matching_server.operations.directory import deactivate_advisor
from matching_server.operations.matching import expire_if_overdue
from matching_server.operations.provisioning import AttemptResult, attempt
from tests.integration.jobs import take
from tests.integration.world import World, call, together
from tests.support.rounds import rounds
from tests.support.seed import insert_projects

S = MatchStatus
MANUAL, EMERGENCY = AssignmentType.MANUAL, AssignmentType.EMERGENCY
DEADLOCKS = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
ROUNDS = 15


@pytest.fixture
def world(world: World) -> Iterator[World]:
    """Workspaces are made, one advisor is free for many projects; nobody may run into a deadlock."""
    world.advisor(slots=100)
    yield world.under(auto_provision=True)
    assert world.ask(DEADLOCKS) == 0


def another(world: World) -> UUID:
    """An advisor whom no ranking offers, but an admin can."""
    return world.advisor(slots=100, status="busy")


def one_open_or_queued(world: World, project: UUID) -> None:
    """Whatever happened, the project has one unsettled match."""
    unsettled = world.ask(
        "SELECT count(*) FROM advisor_match_requests WHERE project_id = :project"
        " AND (status IN ('matched', 'client_approved', 'advisor_accepted') OR provisioning_state = 'queued')",
        project=project,
    )
    assert unsettled == 1


@pytest.mark.parametrize("side", list(Side))
def test_an_assignment_and_the_approval_that_finalizes(world: World, side: Side) -> None:
    new = another(world)
    first = Side.ADVISOR if side is Side.CLIENT else Side.CLIENT
    for _ in range(rounds(ROUNDS)):
        match = world.approve(world.create(), first)
        decided, assigned = together(
            partial(world.decide, match, side, Decision.APPROVED),
            partial(world.assign, match.project_id, new, assignment_type=EMERGENCY),
        )
        stored = world.match(match.id)
        if isinstance(assigned, AssignedAdvisor):
            assert isinstance(decided, InvalidTransition)
            assert decided.metadata["from"] == "expired"
            assert stored.closed_reason is ClosedReason.SUPERSEDED_BY_ADMIN
        else:
            assert isinstance(assigned, InvalidTransition)
            assert assigned.metadata["from"] == "finalized"
            assert (stored.status, stored.provisioning_state) == (S.FINALIZED, ProvisioningState.QUEUED)
        one_open_or_queued(world, match.project_id)


@pytest.mark.parametrize("side", list(Side))
def test_an_assignment_and_a_decline(world: World, side: Side) -> None:
    new = another(world)
    for _ in range(rounds(ROUNDS)):
        match = world.create()
        declined, assigned = together(
            partial(world.decide, match, side, Decision.DECLINED),
            partial(world.assign, match.project_id, new, assignment_type=EMERGENCY),
        )
        assert isinstance(assigned, AssignedAdvisor), assigned
        status = world.match(match.id).status
        assert isinstance(declined, InvalidTransition if status is S.EXPIRED else Match)
        assert assigned.match.status is S.FINALIZED
        assert world.load(match.matched_advisor_id or new) == 0


def test_an_assignment_and_the_expiry(world: World) -> None:
    new = another(world)
    for _ in range(rounds(ROUNDS)):
        match = world.create()
        world.make_overdue(match.id)
        _, assigned, decided = together(
            partial(expire_if_overdue, world.runner, match.project_id, match.id),
            partial(world.assign, match.project_id, new, assignment_type=EMERGENCY),
            partial(world.decide, match, Side.CLIENT, Decision.APPROVED),
        )
        assert isinstance(assigned, AssignedAdvisor), assigned
        assert isinstance(decided, MatchExpired)
        assert world.match(match.id).closed_reason is ClosedReason.EXPIRED
        assert world.told(match.project_id) == [
            "advisor.matched",
            "advisor.match_expired",
            "advisor.matched",
            "advisor.finalized",
        ]


def test_two_manual_assignments_of_one_project(world: World) -> None:
    left, right = world.advisor(slots=100), world.advisor(slots=100)
    for project in insert_projects(world.conn, rounds(ROUNDS)):
        made = together(partial(world.assign, project, left), partial(world.assign, project, right))
        statuses = sorted(
            world.match(one.match.id).status for one in made if isinstance(one, AssignedAdvisor)
        )
        assert statuses == [S.EXPIRED, S.MATCHED]
        assert world.rows(
            "SELECT status FROM admin_advisor_assignments WHERE project_id = :project ORDER BY status",
            project=project,
        ) == [("active",), ("cancelled",)]


def test_two_emergencies_of_one_project(world: World) -> None:
    left, right = another(world), another(world)
    for project in insert_projects(world.conn, rounds(ROUNDS)):
        made = together(
            partial(world.assign, project, left, assignment_type=EMERGENCY),
            partial(world.assign, project, right, assignment_type=EMERGENCY),
        )
        [loser] = [one for one in made if isinstance(one, Exception)]
        assert isinstance(loser, InvalidTransition)
        one_open_or_queued(world, project)


def test_an_assignment_and_a_request_for_an_advisor(world: World) -> None:
    new = another(world)
    for project in insert_projects(world.conn, rounds(ROUNDS)):
        created, assigned = together(
            partial(world.create, project),
            partial(world.assign, project, new, assignment_type=EMERGENCY),
        )
        assert isinstance(assigned, AssignedAdvisor), assigned
        assert isinstance(created, Match), created
        if created.id != assigned.match.id:
            assert world.match(created.id).closed_reason is ClosedReason.SUPERSEDED_BY_ADMIN
        one_open_or_queued(world, project)


@pytest.mark.parametrize("replacing", [False, True], ids=["new", "replacing-an-offer"])
def test_two_assignments_of_one_last_slot(world: World, replacing: bool) -> None:
    for _ in range(rounds(ROUNDS)):
        projects = insert_projects(world.conn, 2)
        if replacing:
            for project in projects:
                world.create(project)
        last = world.advisor(slots=1)
        made = together(*[partial(world.assign, project, last) for project in projects])
        [loser] = [one for one in made if isinstance(one, Exception)]
        assert isinstance(loser, AdvisorAtCapacity)
        assert world.load(last) == 1
        world.run("UPDATE advisor_availability SET status = 'busy' WHERE advisor_id = :id", id=last)


def test_assignments_that_swap_two_advisors_do_not_deadlock(world: World) -> None:
    left, right = world.advisor(slots=100), world.advisor(slots=100)
    for _ in range(rounds(ROUNDS)):
        one, other = insert_projects(world.conn, 2)
        world.assign(one, left)
        world.assign(other, right)
        made = together(partial(world.assign, one, right), partial(world.assign, other, left))
        assert [type(answer) for answer in made] == [AssignedAdvisor] * 2, made
        assert world.ask(DEADLOCKS) == 0


def test_the_same_emergency_and_the_provisioning_of_an_earlier_one(world: World) -> None:
    new, first = another(world), another(world)
    for project in insert_projects(world.conn, rounds(ROUNDS)):
        world.assign(project, first, assignment_type=EMERGENCY)
        job = take(world)
        assigned, result = together(
            partial(world.assign, project, new, assignment_type=EMERGENCY),
            partial(attempt, world.runner, job),
        )
        assert result is AttemptResult.COMPLETED
        if isinstance(assigned, AssignedAdvisor):
            assert attempt(world.runner, take(world)) is AttemptResult.COMPLETED
        else:
            assert isinstance(assigned, InvalidTransition)
        with pytest.raises(AlreadyAssigned):
            world.assign(project, first)


def test_an_assignment_and_the_deactivation_of_its_advisor(world: World) -> None:
    for project in insert_projects(world.conn, rounds(ROUNDS)):
        advisor = world.advisor()
        assigned, deactivated = together(
            partial(world.assign, project, advisor),
            partial(deactivate_advisor, world.runner, call(), advisor, None),
        )
        assert not isinstance(deactivated, Exception), deactivated
        if isinstance(assigned, AssignedAdvisor):
            closed = world.match(assigned.match.id)
            assert (closed.status, closed.closed_reason) == (S.EXPIRED, ClosedReason.ADVISOR_DEACTIVATED)
        else:
            assert isinstance(assigned, AdvisorInactive)
        assert world.load(advisor) == 0


def test_a_release_and_the_worker(world: World) -> None:
    new = another(world)
    for project in insert_projects(world.conn, rounds(2 * ROUNDS)):
        made = world.assign(project, new, assignment_type=EMERGENCY)
        job = take(world)
        released, result = together(partial(world.release, project, new), partial(attempt, world.runner, job))
        assert released is True, released
        assert isinstance(result, AttemptResult), result
        match = world.match(made.match.id)
        access = world.rows("SELECT status FROM project_advisors WHERE project_id = :id", id=project)
        if result is AttemptResult.COMPLETED:
            assert (match.status, match.provisioning_state) == (S.FINALIZED, ProvisioningState.READY)
            assert access == [("inactive",)]
        else:
            assert result is AttemptResult.LEASE_LOST
            assert (match.status, match.closed_reason) == (S.EXPIRED, ClosedReason.RELEASED)
            assert access == []
        assert world.load(new) == 0


RACERS: dict[str, Callable[[World, Match], object]] = {
    "approval": lambda world, match: world.decide(match, Side.CLIENT, Decision.APPROVED),
    "decline": lambda world, match: world.decide(match, Side.ADVISOR, Decision.DECLINED),
    "assignment": lambda world, match: world.assign(match.project_id, match.matched_advisor_id or match.id),
    "release": lambda world, match: world.release(match.project_id, match.matched_advisor_id or match.id),
}


@pytest.mark.parametrize("racer", RACERS)
def test_a_release_and_what_others_do_to_the_offer(world: World, racer: str) -> None:
    for _ in range(rounds(ROUNDS)):
        match = world.approve(world.create(), Side.ADVISOR)
        released, other = together(
            partial(world.release, match.project_id, match.matched_advisor_id or match.id),
            partial(RACERS[racer], world, match),
        )
        assert isinstance(released, bool), released
        if racer == "release":
            assert {released, other} == {True, False}
        if racer == "decline":
            assert released is isinstance(other, InvalidTransition)
        # An assignment that came second stands; whatever else there was has ended.
        again = isinstance(other, AssignedAdvisor) and world.match(other.match.id).is_open
        assert world.load(match.matched_advisor_id or match.id) == again
        if again:
            world.release(match.project_id, match.matched_advisor_id or match.id)
