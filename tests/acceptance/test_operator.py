"""What an operator sees and does, by the public client against real servers."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from uuid import uuid4

import pytest
from google.protobuf.json_format import MessageToDict

from advisor_matching.v1.types_pb2 import (
    Match,
    MatchStatus,
    ProvisioningJob,
    ProvisioningJobStatus,
    WorkspaceProvisioning,
)
from matching_client import (
    AdvisorInactive,
    IdempotencyMismatch,
    InvalidArgument,
    InvalidTransition,
    JobNotFound,
    MatchExpired,
    MatchNotFound,
)
from matching_server.storage.invariants import INVARIANTS
from tests.support.faults import CAUSE, failing
from tests.support.wait import eventually
from tests.support.watching import watching
from tests.support.world import ADMIN, World

FINALIZED = MatchStatus.MATCH_STATUS_FINALIZED
QUEUED = WorkspaceProvisioning.WORKSPACE_PROVISIONING_QUEUED
J = ProvisioningJobStatus
FAILURE = "workspace_provisioning_failure"


@pytest.fixture(scope="module")
def server_settings() -> Mapping[str, object]:
    """Servers that do not wait between attempts, and never sweep."""
    return {"sweep_seconds": 3600, "provision_backoff_seconds": 0.01}


def rolled_back(world: World) -> tuple[str, str, Match]:
    """A match that both approved, the advisor last, and whose workspace could not be made."""
    with failing(world, "chat session"):
        project, advisor, match = world.finalized()
        world.wait_for_provisioning(match.id, "failed")
    return project, advisor, match


def test_what_was_rolled_back_is_tried_again_and_nobody_decides_twice(world: World) -> None:
    project, _, match = rolled_back(world)
    admin = world.admin(server=1)
    with watching(world.client(project), project) as watch:
        retried = admin.retry_provisioning(match.id)
        finalized, _welcome, ready = next(watch), next(watch), next(watch)
    assert (retried.match.status, retried.match.workspace_provisioning) == (FINALIZED, QUEUED)
    assert retried.match.client_decision == match.client_decision
    assert retried.match.advisor_decision == match.advisor_decision
    assert (retried.job.match_id, retried.job.attempt_count) == (match.id, 0)
    assert retried.job.status == J.PROVISIONING_JOB_STATUS_PENDING
    assert (finalized.type, finalized.user_id) == ("advisor.finalized", str(ADMIN))
    assert ready.type == "advisor.workspace_ready"
    world.wait_for_ready(match.id)
    newest, failed = admin.list_provisioning_jobs().jobs
    assert (newest.id, newest.status) == (retried.job.id, J.PROVISIONING_JOB_STATUS_COMPLETED)
    assert (failed.status, failed.attempt_count) == (J.PROVISIONING_JOB_STATUS_FAILED, 3)
    assert [attempt.number for attempt in failed.attempts] == [1, 2, 3]
    assert all(CAUSE in attempt.error for attempt in failed.attempts)
    assert not failed.HasField("next_retry_at")
    with pytest.raises(InvalidTransition, match="its workspace is ready"):
        admin.retry_provisioning(match.id)


def test_a_match_finalized_with_the_flag_off_is_provisioned_by_hand(own: World) -> None:
    own.start(auto_provision="false")
    _, _, match = own.finalized()
    assert not match.workspace_provisioning
    assert not own.admin().list_provisioning_jobs().jobs
    assert own.admin().retry_provisioning(match.id).match.workspace_provisioning == QUEUED
    own.wait_for_ready(match.id)


def test_a_retry_is_refused_for_what_it_is(world: World) -> None:
    _, _, match = world.matched()
    admin = world.admin()
    with pytest.raises(JobNotFound):
        admin.retry_provisioning(match.id)
    with pytest.raises(MatchNotFound):
        admin.retry_provisioning(str(uuid4()))
    with pytest.raises(InvalidArgument):
        admin.retry_provisioning("mine")
    world.execute("UPDATE advisor_availability SET status = 'busy'")
    _, _, expired = rolled_back(world)
    world.execute(
        "UPDATE advisor_match_requests SET expires_at = clock_timestamp() WHERE id = :id", id=expired.id
    )
    with pytest.raises(MatchExpired):
        admin.retry_provisioning(expired.id)
    world.execute("UPDATE advisor_availability SET status = 'busy'")
    _, leaving, left = rolled_back(world)
    world.execute("UPDATE advisors SET active = false WHERE id = :id", id=leaving)
    with pytest.raises(AdvisorInactive):
        admin.retry_provisioning(left.id)


def test_a_repeated_retry_is_answered_as_the_first_time(world: World) -> None:
    _, _, match = rolled_back(world)
    request_id = str(uuid4())
    first = world.admin().retry_provisioning(match.id, request_id=request_id)
    world.wait_for_ready(match.id)
    assert world.admin(server=1).retry_provisioning(match.id, request_id=request_id) == first
    with pytest.raises(IdempotencyMismatch):
        world.admin().retry_provisioning(str(uuid4()), request_id=request_id)
    assert world.value("SELECT count(*) FROM workspace_provisioning_queue") == 2


def test_statistics_of_provisioning(world: World) -> None:
    assert not world.admin().get_provisioning_stats().HasField("success_rate")
    rolled_back(world)
    world.execute("UPDATE advisor_availability SET status = 'busy'")
    _, _, match = world.finalized()
    world.wait_for_ready(match.id)
    told = world.admin().get_provisioning_stats(window=timedelta(minutes=5))
    assert {one.status: one.count for one in told.counts} == {
        J.PROVISIONING_JOB_STATUS_PENDING: 0,
        J.PROVISIONING_JOB_STATUS_PROCESSING: 0,
        J.PROVISIONING_JOB_STATUS_COMPLETED: 1,
        J.PROVISIONING_JOB_STATUS_ROLLBACK_NEEDED: 0,
        J.PROVISIONING_JOB_STATUS_FAILED: 1,
    }
    assert (told.success_rate, told.average_attempts) == (0.5, 2.0)
    assert not told.HasField("oldest_pending_age")
    [reason] = told.failure_reasons
    assert (CAUSE in reason.reason, reason.count) == (True, 1)
    for window in (timedelta(0), timedelta(days=367)):
        with pytest.raises(InvalidArgument):
            world.admin().get_provisioning_stats(window=window)


def test_jobs_and_interventions_come_a_page_at_a_time(world: World) -> None:
    advisor = world.new_advisor(slots=10, status="busy")
    made = [
        world.admin()
        .assign_advisor(
            world.new_project(), advisor, assignment_type="ASSIGNMENT_TYPE_EMERGENCY", reason="at once"
        )
        .match
        for _ in range(3)
    ]
    for match in made:
        world.wait_for_ready(match.id)
    admin = world.admin()
    jobs: list[ProvisioningJob] = []
    token = ""
    for size in (2, 1):
        page = admin.list_provisioning_jobs(
            statuses=["PROVISIONING_JOB_STATUS_COMPLETED"], page_size=2, page_token=token
        )
        assert len(page.jobs) == size
        jobs += page.jobs
        token = page.next_page_token
    assert token == ""
    times = [job.created_at.ToNanoseconds() for job in jobs]
    assert times == sorted(times, reverse=True)
    assert admin.list_provisioning_jobs(statuses=[J.PROVISIONING_JOB_STATUS_FAILED]).jobs == []
    first = admin.list_interventions(page_size=2)
    rest = admin.list_interventions(page_size=2, page_token=first.next_page_token)
    assert [len(first.interventions), len(rest.interventions), rest.next_page_token] == [2, 1, ""]
    assert {one.reason for one in (*first.interventions, *rest.interventions)} == {"at once"}
    [of_project] = admin.list_interventions(
        project_id=made[0].project_id, match_id=made[0].id, intervention_type="advisor_assigned"
    ).interventions
    assert of_project.created_by == str(ADMIN)
    assert MessageToDict(of_project.metadata)["assignmentType"] == "emergency_assignment"
    with pytest.raises(InvalidArgument):
        admin.list_interventions(page_token=first.next_page_token[:-1])


def test_a_failure_is_listed_with_what_was_withdrawn(world: World) -> None:
    project, _, match = rolled_back(world)
    [failure] = world.admin().list_interventions(intervention_type=FAILURE).interventions
    assert (failure.match_id, failure.project_id) == (match.id, project)
    assert not failure.HasField("created_by")
    metadata = MessageToDict(failure.metadata)
    assert (metadata["attempts"], metadata["revertedTo"]) == (3, "client_approved")
    assert set(metadata["withdrawn"]) == {"advisor"}


def test_an_audit_names_what_is_broken_and_a_repair_mends_it_for_everybody(world: World) -> None:
    admin = world.admin()
    sound = admin.audit_invariants()
    assert list(sound.checked) == [invariant.name for invariant in INVARIANTS]
    assert not sound.violations
    advisor = world.new_advisor(slots=2)
    world.execute("UPDATE advisor_availability SET current_projects = 2")
    assert not world.advisor(advisor).get_availability().is_available
    [violation] = admin.audit_invariants().violations
    assert violation.invariant == "load_is_counted"
    assert [MessageToDict(row) for row in violation.rows] == [
        {"advisor_id": advisor, "current_projects": "2", "counted": "0"}
    ]
    waiting = world.service().create_match(world.new_project()).match
    assert waiting.status == MatchStatus.MATCH_STATUS_PENDING

    repaired = admin.repair_invariants()
    assert (list(repaired.repaired), len(repaired.violations)) == (["load_is_counted"], 0)
    for server in (0, 1):
        assert world.advisor(advisor, server=server).get_availability().max_capacity == 2
    eventually(lambda: world.status(waiting.id) == "matched", what="the slot that came free is given")
    [logged] = admin.list_interventions(intervention_type="invariant_repair").interventions
    assert logged.created_by == str(ADMIN)
    assert MessageToDict(logged.metadata)["after"] == {"advisorId": advisor, "currentProjects": 0}
    assert admin.repair_invariants() == type(repaired)()


def test_a_repeated_repair_is_answered_as_the_first_time(world: World) -> None:
    world.new_advisor()
    request_id = str(uuid4())
    for count in (1, 1):
        world.execute("UPDATE advisor_availability SET current_projects = 1")
        repaired = world.admin().repair_invariants(["load_is_counted"], request_id=request_id)
        assert list(repaired.repaired) == ["load_is_counted"] * count
    assert [one.invariant for one in world.admin().audit_invariants().violations] == ["load_is_counted"]
    with pytest.raises(IdempotencyMismatch):
        world.admin().repair_invariants(request_id=request_id)
    with pytest.raises(InvalidArgument, match="not the name of an invariant"):
        world.admin().repair_invariants(["load"])
    world.admin().repair_invariants()
