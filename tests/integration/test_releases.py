"""An admin takes an advisor off a project: whatever they have of it ends, and their slot comes free once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import pytest

from matching_server.domain.errors import AdvisorNotFound, DomainError, ProjectNotFound
from matching_server.domain.events import ReleasedPayload
from matching_server.domain.model import AssignmentType, ClosedReason, Match, MatchStatus, Role, Side
from matching_server.operations.assignments import release_advisor
from matching_server.operations.commands import ReleaseAdvisor
from matching_server.operations.directory import deactivate_advisor
from matching_server.operations.provisioning import (
    AttemptResult,
    attempt,
    return_expired_leases,
    take_jobs,
)
from matching_server.operations.watching import watch_rights
from tests.integration.jobs import end_lease, everything, failing, job_of, take
from tests.integration.world import World, call
from tests.support.seed import insert_user

S = MatchStatus
ACCESS = "INSERT INTO project_advisors (project_id, advisor_id) VALUES (:project, :advisor)"


@pytest.fixture
def world(world: World) -> World:
    """Workspaces are made, and there is somebody to be alerted."""
    insert_user(world.conn, roles=["admin"])
    return world.under(auto_provision=True)


def queued(world: World) -> Match:
    """A finalized match whose workspace is not made yet."""
    world.advisor(slots=1)
    return world.approve(world.create())


def ready(world: World) -> Match:
    """A match whose workspace was made."""
    match = queued(world)
    assert attempt(world.runner, take(world)) is AttemptResult.COMPLETED
    return world.match(match.id)


def advisor_of(match: Match) -> UUID:
    assert match.matched_advisor_id is not None
    return match.matched_advisor_id


def release(world: World, match: Match) -> bool:
    """The match's advisor is released."""
    return world.release(match.project_id, advisor_of(match))


def nothing_more(world: World, match: Match) -> None:
    """A repeat ends nothing, and changes nothing."""
    before = everything(world, match), world.load(advisor_of(match))
    assert not release(world, match)
    assert (everything(world, match), world.load(advisor_of(match))) == before


# ------------------------------------------------------------------------------------------------- the workspace


def test_a_release_ends_access_and_session_and_frees_the_slot(world: World) -> None:
    match = ready(world)
    advisor, admin = advisor_of(match), call(None, Role.ADMIN)
    before = len(world.events(match.project_id))
    assert release_advisor(world.runner, admin, ReleaseAdvisor(match.project_id, advisor, "moved on"))
    assert world.rows("SELECT status FROM project_advisors") == [("inactive",)]
    assert world.rows("SELECT session_state FROM unified_chat_sessions") == [("ended",)]
    assert world.load(advisor) == 0
    assert world.match(match.id) == match, "what was provisioned stays finalized"
    [event] = world.events(match.project_id)[before:]
    assert (event.type.value, event.user_id) == ("advisor.released", admin.caller.user_id)
    assert event.payload == ReleasedPayload(match.id, advisor, "moved on")
    assert world.notified("offer_ended") == [advisor]
    assert world.ask("SELECT payload ->> 'reason' FROM notification_outbox WHERE type = 'offer_ended'") == (
        "released"
    )
    assert world.rows(
        "SELECT intervention_type, match_id, project_id, reason, created_by, metadata"
        " FROM admin_matching_interventions"
    ) == [
        (
            "advisor_released",
            match.id,
            match.project_id,
            "moved on",
            admin.caller.user_id,
            {"advisorId": str(advisor)},
        )
    ]
    assert world.effects[-1].capacity_freed
    assert world.effects[-1].availability_changed == {advisor}
    nothing_more(world, match)


def test_a_deactivated_advisor_is_released_from_what_went_on(world: World) -> None:
    match = ready(world)
    deactivate_advisor(world.runner, call(), advisor_of(match), None)
    assert world.rows("SELECT status FROM project_advisors") == [("active",)]
    assert release(world, match)
    assert world.rows("SELECT status FROM project_advisors") == [("inactive",)]
    assert world.load(advisor_of(match)) == 0


def test_who_was_released_can_come_back(world: World) -> None:
    match = ready(world)
    assert release(world, match)
    again = world.create(match.project_id)
    assert again.matched_advisor_id == match.matched_advisor_id
    world.approve(again)
    assert attempt(world.runner, take(world)) is AttemptResult.COMPLETED
    assert world.rows("SELECT status FROM project_advisors") == [("active",)]
    assert world.rows("SELECT session_state FROM unified_chat_sessions") == [("active",)]
    assert release(world, match)
    event = world.events(match.project_id)[-1]
    assert event.match_id == again.id, "the match that brought them last"


