"""An admin puts an advisor on a project: what goes before it, what hinders it, and what it leaves behind."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from matching_server.domain.calls import Call
from matching_server.domain.errors import (
    AdvisorAtCapacity,
    AdvisorInactive,
    AdvisorNotFound,
    AdvisorUnavailable,
    AlreadyAssigned,
    DomainError,
    IdempotencyMismatch,
    InvalidArgument,
    InvalidTransition,
    ProjectNotFound,
)
from matching_server.domain.model import (
    AssignmentType,
    ClosedReason,
    Decision,
    ExclusionReason,
    Match,
    MatchCriteria,
    MatchStatus,
    PendingReason,
    ProvisioningState,
    Role,
    Side,
    WorkspaceRole,
)
from matching_server.operations import backlog
from matching_server.operations.assignments import assign_advisor
from matching_server.operations.availability import update_availability
from matching_server.operations.commands import (
    AssignAdvisor,
    AssignedAdvisor,
    SimulateMatch,
    UpdateAvailability,
)
from matching_server.operations.directory import deactivate_advisor
from matching_server.operations.matching import expire_if_overdue, explain_match
from matching_server.operations.provisioning import AttemptResult, attempt
from matching_server.operations.simulating import simulate_match
from matching_server.operations.upkeep import close_orphans
from matching_server.storage import assignments
from tests.integration.jobs import failing, make_due, take
from tests.integration.world import WAIT, World, call, together
from tests.support.locks import held, wait_for_waiters
from tests.support.seed import insert_advisors, insert_user

S = MatchStatus
MANUAL, EMERGENCY = AssignmentType.MANUAL, AssignmentType.EMERGENCY
LOCK = "SELECT 1 FROM advisor_availability WHERE advisor_id = :id FOR NO KEY UPDATE"


@pytest.fixture
def world(world: World) -> World:
    """Workspaces are made."""
    return world.under(auto_provision=True)


def assignment(world: World, id_: UUID) -> dict[str, Any]:
    """The stored assignment."""
    row = world.conn.execute(text("SELECT * FROM admin_advisor_assignments WHERE id = :id"), {"id": id_})
    return dict(row.mappings().one())


def status_of(world: World, id_: UUID) -> str:
    """Whether an assignment still is active."""
    return str(assignment(world, id_)["status"])


def offered_to_another(world: World) -> Match:
    """A match that has been offered to an advisor, who is the only one yet."""
    world.advisor(slots=1)
    return world.create()


# ------------------------------------------------------------------------------------------------- what it makes


def test_a_manual_assignment_is_an_offer_like_any_other(world: World) -> None:
    advisor, project, admin = world.advisor(slots=2), world.project(), call(None, Role.ADMIN)
    made = world.assign(project, advisor, admin, reason="knows the code")
    match = made.match
    assert match == world.match(match.id)
    assert (match.status, match.matched_advisor_id, match.assignment_type) == (S.MATCHED, advisor, MANUAL)
    assert (match.requested_by, match.score) == (admin.caller.user_id, None)
    assert match.match_reason == "Assigned by an admin (0 of 2 slots taken): knows the code"
    assert match.expires_at - match.created_at == match.expires_in
    assert match.expires_in.total_seconds() == 7200
    assert (world.column(match, "load_at_claim"), world.column(match, "slots_at_claim")) == (0, 2)
    assert world.load(advisor) == 1
    [event] = world.events(project)
    assert (event.type.value, event.user_id) == ("advisor.matched", admin.caller.user_id)
    assert world.notified("match_offered") == [advisor]
    assert world.effects[-1].availability_changed == {advisor}
    assert world.approve(match).status is S.FINALIZED
    assert attempt(world.runner, take(world)) is AttemptResult.COMPLETED


def test_the_assignment_and_the_intervention_say_who_did_what_and_why(world: World) -> None:
    advisor, project, admin = world.advisor(), world.project(), call(None, Role.ADMIN)
    made = world.assign(project, advisor, admin, reason="as agreed", role=WorkspaceRole.CONSULTANT)
    stored = assignment(world, made.assignment_id)
    assert (
        stored.items()
        >= {
            "project_id": project,
            "advisor_id": advisor,
            "match_id": made.match.id,
            "assignment_type": "manual_assignment",
            "role": "consultant",
            "assigned_by": admin.caller.user_id,
            "status": "active",
            "reason": "as agreed",
        }.items()
    )
    assert world.rows(
        "SELECT intervention_type, match_id, project_id, reason, created_by, metadata"
        " FROM admin_matching_interventions"
    ) == [
        (
            "advisor_assigned",
            made.match.id,
            project,
            "as agreed",
            admin.caller.user_id,
            {
                "advisorId": str(advisor),
                "assignmentId": str(made.assignment_id),
                "assignmentType": "manual_assignment",
                "role": "consultant",
            },
        )
    ]


def test_an_advisor_who_accepts_by_themselves_accepts_a_manual_assignment(world: World) -> None:
    advisor, project = world.advisor(preferences={"auto_accept": True}), world.project()
    made = world.assign(project, advisor)
    assert made.match.status is S.ADVISOR_ACCEPTED
    assert world.told(project) == ["advisor.matched", "advisor.accepted"]
    assert world.approve(made.match, Side.CLIENT).status is S.FINALIZED


@pytest.mark.parametrize("status", ["available", "busy", "offline"])
def test_an_emergency_is_finalized_at_once_whatever_status_and_load(world: World, status: str) -> None:
    advisor = world.advisor(slots=1, preferences={"auto_accept": True})
    world.create()
    world.run("UPDATE advisor_availability SET status = :status", status=status)
    project, admin = world.project(), call(None, Role.ADMIN)
    match = world.assign(project, advisor, admin, assignment_type=EMERGENCY).match
    assert match == world.match(match.id)
    assert (match.status, match.previous_status) == (S.FINALIZED, S.MATCHED)
    assert (match.assignment_type, match.provisioning_state) == (EMERGENCY, ProvisioningState.QUEUED)
    assert (match.client_decision, match.advisor_decision) == (None, None)
    assert (world.column(match, "load_at_claim"), world.column(match, "slots_at_claim")) == (1, 1)
    assert match.match_reason == "Assigned by an admin in an emergency (1 of 1 slots taken)."
    assert world.load(advisor) == 2
    told = [(event.type.value, event.user_id) for event in world.events(project)]
    assert told == [
        ("advisor.matched", admin.caller.user_id),
        ("advisor.finalized", admin.caller.user_id),
    ]
    assert world.effects[-1].job_queued
    assert attempt(world.runner, take(world)) is AttemptResult.COMPLETED
    assert world.match(match.id).provisioning_state is ProvisioningState.READY
    assert world.load(advisor) == 2


def test_with_the_flag_off_an_emergency_has_no_job_and_is_settled(world: World) -> None:
    off = world.under(auto_provision=False)
    advisor, project = off.advisor(), off.project()
    match = off.assign(project, advisor, assignment_type=EMERGENCY).match
    assert (match.status, match.provisioning_state) == (S.FINALIZED, None)
    assert off.ask("SELECT count(*) FROM workspace_provisioning_queue") == 0
    assert off.create(project).id != match.id


@pytest.mark.parametrize("role", list(WorkspaceRole))
@pytest.mark.parametrize("how", [MANUAL, EMERGENCY])
def test_the_role_reaches_the_workspace(world: World, how: AssignmentType, role: WorkspaceRole) -> None:
    made = world.assign(world.project(), world.advisor(), assignment_type=how, role=role)
    if how is MANUAL:
        world.approve(made.match)
    assert attempt(world.runner, take(world)) is AttemptResult.COMPLETED
    assert world.rows("SELECT status, role FROM project_advisors") == [("active", role.value)]


def test_the_role_holds_although_another_assignment_has_followed(world: World) -> None:
    off = world.under(auto_provision=False)
    project = world.project()
    first = off.assign(project, off.advisor(), assignment_type=EMERGENCY, role=WorkspaceRole.CONSULTANT)
    off.assign(project, off.advisor())
    assert status_of(world, first.assignment_id) == "cancelled"
    role = world.database.read(lambda conn: assignments.role_of(conn, first.match))
    assert role is WorkspaceRole.CONSULTANT


def test_the_choice_is_explained_as_an_admins(world: World) -> None:
    advisor = world.advisor(slots=2)
    match = world.assign(world.project(), advisor).match
    record, replay_matches = explain_match(world.runner, call(), match.id)
    assert replay_matches
    assert record["algorithm"] is None
    assert record["chosen"]["advisor_id"] == str(advisor)
    assert (record["load_at_claim"], record["slots_at_claim"]) == (0, 2)


def test_exclusions_and_cool_down_do_not_hold_for_an_admin(world: World) -> None:
    advisor = world.advisor()
    project = world.project()
    world.decline(world.create(project), Side.ADVISOR)
    waiting = world.create(project, criteria=MatchCriteria(exclude_advisor_ids=(advisor,)))
    assert waiting.status is S.PENDING
    assert world.assign(project, advisor).match.matched_advisor_id == advisor


# ---------------------------------------------------------------------------------------------- what it replaces


def pending(world: World) -> Match:
    return world.create()


OPEN: dict[str, Callable[[World], Match]] = {
    "pending": pending,
    "matched": offered_to_another,
    "client_approved": lambda world: world.approve(offered_to_another(world), Side.CLIENT),
    "advisor_accepted": lambda world: world.approve(offered_to_another(world), Side.ADVISOR),
}


@pytest.mark.parametrize("how", [MANUAL, EMERGENCY])
@pytest.mark.parametrize("status", OPEN)
def test_an_open_match_is_replaced_and_its_slot_comes_free(
    world: World, status: str, how: AssignmentType
) -> None:
    old = OPEN[status](world)
    assert old.status.value == status
    before = len(world.events(old.project_id))
    advisor, admin = world.advisor(), call(None, Role.ADMIN)
    made = world.assign(old.project_id, advisor, admin, assignment_type=how)
    closed = world.match(old.id)
    assert (closed.status, closed.closed_reason) == (S.EXPIRED, ClosedReason.SUPERSEDED_BY_ADMIN)
    assert closed.previous_status is old.status
    assert world.load(advisor) == 1
    expired, matched, *_ = world.events(old.project_id)[before:]
    assert [event.type.value for event in (expired, matched)] == ["advisor.match_expired", "advisor.matched"]
    assert (expired.match_id, matched.match_id) == (old.id, made.match.id)
    assert (expired.user_id, getattr(expired.payload, "reason", "")) == (
        admin.caller.user_id,
        "superseded_by_admin",
    )
    owner = world.owner(old.project_id)
    assert world.notified("match_expired") == [owner]
    if old.matched_advisor_id is None:
        assert world.notified("advisor_found") == [owner], "they have waited"
    else:
        assert world.notified("offer_ended") == [old.matched_advisor_id]
        assert world.load(old.matched_advisor_id) == 0
        assert world.notified("advisor_found") == []
        assert world.effects[-1].capacity_freed
        assert world.effects[-1].availability_changed == {old.matched_advisor_id, advisor}


def test_the_advisor_who_holds_the_offer_can_be_assigned_with_their_only_slot(world: World) -> None:
    advisor = world.advisor(slots=1)
    old = world.create()
    assert old.matched_advisor_id == advisor
    match = world.assign(old.project_id, advisor).match
    assert (match.status, world.match(old.id).status) == (S.MATCHED, S.EXPIRED)
    assert (world.column(match, "load_at_claim"), world.column(match, "slots_at_claim")) == (0, 1)
    assert world.load(advisor) == 1
    again = world.assign(old.project_id, advisor, assignment_type=EMERGENCY).match
    assert again.status is S.FINALIZED
    assert world.column(again, "load_at_claim") == 0
    assert world.load(advisor) == 1


@pytest.mark.parametrize("same", [True, False], ids=["the-same-advisor", "another"])
def test_a_match_that_has_run_out_expires_as_such(world: World, same: bool) -> None:
    old = offered_to_another(world)
    world.make_overdue(old.id)
    advisor = old.matched_advisor_id if same else world.advisor(slots=1)
    assert advisor is not None
    match = world.assign(old.project_id, advisor).match
    assert match.status is S.MATCHED
    assert world.match(old.id).closed_reason is ClosedReason.EXPIRED
    assert world.load(advisor) == 1
    assert world.told(old.project_id) == ["advisor.matched", "advisor.match_expired", "advisor.matched"]


def test_a_match_that_has_run_out_expires_though_the_assignment_is_refused(world: World) -> None:
    old = offered_to_another(world)
    world.make_overdue(old.id)
    with pytest.raises(AdvisorUnavailable):
        world.assign(old.project_id, world.advisor(status="busy"))
    stored = world.match(old.id)
    assert (stored.status, stored.closed_reason) == (S.EXPIRED, ClosedReason.EXPIRED)
    assert old.matched_advisor_id is not None
    assert world.load(old.matched_advisor_id) == 0


def test_a_new_assignment_cancels_the_one_before(world: World) -> None:
    project = world.project()
    first = world.assign(project, world.advisor())
    second = world.assign(project, world.advisor())
    assert status_of(world, first.assignment_id) == "cancelled"
    assert status_of(world, second.assignment_id) == "active"
    world.approve(second.match)
    assert attempt(world.runner, take(world)) is AttemptResult.COMPLETED
    third = world.assign(project, world.advisor())
    assert status_of(world, second.assignment_id) == "cancelled"
    assert status_of(world, third.assignment_id) == "active"
    assert world.rows("SELECT status FROM project_advisors") == [("active",)]


# ---------------------------------------------------------------------------------------------- what hinders it


def refused(world: World, error: type[DomainError], project: UUID, advisor: UUID, **command: Any) -> Any:
    """The assignment is refused so, and nothing has changed."""
    tables = (
        "advisor_match_requests",
        "admin_advisor_assignments",
        "admin_matching_interventions",
        "project_events",
        "advisor_availability",
        "notification_outbox",
    )

    def everything() -> list[Any]:
        return [world.rows(f"SELECT * FROM {table} ORDER BY 1, 2") for table in tables]

    before = everything()
    with pytest.raises(error) as raised:
        world.assign(project, advisor, **command)
    assert everything() == before
    return raised.value


@pytest.mark.parametrize("how", [MANUAL, EMERGENCY])
def test_project_and_advisor_have_to_be_there_and_active_and_no_owner(
    world: World, how: AssignmentType
) -> None:
    old = offered_to_another(world)
    advisor, project = world.advisor(), old.project_id
    on = partial(refused, world, assignment_type=how)
    on(ProjectNotFound, uuid4(), advisor)
    on(AdvisorNotFound, project, uuid4())
    on(AdvisorNotFound, project, insert_user(world.conn))
    owned = world.project(owner_id=advisor)
    [violation] = on(InvalidArgument, owned, advisor).violations
    assert violation.field == "advisor_id"
    world.run("UPDATE advisors SET active = false WHERE id = :id", id=advisor)
    on(AdvisorInactive, project, advisor)


@pytest.mark.parametrize("status", ["busy", "offline"])
def test_a_manual_assignment_needs_an_available_advisor(world: World, status: str) -> None:
    old = offered_to_another(world)
    error = refused(world, AdvisorUnavailable, old.project_id, world.advisor(status=status))
    assert status in str(error)


def test_a_manual_assignment_needs_a_slot(world: World) -> None:
    advisor = world.advisor(slots=2)
    for _ in range(2):
        world.create()
    other = world.create()
    assert other.status is S.PENDING
    refused(world, AdvisorAtCapacity, other.project_id, advisor)
    # Fewer slots than projects are no room either, even where the offer that is replaced is theirs.
    world.run("UPDATE advisor_availability SET max_concurrent_projects = 1")
    [held_project, _] = [
        row[0] for row in world.rows("SELECT project_id FROM advisor_match_requests WHERE status = 'matched'")
    ]
    refused(world, AdvisorAtCapacity, held_project, advisor)


@pytest.mark.parametrize("how", [MANUAL, EMERGENCY])
def test_a_workspace_that_is_being_made_is_not_taken_from_its_advisor(
    world: World, how: AssignmentType
) -> None:
    match = world.approve(offered_to_another(world))
    assert match.matched_advisor_id is not None
    for advisor in (world.advisor(), match.matched_advisor_id):
        error = refused(world, InvalidTransition, match.project_id, advisor, assignment_type=how)
        assert error.metadata == {"from": "finalized", "to": "expired", "match_id": str(match.id)}


@pytest.mark.parametrize("how", [MANUAL, EMERGENCY])
def test_who_is_active_on_the_project_cannot_be_assigned_again(world: World, how: AssignmentType) -> None:
    off = world.under(auto_provision=False)
    by_hand = off.approve(offered_to_another(off))
    ready = world.approve(offered_to_another(world))
    assert attempt(world.runner, take(world)) is AttemptResult.COMPLETED
    for match in (by_hand, ready):
        assert match.matched_advisor_id is not None
        on = partial(refused, world, AlreadyAssigned, match.project_id, assignment_type=how)
        on(match.matched_advisor_id)
        # Another one can be; and while they are offered the project, the first still cannot.
        second = world.advisor()
        assert world.assign(match.project_id, second).match.status is S.MATCHED
        on(match.matched_advisor_id)


# -------------------------------------------------------------------------------------------- rows others hold


def test_a_row_that_another_transaction_holds_is_waited_for(world: World) -> None:
    advisor, project = world.advisor(slots=1), world.project()
    with ThreadPoolExecutor(1) as pool:
        with held(world.conn, LOCK, id=advisor):
            asked = pool.submit(world.assign, project, advisor)
            wait_for_waiters(world.conn)
            assert not asked.done()
        assert asked.result(WAIT).match.status is S.MATCHED


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ("status = 'offline'", AdvisorUnavailable),
        ("current_projects = max_concurrent_projects", AdvisorAtCapacity),
        ("advisor_active = false", AdvisorInactive),
    ],
)
def test_what_the_other_transaction_wrote_is_what_counts(
    world: World, change: str, error: type[DomainError]
) -> None:
    advisor, project = world.advisor(), world.project()
    with ThreadPoolExecutor(1) as pool:
        change_it = f"UPDATE advisor_availability SET {change} WHERE advisor_id = :id"
        with held(world.conn, change_it, id=advisor) as other:
            asked = pool.submit(world.assign, project, advisor)
            wait_for_waiters(world.conn)
            other.commit()
        with pytest.raises(error):
            asked.result(WAIT)
    world.run("UPDATE advisor_availability SET current_projects = 0")


def test_a_row_of_the_platform_that_comes_in_between_is_cancelled(world: World) -> None:
    advisor, project = world.advisor(), world.project()
    with ThreadPoolExecutor(1) as pool:
        with held(world.conn, _BY_THE_PLATFORM, project=project, advisor=advisor) as other:
            asked = pool.submit(world.assign, project, advisor)
            wait_for_waiters(world.conn)
            other.commit()
        made = asked.result(WAIT)
    assert world.rows(
        "SELECT id = :id, status FROM admin_advisor_assignments ORDER BY created_at", id=made.assignment_id
    ) in ([(False, "cancelled"), (True, "active")], [(True, "active"), (False, "cancelled")])


# ------------------------------------------------------------------------------------------ how long it lasts


def _expire(world: World, match: Match) -> None:
    world.make_overdue(match.id)
    assert expire_if_overdue(world.runner, match.project_id, match.id)


def _withdraw(world: World, match: Match) -> None:
    assert match.matched_advisor_id is not None
    by = call(match.matched_advisor_id, Role.ADVISOR)
    wanted = UpdateAvailability(match.matched_advisor_id, decline_open_offers=True)
    update_availability(world.runner, by, wanted)


def _deactivate(world: World, match: Match) -> None:
    assert match.matched_advisor_id is not None
    deactivate_advisor(world.runner, call(), match.matched_advisor_id, None)


def _deactivate_while_provisioning(world: World, match: Match) -> None:
    world.approve(match)
    _deactivate(world, match)
    assert attempt(world.runner, take(world)) is AttemptResult.ROLLED_BACK


def _orphan(world: World, match: Match) -> None:
    world.run("DELETE FROM auth.users WHERE id = :id", id=match.matched_advisor_id)
    assert close_orphans(world.runner) == 1


CLOSE: dict[str, Callable[[World, Match], object]] = {
    "the client declines": lambda world, match: world.decline(match, Side.CLIENT),
    "the advisor declines": lambda world, match: world.decline(match, Side.ADVISOR),
    "the advisor withdraws": _withdraw,
    "its time runs out": _expire,
    "it is replaced": lambda world, match: world.assign(match.project_id, world.advisor()),
    "the advisor is deactivated": _deactivate,
    "the advisor is gone": _orphan,
    "the workspace can never be made": _deactivate_while_provisioning,
    "the advisor is released": lambda world, match: world.release(
        match.project_id, match.matched_advisor_id or uuid4()
    ),
}


@pytest.mark.parametrize("how", CLOSE)
def test_an_assignment_ends_with_its_match(world: World, how: str) -> None:
    made = world.assign(world.project(), world.advisor())
    CLOSE[how](world, made.match)
    assert not world.match(made.match.id).is_open
    assert status_of(world, made.assignment_id) == "cancelled"


def test_an_assignment_lasts_until_the_advisor_is_released(world: World) -> None:
    advisor, project = world.advisor(), world.project()
    made = world.assign(project, advisor)
    world.approve(made.match)
    assert attempt(world.runner, take(world)) is AttemptResult.COMPLETED
    assert status_of(world, made.assignment_id) == "active"
    # What happens to the project's later matches is nothing to it.
    world.advisor()
    world.decline(world.create(project), Side.CLIENT)
    assert status_of(world, made.assignment_id) == "active"
    assert world.release(project, advisor)
    assert status_of(world, made.assignment_id) == "cancelled"


_BY_THE_PLATFORM = """
INSERT INTO admin_advisor_assignments (project_id, advisor_id, assignment_type, assigned_by, role)
VALUES (:project, :advisor, 'manual_assignment', gen_random_uuid(), 'consultant')
"""


def assigned_by_the_platform(world: World, project: UUID, advisor: UUID) -> UUID:
    world.run(_BY_THE_PLATFORM, project=project, advisor=advisor)
    found: UUID = world.ask("SELECT id FROM admin_advisor_assignments WHERE match_id IS NULL")
    return found


def test_whom_the_platform_has_assigned_is_offered_ahead_of_any_ranking(world: World) -> None:
    """By its own SQL, and over exclusions, rules and cool-down."""
    project = world.project()
    advisor = world.advisor(rating=1)
    insert_advisors(world.conn, 3, rating=5)
    world.run(
        "INSERT INTO admin_preference_rules (advisor_id, effect, created_by) VALUES (:id, 'exclude', :id)",
        id=advisor,
    )
    assignment = assigned_by_the_platform(world, project, advisor)
    match = world.create(project, criteria=MatchCriteria(exclude_advisor_ids=(advisor,)))
    assert (match.matched_advisor_id, match.assignment_type) == (advisor, MANUAL)
    assert world.match(match.id) == match
    assert status_of(world, assignment) == "active"
    assert world.database.read(lambda conn: assignments.role_of(conn, match)) is WorkspaceRole.CONSULTANT
    world.decline(match, Side.CLIENT)
    assert status_of(world, assignment) == "cancelled"
    assert world.create(project).matched_advisor_id != advisor


def test_whom_the_platform_has_assigned_is_waited_for(world: World) -> None:
    project = world.project()
    advisor, other = world.advisor(status="busy"), world.advisor()
    assignment = assigned_by_the_platform(world, project, advisor)
    waiting = world.create(project)
    assert (waiting.status, waiting.pending_reason) == (S.PENDING, PendingReason.ALL_ADVISORS_BUSY)
    assert backlog.run_pass(world.runner) == 0
    assert world.load(other) == 0
    world.run("UPDATE advisor_availability SET status = 'available'")
    assert backlog.run_pass(world.runner) == 1
    served = world.match(waiting.id)
    assert (served.matched_advisor_id, served.assignment_type) == (advisor, MANUAL)
    world.decline(served, Side.ADVISOR)
    assert status_of(world, assignment) == "cancelled"


@pytest.mark.parametrize("why", ["the owner", "inactive", "active there"])
def test_an_assignment_of_the_platform_that_nobody_can_serve_holds_nobody_up(world: World, why: str) -> None:
    advisor = world.advisor(active=why != "inactive")
    project = world.project(owner_id=advisor) if why == "the owner" else world.project()
    if why == "active there":
        world.run(
            "INSERT INTO project_advisors (project_id, advisor_id) VALUES (:project, :advisor)",
            project=project,
            advisor=advisor,
        )
        world.run("UPDATE advisor_availability SET current_projects = 1")
    other = world.advisor()
    assigned_by_the_platform(world, project, advisor)
    match = world.create(project)
    assert (match.matched_advisor_id, match.assignment_type) == (other, None)


# ------------------------------------------------------------------------------------------------ rolled back


def fail_for_good(world: World) -> None:
    """Every attempt that there is fails."""
    with failing(world):
        results = []
        for _ in range(3):
            results.append(attempt(world.runner, take(world)))
            make_due(world)
    assert results[-1] is AttemptResult.ROLLED_BACK


def test_an_emergency_that_is_rolled_back_is_decided_by_both_sides(world: World) -> None:
    advisor = world.advisor(slots=1)
    world.create()
    made = world.assign(world.project(), advisor, assignment_type=EMERGENCY, role=WorkspaceRole.CONSULTANT)
    fail_for_good(world)
    back = world.match(made.match.id)
    assert (back.status, back.assignment_type) == (S.MATCHED, EMERGENCY)
    assert (back.client_decision, back.advisor_decision) == (None, None)
    # Over capacity, and still held.
    assert world.load(advisor) == 2
    assert status_of(world, made.assignment_id) == "active"
    once = world.approve(back, Side.ADVISOR)
    assert once.status is S.ADVISOR_ACCEPTED
    final = world.approve(once, Side.CLIENT)
    assert (final.status, final.provisioning_state) == (S.FINALIZED, ProvisioningState.QUEUED)
    assert attempt(world.runner, take(world)) is AttemptResult.COMPLETED
    assert world.rows("SELECT status, role FROM project_advisors") == [("active", "consultant")]
    assert world.load(advisor) == 2


def test_an_emergency_that_is_rolled_back_can_be_declined_or_replaced(world: World) -> None:
    for end in (Side.CLIENT, Side.ADVISOR, None):
        advisor = world.advisor(status="offline")
        made = world.assign(world.project(), advisor, assignment_type=EMERGENCY)
        fail_for_good(world)
        if end is None:
            again = world.assign(made.match.project_id, advisor, assignment_type=EMERGENCY)
            assert again.match.status is S.FINALIZED
            assert world.load(advisor) == 1
        else:
            world.decide(world.match(made.match.id), end, Decision.DECLINED)
            assert world.load(advisor) == 0
        assert status_of(world, made.assignment_id) == "cancelled"


# --------------------------------------------------------------------------------------------- asked repeatedly


def _encode(assigned: AssignedAdvisor) -> bytes:
    return f"{assigned.assignment_id} {assigned.match.id} {assigned.match.status}".encode()


def _ask(world: World, by: Call, project: UUID, advisor: UUID, how: AssignmentType) -> bytes:
    wanted = AssignAdvisor(project, advisor, assignment_type=how)
    answer = assign_advisor(world.runner, by, wanted, _encode)
    return answer if isinstance(answer, bytes) else _encode(answer)


@pytest.mark.parametrize("how", [MANUAL, EMERGENCY])
def test_a_repeated_request_is_answered_as_the_first_time(world: World, how: AssignmentType) -> None:
    advisor, project, admin, request_id = world.advisor(), world.project(), uuid4(), uuid4()
    first = _ask(world, call(admin, Role.ADMIN, request_id=request_id), project, advisor, how)
    before = world.events(project)
    again = _ask(world, call(admin, Role.ADMIN, request_id=request_id), project, advisor, how)
    assert again == first
    assert world.events(project) == before
    with pytest.raises(IdempotencyMismatch):
        _ask(world, call(admin, Role.ADMIN, request_id=request_id, body=b"other"), project, advisor, how)


@pytest.mark.parametrize("how", [MANUAL, EMERGENCY])
def test_the_same_request_many_times_at_once_is_one_assignment(world: World, how: AssignmentType) -> None:
    advisor, project, admin, request_id = world.advisor(), world.project(), uuid4(), uuid4()
    asked = [
        partial(_ask, world, call(admin, Role.ADMIN, request_id=request_id), project, advisor, how)
        for _ in range(6)
    ]
    answers = together(*asked)
    assert len({str(answer) for answer in answers}) == 1, answers
    assert isinstance(answers[0], bytes)
    assert world.ask("SELECT count(*) FROM advisor_match_requests") == 1
    assert world.load(advisor) == 1


def test_a_simulation_names_whom_the_platform_has_assigned(world: World) -> None:
    project, advisor = world.project(), world.advisor(rating=1)
    insert_advisors(world.conn, 3, rating=5)
    assigned_by_the_platform(world, project, advisor)
    asked = SimulateMatch(project, MatchCriteria(exclude_advisor_ids=(advisor,)), 10)
    simulated = simulate_match(world.runner, call(), asked)
    assert [one.advisor.id for one in simulated.ranking.candidates] == [advisor]
    assert {why for _, why in simulated.excluded} == {ExclusionReason.NOT_REQUIRED}
