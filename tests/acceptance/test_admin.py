"""What an admin can do: put an advisor on a project, take one off it, and look at the pool."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from advisor_matching.v1.admin_service_pb2 import AssignAdvisorRequest
from advisor_matching.v1.types_pb2 import (
    AssignmentType,
    ClosedReason,
    MatchingAlgorithm,
    MatchStatus,
    PoolSize,
    WorkspaceProvisioning,
)
from matching_client import (
    AdvisorAtCapacity,
    AdvisorInactive,
    AdvisorNotFound,
    AdvisorUnavailable,
    AlreadyAssigned,
    InvalidArgument,
    InvalidTransition,
    MatchingError,
    ProjectNotFound,
)
from tests.support.watching import watching
from tests.support.world import ADMIN, World

APPROVED = "DECISION_APPROVED"
MANUAL, EMERGENCY = AssignmentType.ASSIGNMENT_TYPE_MANUAL, AssignmentType.ASSIGNMENT_TYPE_EMERGENCY
QUEUED = WorkspaceProvisioning.WORKSPACE_PROVISIONING_QUEUED


def ready(world: World, **how: Any) -> tuple[str, str, str]:
    """An advisor whom an admin has put on a project, workspace and all: (project, advisor, match)."""
    project, advisor = world.new_project(), world.new_advisor()
    made = world.admin().assign_advisor(project, advisor, assignment_type=EMERGENCY, **how)
    world.wait_for_ready(made.match.id)
    return project, advisor, made.match.id


def test_a_manual_assignment_takes_the_place_of_the_offer_and_both_sides_decide(world: World) -> None:
    project, first, old = world.matched()
    wanted = world.new_advisor(slots=1)
    with watching(world.client(project, server=1), project) as watch:
        made = world.admin().assign_advisor(
            project, wanted, reason="asked for", role="WORKSPACE_ROLE_CONSULTANT"
        )
        expired, matched = next(watch), next(watch)
    assert (expired.type, expired.match.match_id, expired.match.reason) == (
        "advisor.match_expired",
        old.id,
        "superseded_by_admin",
    )
    assert (matched.type, matched.match.advisor_id, matched.user_id) == (
        "advisor.matched",
        wanted,
        str(ADMIN),
    )
    assert made.match.status == MatchStatus.MATCH_STATUS_MATCHED
    assert made.match.assignment_type == MANUAL
    assert not made.workspace_provisioning
    assert (world.load(first), world.load(wanted)) == (0, 1)
    closed = world.client(project).get_match(old.id)
    assert closed.closed_reason == ClosedReason.CLOSED_REASON_SUPERSEDED_BY_ADMIN
    assert world.client(project).create_match(project).match == made.match, "it is the project's open match"

    world.client(project).submit_client_decision(made.match.id, APPROVED)
    world.advisor(wanted).submit_advisor_decision(made.match.id, APPROVED)
    world.wait_for_ready(made.match.id)
    access = world.row("SELECT advisor_id::text, status, role FROM project_advisors")
    assert access == {"advisor_id": wanted, "status": "active", "role": "consultant"}


def test_an_emergency_goes_straight_to_the_workspace(world: World) -> None:
    advisor, project = world.new_advisor(slots=1, status="offline"), world.new_project()
    busy_with = world.new_project()
    world.admin().assign_advisor(busy_with, advisor, assignment_type=EMERGENCY)
    with watching(world.client(project), project) as watch:
        made = world.admin(server=1).assign_advisor(project, advisor, assignment_type=EMERGENCY)
        events = [next(watch) for _ in range(4)]
    assert (made.match.status, made.workspace_provisioning) == (MatchStatus.MATCH_STATUS_FINALIZED, QUEUED)
    assert made.match.workspace_provisioning == QUEUED
    assert [event.type for event in events] == [
        "advisor.matched",
        "advisor.finalized",
        "message.new",
        "advisor.workspace_ready",
    ]
    availability = world.service().get_availability(advisor)
    assert (availability.current_capacity, availability.max_capacity) == (2, 1)


def test_the_choice_of_an_admin_is_explained_without_an_algorithm(world: World) -> None:
    advisor, project = world.new_advisor(slots=2), world.new_project()
    match = world.admin().assign_advisor(project, advisor, reason="knows the code").match
    assert "knows the code" in match.match_reason
    assert not match.HasField("score")
    told = world.admin().explain_match(match.id)
    assert told.replay_matches
    explanation = told.explanation
    assert explanation.algorithm == MatchingAlgorithm.MATCHING_ALGORITHM_UNSPECIFIED
    assert not explanation.HasField("weights")
    assert explanation.chosen.advisor.id == advisor
    assert (explanation.load_at_claim, explanation.slots_at_claim) == (0, 2)
    assert explanation.HasField("load_at_claim")
    assert explanation.decided_at == match.created_at


@pytest.mark.parametrize("how", [MANUAL, EMERGENCY])
def test_a_repeated_request_is_answered_byte_for_byte_as_the_first_time(
    world: World, how: AssignmentType
) -> None:
    request = AssignAdvisorRequest(
        project_id=world.new_project(),
        advisor_id=world.new_advisor(),
        assignment_type=how,
        request_id=str(uuid4()),
    )
    first, again = (world.admin(server=n).stubs.admin.AssignAdvisor(request) for n in (0, 1))
    assert first.SerializeToString() == again.SerializeToString()
    assert len(world.values("SELECT id FROM admin_advisor_assignments")) == 1


def test_what_hinders_an_assignment_has_its_own_reason(world: World) -> None:
    project, advisor, match = world.matched()
    owner = world.value("SELECT owner_id::text FROM projects")
    full = world.new_advisor(slots=1)
    world.admin().assign_advisor(world.new_project(), full)
    inactive = world.new_advisor()
    world.admin().deactivate_advisor(inactive)
    busy = world.new_advisor(status="busy")
    for error, of_project, of_advisor in (
        (ProjectNotFound, str(uuid4()), advisor),
        (AdvisorNotFound, project, str(uuid4())),
        (InvalidArgument, project, owner),
        (AdvisorInactive, project, inactive),
        (AdvisorUnavailable, project, busy),
        (AdvisorAtCapacity, project, full),
    ):
        with pytest.raises(error) as refused:
            world.admin().assign_advisor(of_project, of_advisor)
        if isinstance(refused.value, InvalidArgument):
            assert [violation.field for violation in refused.value.field_violations] == ["advisor_id"]
    assert world.status(match.id) == "matched"
    assert world.event_types(project) == ["advisor.matched"]


def test_a_finalized_match_is_in_the_way_until_it_is_settled(own: World) -> None:
    own.start("--no-workers")
    project, advisor, match = own.finalized()
    other = own.new_advisor()
    for who in (advisor, other):
        with pytest.raises(InvalidTransition) as refused:
            own.admin().assign_advisor(project, who)
        assert refused.value.metadata == {"match_id": match.id, "from": "finalized", "to": "expired"}
    own.start()
    own.wait_for_ready(match.id)
    with pytest.raises(AlreadyAssigned):
        own.admin().assign_advisor(project, advisor, assignment_type=EMERGENCY)
    assert own.admin().assign_advisor(project, other).match.matched_advisor.id == other


def test_what_an_assignment_frees_goes_to_who_waits(world: World) -> None:
    project, advisor, _ = world.matched()
    world.execute("UPDATE advisor_availability SET max_concurrent_projects = 1")
    waiting = world.service().create_match(world.new_project()).match
    assert waiting.status == MatchStatus.MATCH_STATUS_PENDING
    wanted = world.new_advisor(status="busy")
    world.admin().assign_advisor(project, wanted, assignment_type=EMERGENCY)
    world.wait_for_status(waiting.id, "matched", timeout=2.5)
    assert world.load(advisor) == 1


# --------------------------------------------------------------------------------------------------- the release


def test_a_release_ends_the_advisors_part_and_the_slot_goes_to_who_waits(world: World) -> None:
    project, advisor, match_id = ready(world)
    world.execute("UPDATE advisor_availability SET max_concurrent_projects = 1")
    waiting = world.service().create_match(world.new_project()).match
    with watching(world.client(project, server=1), project) as watch:
        assert world.admin().release_advisor(project, advisor, reason="moved on")
        event = next(watch)
    assert (event.type, event.user_id) == ("advisor.released", str(ADMIN))
    assert (event.released.advisor_id, event.released.match_id, event.released.reason) == (
        advisor,
        match_id,
        "moved on",
    )
    assert world.value("SELECT status FROM project_advisors") == "inactive"
    assert world.value("SELECT session_state FROM unified_chat_sessions") == "ended"
    world.wait_for_status(waiting.id, "matched", timeout=2.5)
    assert not world.admin().release_advisor(project, advisor)
    with pytest.raises(ProjectNotFound):
        world.advisor(advisor).get_project(project)


@pytest.mark.parametrize("server", [0, 1], ids=["the-same-server", "another-server"])
def test_the_stream_of_a_released_advisor_ends_after_the_event(world: World, server: int) -> None:
    project, advisor, _ = ready(world)
    with watching(world.advisor(advisor, server=server), project) as watch:
        # Open before the release: something has come.
        world.admin().assign_advisor(project, world.new_advisor())
        assert next(watch).type == "advisor.matched"
        world.admin().release_advisor(project, advisor)
        assert next(watch).type == "advisor.released"
        with pytest.raises(ProjectNotFound):
            next(watch)
    with pytest.raises(ProjectNotFound), watching(world.advisor(advisor), project) as closed:
        next(closed)


def test_the_stream_of_an_advisor_whose_offer_is_released_ends_after_the_event(world: World) -> None:
    project, advisor, match = world.matched()
    with watching(world.advisor(advisor, server=1), project, from_start=True) as watch:
        assert next(watch).type == "advisor.matched"
        assert world.admin().release_advisor(project, advisor)
        event = next(watch)
        assert (event.type, event.released.match_id) == ("advisor.released", match.id)
        with pytest.raises(ProjectNotFound):
            next(watch)
    assert world.event_types(project)[1:] == ["advisor.released", "advisor.match_expired"]
    closed = world.client(project).get_match(match.id)
    assert closed.closed_reason == ClosedReason.CLOSED_REASON_RELEASED


def test_the_stream_of_an_advisor_who_is_replaced_ends_after_the_expiry(world: World) -> None:
    project, advisor, _ = world.matched()
    with watching(world.advisor(advisor), project, from_start=True) as watch:
        assert next(watch).type == "advisor.matched"
        world.admin().assign_advisor(project, world.new_advisor())
        assert next(watch).type == "advisor.match_expired"
        with pytest.raises(ProjectNotFound):
            next(watch)


def test_the_stream_of_an_advisor_who_is_assigned_what_they_were_offered_goes_on(world: World) -> None:
    project, advisor, _ = world.matched()
    with watching(world.advisor(advisor), project, from_start=True) as watch:
        assert next(watch).type == "advisor.matched"
        world.admin().assign_advisor(project, advisor, assignment_type=EMERGENCY)
        types = [next(watch).type for _ in range(3)]
    assert types == ["advisor.match_expired", "advisor.matched", "advisor.finalized"]


def test_a_release_cancels_the_workspace_that_is_waited_for(own: World) -> None:
    own.start("--no-workers")
    admin = own.new_admin()
    project, advisor, match = own.finalized()
    assert own.admin().release_advisor(project, advisor)
    closed = own.client(project).get_match(match.id)
    assert (closed.status, closed.closed_reason) == (
        MatchStatus.MATCH_STATUS_EXPIRED,
        ClosedReason.CLOSED_REASON_RELEASED,
    )
    assert not closed.workspace_provisioning
    own.start()
    again = own.client(project).create_match(project).match
    assert again.matched_advisor.id == advisor
    own.client(project).submit_client_decision(again.id, APPROVED)
    own.advisor(advisor).submit_advisor_decision(again.id, APPROVED)
    own.wait_for_ready(again.id)
    assert own.values("SELECT status FROM workspace_provisioning_queue ORDER BY created_at") == [
        "failed",
        "completed",
    ]
    assert own.values("SELECT type FROM notification_outbox WHERE recipient_id = :id", id=admin) == []


def test_without_auto_provision_a_release_gives_the_slot_back(own: World) -> None:
    own.start(auto_provision="false")
    project, advisor, match = own.finalized()
    assert own.load(advisor) == 1
    assert own.admin().release_advisor(project, advisor)
    assert (own.load(advisor), own.status(match.id)) == (0, "expired")
    emergency = own.admin().assign_advisor(project, advisor, assignment_type=EMERGENCY)
    assert emergency.match.status == MatchStatus.MATCH_STATUS_FINALIZED
    assert not emergency.workspace_provisioning


def test_who_is_not_there_or_has_nothing_cannot_be_released(world: World) -> None:
    project, advisor, _ = world.matched()
    wrong: tuple[tuple[type[MatchingError], str, str], ...] = (
        (ProjectNotFound, str(uuid4()), advisor),
        (AdvisorNotFound, project, str(uuid4())),
    )
    for error, of_project, of_advisor in wrong:
        with pytest.raises(error):
            world.admin().release_advisor(of_project, of_advisor)
    assert not world.admin().release_advisor(project, world.new_advisor())


# ------------------------------------------------------------------------------------------------------ the pool


def test_the_pool_is_counted_as_it_is_now(world: World) -> None:
    for status in ("available", "offline", "busy"):
        world.new_advisor(slots=2, status=status)
    empty = world.admin().get_pool_status()
    assert empty.total_advisors == 3
    assert (empty.status_breakdown.available, empty.status_breakdown.busy) == (1, 1)
    assert empty.status_breakdown.offline == 1
    assert empty.workload_breakdown.idle == 1
    assert empty.pool_size == PoolSize.POOL_SIZE_SMALL
    assert empty.algorithm == MatchingAlgorithm.MATCHING_ALGORITHM_SIMPLE_AVAILABILITY
    loads = []
    for _ in range(2):
        world.service().create_match(world.new_project())
        counted = world.admin(server=1).get_pool_status().workload_breakdown
        loads.append((counted.idle, counted.available, counted.at_capacity))
    assert loads == [(0, 1, 0), (0, 0, 1)]


def test_the_size_of_the_pool_says_which_algorithm_is_in_use(world: World) -> None:
    advisors = [world.new_advisor() for _ in range(50)]
    large = world.admin().get_pool_status()
    assert (large.total_advisors, large.pool_size) == (50, PoolSize.POOL_SIZE_LARGE)
    assert large.algorithm == MatchingAlgorithm.MATCHING_ALGORITHM_COMPLEX_SCORING
    world.admin().deactivate_advisor(advisors[0])
    medium = world.admin().get_pool_status()
    assert (medium.total_advisors, medium.pool_size) == (49, PoolSize.POOL_SIZE_MEDIUM)
    assert medium.algorithm == MatchingAlgorithm.MATCHING_ALGORITHM_SIMPLE_AVAILABILITY
    assert world.admin(server=1).get_pool_status() == medium