def test_only_the_one_who_is_named_is_released(world: World) -> None:
    first = ready(world)
    other_project = world.create(world.project())
    assert other_project.status is S.PENDING
    second = world.assign(first.project_id, world.advisor(slots=1)).match
    world.approve(second)
    assert attempt(world.runner, take(world)) is AttemptResult.COMPLETED
    assert release(world, first)
    assert world.rows(
        "SELECT status FROM project_advisors WHERE advisor_id = :id", id=second.matched_advisor_id
    ) == [("active",)]
    assert world.load(advisor_of(second)) == 1
    assert world.release(other_project.project_id, advisor_of(second)) is False


def test_an_access_row_of_the_platform_is_ended_although_nobody_counted_it(world: World) -> None:
    advisor, project = world.advisor(), world.project()
    world.run(ACCESS, project=project, advisor=advisor)
    assert world.release(project, advisor)
    assert world.rows("SELECT status FROM project_advisors") == [("inactive",)]
    assert world.load(advisor) == 0
    [event] = world.events(project)
    assert event.payload == ReleasedPayload(None, advisor, None)
    assert world.notified("offer_ended") == [advisor]
    assert not world.release(project, advisor)


# --------------------------------------------------------------------------------------- before the workspace


def told_in_order(world: World, match: Match, before: int) -> None:
    """First what the admin did, and then what became of the match."""
    released, expired = world.events(match.project_id)[before:]
    assert [released.type.value, expired.type.value] == ["advisor.released", "advisor.match_expired"]
    assert released.match_id == expired.match_id == match.id
    assert getattr(expired.payload, "reason", "") == "released"
    assert getattr(expired.payload, "previous_status", None) is match.status


def test_a_job_that_waits_is_cancelled_without_an_alarm(world: World) -> None:
    match = queued(world)
    before = len(world.events(match.project_id))
    assert release(world, match)
    closed = world.match(match.id)
    assert (closed.status, closed.closed_reason) == (S.EXPIRED, ClosedReason.RELEASED)
    assert closed.provisioning_state is None
    assert job_of(world, match, "status, last_error, attempt_count") == (
        "failed",
        "the advisor was released",
        0,
    )
    told_in_order(world, match, before)
    assert world.notified("workspace_provisioning_failure") == []
    assert world.notified("offer_ended") == [advisor_of(match)]
    assert world.notified("match_expired") == [world.owner(match.project_id)]
    assert world.load(advisor_of(match)) == 0
    assert take_jobs(world.runner, 1) == []
    nothing_more(world, match)
    assert world.create(match.project_id).status is S.MATCHED


def test_with_the_flag_off_a_release_closes_and_frees_the_slot(world: World) -> None:
    off = world.under(auto_provision=False)
    match = queued(off)
    assert match.provisioning_state is None
    before = len(world.events(match.project_id))
    assert release(off, match)
    closed = off.match(match.id)
    assert (closed.status, closed.closed_reason) == (S.EXPIRED, ClosedReason.RELEASED)
    assert off.load(advisor_of(match)) == 0
    told_in_order(off, match, before)
    nothing_more(off, match)


OFFERS: dict[str, Callable[[World], Match]] = {
    "matched": lambda world: world.create(),
    "client_approved": lambda world: world.approve(world.create(), Side.CLIENT),
    "advisor_accepted": lambda world: world.approve(world.create(), Side.ADVISOR),
}


@pytest.mark.parametrize("status", OFFERS)
def test_an_open_offer_ends_with_a_release(world: World, status: str) -> None:
    world.advisor(slots=1)
    match = OFFERS[status](world)
    before = len(world.events(match.project_id))
    assert release(world, match)
    closed = world.match(match.id)
    assert (closed.status, closed.closed_reason) == (S.EXPIRED, ClosedReason.RELEASED)
    told_in_order(world, match, before)
    assert world.notified("offer_ended") == [advisor_of(match)]
    assert world.load(advisor_of(match)) == 0
    nothing_more(world, match)


def test_an_offer_that_has_run_out_expires_and_there_is_nothing_to_release(world: World) -> None:
    world.advisor(slots=1)
    match = world.create()
    world.make_overdue(match.id)
    assert not release(world, match)
    closed = world.match(match.id)
    assert (closed.status, closed.closed_reason) == (S.EXPIRED, ClosedReason.EXPIRED)
    assert world.told(match.project_id) == ["advisor.matched", "advisor.match_expired"]
    assert world.load(advisor_of(match)) == 0


def test_a_slot_that_match_and_access_row_share_comes_free_once(world: World) -> None:
    off = world.under(auto_provision=False)
    advisor = off.advisor(slots=2)
    match = off.approve(off.create())
    off.create()
    # As the platform did before the service made the rows.
    off.run(ACCESS, project=match.project_id, advisor=advisor)
    assert off.load(advisor) == 2
    assert release(off, match)
    assert off.load(advisor) == 1
    assert off.rows("SELECT status FROM project_advisors") == [("inactive",)]


