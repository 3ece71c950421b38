"""When a workspace cannot be made: what goes back, who decides again, and who is told."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy.exc import IntegrityError

from matching_server.domain.model import (
    ClosedReason,
    Decision,
    JobStatus,
    Match,
    MatchStatus,
    ProvisioningState,
    Side,
)
from matching_server.operations.directory import deactivate_advisor
from matching_server.operations.provisioning import (
    AttemptResult,
    attempt,
    return_expired_leases,
    take_jobs,
)
from tests.integration.jobs import (
    end_lease,
    everything,
    fail_for_good,
    failing,
    finalized,
    job_of,
    take,
)
from tests.integration.world import World, call
from tests.support.seed import insert_user

S = MatchStatus
R = AttemptResult


@pytest.fixture
def world(world: World) -> World:
    """Workspaces are made, and one advisor is free for many projects."""
    world.advisor(slots=100)
    return world.under(auto_provision=True)


@pytest.mark.parametrize("last", list(Side), ids=lambda side: side.value)
def test_after_three_attempts_the_side_that_finalized_decides_again(world: World, last: Side) -> None:
    first = Side.ADVISOR if last is Side.CLIENT else Side.CLIENT
    match = world.approve(world.create(), first, last)
    assert fail_for_good(world) == [R.RETRIED, R.RETRIED, R.ROLLED_BACK]
    back = world.match(match.id)
    assert back.status is (S.CLIENT_APPROVED if first is Side.CLIENT else S.ADVISOR_ACCEPTED)
    assert back.previous_status is S.FINALIZED
    assert back.provisioning_state is ProvisioningState.FAILED
    assert back.decision_of(last) is None
    assert back.decision_of(first) == match.decision_of(first)
    assert job_of(world, match, "status, attempt_count") == ("failed", 3)
    assert world.rows("SELECT current_projects FROM advisor_availability") == [(1,)]
    event = world.events(match.project_id)[-1]
    assert event.type.value == "advisor.provisioning_failed"
    assert getattr(event.payload, "reverted_to", None) is back.status
    assert getattr(event.payload, "attempts", None) == 3
    # Watchers are not told what only operators should read.
    assert "out_of_order" not in getattr(event.payload, "reason", "")


def test_a_rollback_gives_the_match_its_time_again(world: World) -> None:
    match = finalized(world)
    world.make_overdue(match.id)
    before = world.now()
    fail_for_good(world)
    back = world.match(match.id)
    assert before + match.expires_in < back.expires_at < world.now() + match.expires_in
    assert not back.overdue


def test_a_rollback_is_logged_and_every_admin_is_alerted(world: World) -> None:
    admins = {insert_user(world.conn, roles=roles) for roles in (["admin"], ["client", "admin"])}
    insert_user(world.conn, roles=["advisor"])
    match = finalized(world)
    fail_for_good(world)
    [(kind, project, reason, details, by)] = world.rows(
        "SELECT intervention_type, project_id, reason, metadata, created_by FROM admin_matching_interventions"
    )
    assert (kind, project, by) == ("workspace_provisioning_failure", match.project_id, None)
    assert reason.startswith("CheckViolation: ")
    assert details["attempts"] == 3
    alerts = world.rows(
        "SELECT recipient_id, priority, payload FROM notification_outbox"
        " WHERE type = 'workspace_provisioning_failure'"
    )
    assert {alert[0] for alert in alerts} == admins
    for _, priority, payload in alerts:
        assert priority == "high"
        assert payload == {
            "matchId": str(match.id),
            "projectId": str(match.project_id),
            "reason": reason,
            "timestamp": payload["timestamp"],
        }


def test_a_new_approval_begins_with_fresh_attempts(world: World) -> None:
    match = finalized(world)
    fail_for_good(world)
    again = world.decide(world.match(match.id), Side.ADVISOR, Decision.APPROVED)
    assert (again.status, again.provisioning_state) == (S.FINALIZED, ProvisioningState.QUEUED)
    job = take(world)
    assert job.attempt == 1
    assert attempt(world.runner, job) is R.COMPLETED
    assert world.rows("SELECT status FROM workspace_provisioning_queue ORDER BY created_at") == [
        ("failed",),
        ("completed",),
    ]


def test_what_was_rolled_back_can_be_declined(world: World) -> None:
    match = finalized(world)
    fail_for_good(world)
    assert world.decline(match, Side.CLIENT).status is S.CLIENT_DECLINED
    assert world.rows("SELECT current_projects FROM advisor_availability") == [(0,)]


def test_the_third_lease_that_runs_out_ends_in_a_rollback(world: World) -> None:
    match = finalized(world)
    taken = []
    for _ in range(3):
        taken.append(take(world))
        end_lease(world)
        assert return_expired_leases(world.runner) == 1
    assert [job.attempt for job in taken] == [1, 2, 3]
    assert job_of(world, match, "status, attempt_count") == ("rollback_needed", 3)
    job = take(world)
    assert (job.status, job.attempt, job.last_error) == (
        JobStatus.ROLLBACK_NEEDED,
        3,
        "the lease ran out",
    )
    assert attempt(world.runner, job) is R.ROLLED_BACK
    assert world.match(match.id).status is S.CLIENT_APPROVED
    for late in taken:
        assert attempt(world.runner, late) is R.LEASE_LOST
    assert world.match(match.id).status is S.CLIENT_APPROVED


def test_a_rollback_whose_worker_died_is_done_by_another(world: World) -> None:
    match = finalized(world)
    world.run("UPDATE workspace_provisioning_queue SET status = 'rollback_needed', attempt_count = 3")
    dead = take(world)
    assert take_jobs(world.runner, 1) == []
    end_lease(world)
    other = take(world)
    assert other.lease_token != dead.lease_token
    before = everything(world, match)
    assert attempt(world.runner, dead) is R.LEASE_LOST
    assert everything(world, match) == before
    assert attempt(world.runner, other) is R.ROLLED_BACK
    assert job_of(world, match, "status, attempt_count") == ("failed", 3)


def test_a_rollback_that_fails_itself_is_tried_again_under_the_next_lease(world: World) -> None:
    match = finalized(world)
    world.run("UPDATE workspace_provisioning_queue SET attempt_count = 2")
    job = take(world)
    before = everything(world, match)
    with failing(world), failing(world, "admin_matching_interventions"), pytest.raises(IntegrityError):
        attempt(world.runner, job)
    assert everything(world, match) == before
    end_lease(world)
    return_expired_leases(world.runner)
    assert attempt(world.runner, take(world)) is R.ROLLED_BACK


GONE: dict[ClosedReason, str] = {
    ClosedReason.ADVISOR_GONE: "DELETE FROM auth.users WHERE id = :advisor",
    ClosedReason.PROJECT_GONE: "DELETE FROM projects WHERE id = :project",
}


def put_out_of_reach(world: World, match: Match, why: ClosedReason) -> None:
    """No further attempt can succeed."""
    of: dict[str, Any] = {"advisor": match.matched_advisor_id, "project": match.project_id}
    if why in GONE:
        statement = GONE[why]
        world.run(statement, **{key: value for key, value in of.items() if f":{key}" in statement})
    else:
        deactivate_advisor(world.runner, call(), of["advisor"], None)


@pytest.mark.parametrize("why", [*GONE, ClosedReason.ADVISOR_DEACTIVATED], ids=lambda why: why.value)
def test_what_cannot_pass_closes_the_match_after_one_attempt(world: World, why: ClosedReason) -> None:
    insert_user(world.conn, roles=["admin"])
    match = finalized(world)
    put_out_of_reach(world, match, why)
    assert attempt(world.runner, take(world)) is R.ROLLED_BACK
    closed = world.match(match.id)
    assert (closed.status, closed.closed_reason) == (S.EXPIRED, why)
    assert closed.provisioning_state is ProvisioningState.FAILED
    assert job_of(world, match, "status, attempt_count") == ("failed", 1)
    assert world.rows("SELECT permanent FROM workspace_provisioning_attempts") == [(True,)]
    event = world.events(match.project_id)[-1]
    assert event.type.value == "advisor.provisioning_failed"
    assert getattr(event.payload, "reverted_to", None) is S.EXPIRED
    assert len(world.notified("workspace_provisioning_failure")) == 1
    assert world.rows("SELECT current_projects FROM advisor_availability") in ([], [(0,)])
    assert world.effects[-1].capacity_freed


def test_the_number_of_attempts_is_a_setting(world: World) -> None:
    once = world.under(provision_max_attempts=1)
    match = finalized(once)
    with failing(once):
        assert attempt(once.runner, take(once)) is R.ROLLED_BACK
    assert world.match(match.id).status is S.CLIENT_APPROVED


def test_a_failure_tells_operators_the_fault_and_never_the_statement(world: World) -> None:
    match = finalized(world)
    fail_for_good(world)
    [error] = job_of(world, match, "last_error")
    assert "out_of_order" in error
    for secret in ("INSERT INTO", str(match.matched_advisor_id), "[SQL", "parameters"):
        assert secret not in error


@pytest.mark.parametrize("why", [*GONE, ClosedReason.ADVISOR_DEACTIVATED], ids=lambda why: why.value)
def test_a_rollback_gives_no_match_back_to_who_is_out_of_reach(world: World, why: ClosedReason) -> None:
    """The attempts failed for another reason; nobody could decide on the match again all the same."""
    match = finalized(world)
    world.run("UPDATE workspace_provisioning_queue SET status = 'rollback_needed', attempt_count = 3")
    owner = world.owner(match.project_id)
    put_out_of_reach(world, match, why)
    assert attempt(world.runner, take(world)) is R.ROLLED_BACK
    closed = world.match(match.id)
    assert (closed.status, closed.closed_reason) == (S.EXPIRED, why)
    assert world.rows("SELECT current_projects FROM advisor_availability") in ([], [(0,)])
    assert world.notified("match_expired") == ([owner] if why is not ClosedReason.PROJECT_GONE else [])
    assert world.notified("offer_ended") == [match.matched_advisor_id]
