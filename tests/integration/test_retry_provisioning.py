"""An admin has a workspace tried again: what is restored, what is queued, and what is refused."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import pytest

from matching_server.domain.errors import (
    AdvisorInactive,
    DomainError,
    IdempotencyMismatch,
    InvalidTransition,
    JobNotFound,
    MatchExpired,
    MatchNotFound,
)
from matching_server.domain.model import (
    AssignmentType,
    Decision,
    JobStatus,
    Match,
    MatchStatus,
    ProvisioningState,
    Role,
    Side,
)
from matching_server.operations.commands import RetriedProvisioning
from matching_server.operations.directory import deactivate_advisor
from matching_server.operations.provisioning import AttemptResult, attempt
from matching_server.operations.retrying import retry_provisioning
from tests.integration.jobs import finalized, rolled_back, take
from tests.integration.world import World, call

S = MatchStatus
QUEUED = ProvisioningState.QUEUED
ADMIN = uuid4()


@pytest.fixture
def world(world: World) -> World:
    """Workspaces are made, and one advisor is free for many projects."""
    world.advisor(slots=100)
    return world.under(auto_provision=True)


def encoded(retried: RetriedProvisioning) -> bytes:
    return f"{retried.match.id} {retried.job.id}".encode()


def answer(world: World, match_id: UUID, **how: Any) -> RetriedProvisioning | bytes:
    return retry_provisioning(world.runner, call(ADMIN, Role.ADMIN, **how), match_id, encoded)


def retry(world: World, match: Match) -> RetriedProvisioning:
    retried = answer(world, match.id)
    assert isinstance(retried, RetriedProvisioning)
    return retried


def refusal(world: World, match_id: UUID) -> DomainError:
    """Why a retry is refused; nothing may have changed by it."""
    jobs = "SELECT count(*) FROM workspace_provisioning_queue"
    before = world.ask(jobs)
    with pytest.raises(DomainError) as refused:
        answer(world, match_id)
    assert world.ask(jobs) == before
    return refused.value


@pytest.mark.parametrize("last", list(Side), ids=lambda side: side.value)
def test_the_withdrawn_decision_is_restored_as_it_was_given(world: World, last: Side) -> None:
    first = Side.ADVISOR if last is Side.CLIENT else Side.CLIENT
    approved = world.approve(world.create(), first)
    whole = world.decide(approved, last, Decision.APPROVED, reason="with pleasure\nand é")
    back = rolled_back(world, whole)
    assert back.decision_of(last) is None
    retried = retry(world, back)
    assert retried.match == world.match(back.id)
    assert (retried.match.status, retried.match.provisioning_state) == (S.FINALIZED, QUEUED)
    assert retried.match.previous_status is back.status
    assert retried.match.client_decision == whole.client_decision
    assert retried.match.advisor_decision == whole.advisor_decision


def test_a_new_job_begins_with_a_fresh_counter_and_makes_the_workspace(world: World) -> None:
    back = rolled_back(world)
    retried = retry(world, back)
    assert (retried.job.status, retried.job.attempt_count, retried.job.attempts) == (JobStatus.PENDING, 0, ())
    assert retried.job.match_id == back.id
    assert world.effects[-1].job_queued
    job = take(world)
    assert (job.id, job.attempt) == (retried.job.id, 1)
    assert attempt(world.runner, job) is AttemptResult.COMPLETED
    assert world.match(back.id).provisioning_state is ProvisioningState.READY
    assert world.rows("SELECT status FROM workspace_provisioning_queue ORDER BY created_at") == [
        ("failed",),
        ("completed",),
    ]
    assert world.rows("SELECT current_projects FROM advisor_availability") == [(1,)]


def test_the_step_is_told_as_the_admins(world: World) -> None:
    back = rolled_back(world)
    before = len(world.events(back.project_id))
    retry(world, back)
    [event] = world.events(back.project_id)[before:]
    assert (event.type.value, event.user_id) == ("advisor.finalized", ADMIN)
    assert getattr(event.payload, "previous_status", None) is back.status
    assert getattr(event.payload, "status", None) is S.FINALIZED
    [(kind, details, by)] = world.rows(
        "SELECT intervention_type, metadata, created_by FROM admin_matching_interventions"
        " ORDER BY created_at DESC LIMIT 1"
    )
    assert (kind, by) == ("provisioning_retried", ADMIN)
    assert details == {"from": back.status.value, "restored": ["advisor"]}


def test_it_can_be_rolled_back_and_tried_again_and_again(world: World) -> None:
    whole = finalized(world)
    for _ in range(3):
        back = rolled_back(world, whole)
        assert (back.status, back.advisor_decision) == (S.CLIENT_APPROVED, None)
        assert retry(world, back).match.advisor_decision == whole.advisor_decision
    assert attempt(world.runner, take(world)) is AttemptResult.COMPLETED


def test_what_was_finalized_while_the_flag_was_off_gets_a_job_and_no_event(world: World) -> None:
    off = world.under(auto_provision=False)
    match = finalized(off)
    told = off.told(match.project_id)
    retried = retry(off, match)
    assert (retried.match.status, retried.match.provisioning_state) == (S.FINALIZED, QUEUED)
    assert retried.match == world.match(match.id)
    assert retried.match.previous_status is match.previous_status
    assert off.told(match.project_id) == told
    assert attempt(off.runner, take(off)) is AttemptResult.COMPLETED
    assert off.rows("SELECT current_projects FROM advisor_availability") == [(1,)]


def test_the_flag_does_not_matter_for_what_was_rolled_back(world: World) -> None:
    back = rolled_back(world)
    off = world.under(auto_provision=False)
    assert retry(off, back).match.provisioning_state is QUEUED


def test_approved_again_with_the_flag_off_it_is_provisioned_by_hand(world: World) -> None:
    back = rolled_back(world)
    off = world.under(auto_provision=False)
    approved = off.decide(back, Side.ADVISOR, Decision.APPROVED)
    assert approved.provisioning_state is None
    retry(off, approved)
    assert attempt(off.runner, take(off)) is AttemptResult.COMPLETED


def test_an_emergency_is_tried_again_without_anybodys_decision(world: World) -> None:
    made = world.assign(world.project(), world.advisor(), assignment_type=AssignmentType.EMERGENCY)
    back = rolled_back(world, made.match)
    assert back.status is S.MATCHED
    match = retry(world, back).match
    assert (match.status, match.client_decision, match.advisor_decision) == (S.FINALIZED, None, None)
    again = rolled_back(world, match)
    approved = world.decide(again, Side.CLIENT, Decision.APPROVED)
    match = retry(world, approved).match
    assert match.previous_status is S.CLIENT_APPROVED
    assert (match.client_decision, match.advisor_decision) == (approved.client_decision, None)


@pytest.mark.plants_violations("failures_are_told")
def test_without_a_record_of_the_rollback_the_side_has_approved_now(world: World) -> None:
    back = rolled_back(world)
    world.run("DELETE FROM admin_matching_interventions")
    before = world.now()
    decision = retry(world, back).match.advisor_decision
    assert decision is not None
    assert (decision.decision, decision.reason) == (Decision.APPROVED, None)
    assert before < decision.decided_at < world.now()


def test_no_such_match(world: World) -> None:
    assert isinstance(refusal(world, uuid4()), MatchNotFound)


def test_what_was_never_finalized_has_no_job(world: World) -> None:
    offered = world.create()
    declined = world.decline(world.create(), Side.CLIENT)
    world.run("UPDATE advisor_availability SET status = 'busy'")
    waiting = world.create()
    for match in (offered, world.approve(offered, Side.CLIENT), declined, waiting):
        error = refusal(world, match.id)
        assert isinstance(error, JobNotFound)
        assert str(match.id) in str(error)


def test_a_job_that_is_live_or_done(world: World) -> None:
    match = finalized(world)

    def refused(because: str) -> None:
        error = refusal(world, match.id)
        assert isinstance(error, InvalidTransition)
        assert error.metadata == {"from": "finalized", "to": "finalized", "match_id": str(match.id)}
        assert because in str(error)

    refused("its workspace is being made")
    job = take(world)
    refused("its workspace is being made")
    attempt(world.runner, job)
    refused("its workspace is ready")


def test_what_has_closed_since(world: World) -> None:
    declined = world.decline(rolled_back(world), Side.CLIENT)
    released = rolled_back(world)
    assert released.matched_advisor_id is not None
    world.release(released.project_id, released.matched_advisor_id)
    by_hand = finalized(world.under(auto_provision=False))
    assert by_hand.matched_advisor_id is not None
    world.release(by_hand.project_id, by_hand.matched_advisor_id)
    for match, status in ((declined, "client_declined"), (released, "expired"), (by_hand, "expired")):
        error = refusal(world, match.id)
        assert isinstance(error, InvalidTransition)
        assert (error.metadata["from"], error.metadata["to"]) == (status, "finalized")


def test_what_has_run_out_is_expired_and_says_so_every_time(world: World) -> None:
    back = rolled_back(world)
    world.make_overdue(back.id)
    for _ in range(2):
        assert isinstance(refusal(world, back.id), MatchExpired)
        assert world.match(back.id).status is S.EXPIRED
    assert world.told(back.project_id)[-1] == "advisor.match_expired"
    assert world.rows("SELECT current_projects FROM advisor_availability") == [(0,)]


@pytest.mark.parametrize("gone", [False, True])
def test_an_advisor_who_is_out_of_reach(world: World, gone: bool) -> None:
    match = finalized(world.under(auto_provision=False))
    assert match.matched_advisor_id is not None
    if gone:
        world.run("DELETE FROM auth.users WHERE id = :id", id=match.matched_advisor_id)
    else:
        deactivate_advisor(world.runner, call(), match.matched_advisor_id, None)
    assert isinstance(refusal(world, match.id), AdvisorInactive)


def test_a_project_that_has_asked_for_another_advisor(world: World) -> None:
    off = world.under(auto_provision=False)
    match = finalized(off)
    other = off.create(match.project_id)
    assert other.id != match.id
    error = refusal(off, match.id)
    assert isinstance(error, InvalidTransition)
    assert "another match" in str(error)
    off.decline(other, Side.CLIENT)
    assert retry(off, match).match.provisioning_state is QUEUED


def test_a_repeated_request_is_answered_as_the_first_time(world: World) -> None:
    back = rolled_back(world)
    request_id = uuid4()
    first = answer(world, back.id, request_id=request_id)
    assert isinstance(first, RetriedProvisioning)
    assert answer(world, back.id, request_id=request_id) == encoded(first)
    attempt(world.runner, take(world))
    assert answer(world, back.id, request_id=request_id) == encoded(first)
    with pytest.raises(IdempotencyMismatch):
        answer(world, back.id, request_id=request_id, body=b"another")
    assert world.ask("SELECT count(*) FROM workspace_provisioning_queue") == 2