def test_an_emergency_that_was_rolled_back_is_released_as_an_offer(world: World) -> None:
    made = world.assign(world.project(), world.advisor(), assignment_type=AssignmentType.EMERGENCY)
    once = world.under(provision_max_attempts=1)
    with failing(once):
        assert attempt(once.runner, take(once)) is AttemptResult.ROLLED_BACK
    assert release(world, made.match)
    assert world.match(made.match.id).closed_reason is ClosedReason.RELEASED
    assert world.load(advisor_of(made.match)) == 0


def test_an_assignment_that_waits_for_its_match_is_cancelled(world: World) -> None:
    advisor, project = world.advisor(), world.project()
    world.run(
        "INSERT INTO admin_advisor_assignments (project_id, advisor_id, assignment_type, assigned_by)"
        " VALUES (:project, :advisor, 'manual_assignment', :advisor)",
        project=project,
        advisor=advisor,
    )
    assert not world.release(project, world.advisor())
    assert world.release(project, advisor)
    assert world.rows("SELECT status FROM admin_advisor_assignments") == [("cancelled",)]
    assert world.notified("offer_ended") == []
    assert world.load(advisor) == 0
    assert not world.release(project, advisor)


# ------------------------------------------------------------------------------------------------- the worker


def test_a_worker_whose_job_was_cancelled_writes_nothing(world: World) -> None:
    match = queued(world)
    job = take(world)
    assert release(world, match)
    assert world.rows("SELECT error FROM workspace_provisioning_attempts WHERE ended_at IS NOT NULL") == [
        ("the advisor was released",)
    ]
    before = everything(world, match)
    assert attempt(world.runner, job) is AttemptResult.LEASE_LOST
    with failing(world):
        assert attempt(world.runner, job) is AttemptResult.LEASE_LOST
    assert everything(world, match) == before
    assert return_expired_leases(world.runner) == 0
    assert world.load(advisor_of(match)) == 0


def test_a_worker_that_was_first_has_its_workspace_ended(world: World) -> None:
    match = queued(world)
    assert attempt(world.runner, take(world)) is AttemptResult.COMPLETED
    assert release(world, match)
    assert job_of(world, match, "status") == ("completed",)
    assert world.rows("SELECT status FROM project_advisors") == [("inactive",)]
    assert world.load(advisor_of(match)) == 0


def test_a_job_that_waits_for_its_next_attempt_or_its_rollback_is_cancelled(world: World) -> None:
    retried = queued(world)
    with failing(world):
        assert attempt(world.runner, take(world)) is AttemptResult.RETRIED
    assert release(world, retried)
    assert job_of(world, retried, "status, attempt_count") == ("failed", 1)
    spent = queued(world)
    take(world)
    world.run("UPDATE workspace_provisioning_queue SET attempt_count = 3 WHERE status = 'processing'")
    end_lease(world)
    assert return_expired_leases(world.runner) == 1
    rolling = take(world)
    assert release(world, spent)
    assert job_of(world, spent, "status") == ("failed",)
    assert attempt(world.runner, rolling) is AttemptResult.LEASE_LOST
    assert world.match(spent.id).closed_reason is ClosedReason.RELEASED


# --------------------------------------------------------------------------------------------------- who and what


@pytest.mark.parametrize("has", [ready, queued], ids=["ready", "queued"])
def test_the_right_to_watch_ends_with_the_release(world: World, has: Callable[[World], Match]) -> None:
    match = has(world)
    by = call(advisor_of(match), Role.ADVISOR).caller

    def rights() -> Any:
        return world.database.read(lambda conn: watch_rights(conn, by, match.project_id))

    assert rights() is not None
    assert release(world, match)
    assert rights() is None


def test_project_and_advisor_have_to_be_there(world: World) -> None:
    match = ready(world)
    wrong: list[tuple[type[DomainError], UUID, UUID]] = [
        (ProjectNotFound, uuid4(), advisor_of(match)),
        (AdvisorNotFound, match.project_id, uuid4()),
        (AdvisorNotFound, match.project_id, world.owner(match.project_id)),
    ]
    for error, project, advisor in wrong:
        with pytest.raises(error):
            world.release(project, advisor)


def test_who_has_nothing_of_the_project_is_not_released(world: World) -> None:
    stranger = world.advisor(status="busy")
    match = ready(world)
    before = everything(world, match)
    assert not world.release(match.project_id, stranger)
    world.decline(world.assign(match.project_id, world.advisor()).match, Side.ADVISOR)
    declined = world.ask(
        "SELECT matched_advisor_id FROM advisor_match_requests WHERE status LIKE '%declined'"
    )
    assert not world.release(match.project_id, declined)
    assert everything(world, match)[2:4] == before[2:4]
