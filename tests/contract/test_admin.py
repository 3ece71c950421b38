"""What admins see and do."""

from __future__ import annotations

import uuid
from datetime import timedelta

from advisor_matching.v1.types_pb2 import (
    ExclusionReason,
    MatchingAlgorithm,
    MatchStatus,
    PoolSize,
    PreferenceRule,
    ProvisioningJobStatus,
)
from matching_client import (
    AdvisorAtCapacity,
    AdvisorInactive,
    AdvisorNotFound,
    AdvisorUnavailable,
    AlreadyAssigned,
    InvalidArgument,
    InvalidTransition,
    JobNotFound,
    MatchingError,
    MatchNotFound,
    NotificationNotFound,
    ProjectNotFound,
    RuleNotFound,
)
from tests.support.parties import APPROVED, DECLINED, Service, refused
from tests.support.wait import eventually

_J = ProvisioningJobStatus


def test_why_an_advisor_cannot_be_assigned_is_told(service: Service) -> None:
    project = service.new_project()
    admin = service.admin
    kinds: dict[str, type[MatchingError]] = {
        service.new_advisor(status="AVAILABILITY_STATUS_BUSY").id: AdvisorUnavailable,
        str(uuid.uuid4()): AdvisorNotFound,
        project.owner_id: InvalidArgument,
    }
    gone = service.new_advisor()
    service.platform.deactivate_advisor(gone.id)
    kinds[gone.id] = AdvisorInactive
    full = service.new_advisor(slots=1)
    other = service.new_project()
    admin.assign_advisor(other.id, full.id)
    kinds[full.id] = AdvisorAtCapacity
    for advisor_id, kind in kinds.items():
        error = refused(lambda id_=advisor_id: admin.assign_advisor(project.id, id_))  # type: ignore[misc]
        assert type(error) is kind
    unknown = refused(lambda: admin.assign_advisor(str(uuid.uuid4()), full.id))
    assert isinstance(unknown, ProjectNotFound)


def test_how_much_an_advisor_did_before_is_told_with_an_assignment(service: Service) -> None:
    advisor = service.new_advisor(slots=3)
    reasons = [
        service.admin.assign_advisor(
            service.new_project().id, advisor.id, reason="asked for"
        ).match.match_reason
        for _ in range(2)
    ]
    assert reasons == [f"Assigned by an admin ({load} of 3 slots taken): asked for" for load in range(2)]


def test_which_page_sizes_there_are_is_told(service: Service) -> None:
    error = refused(lambda: service.admin.list_advisors(page_size=201))
    assert error.message == "page_size: must be from 1 to 200, or 0 for 50"


def test_an_advisor_who_works_on_the_project_is_not_assigned_again(service: Service) -> None:
    project, advisor, _ = service.finalized()
    error = refused(lambda: service.admin.assign_advisor(project.id, advisor.id))
    assert isinstance(error, AlreadyAssigned)


def test_an_assignment_repeated_by_its_id_is_answered_as_the_first_time(service: Service) -> None:
    advisor, project, request_id = service.new_advisor(), service.new_project(), str(uuid.uuid4())
    admin = service.admin
    first = admin.assign_advisor(project.id, advisor.id, request_id=request_id)
    assert admin.assign_advisor(project.id, advisor.id, request_id=request_id) == first
    assert len(admin.list_interventions(project_id=project.id).interventions) == 1


def test_the_pool_is_counted_by_status_and_load(service: Service) -> None:
    service.matched()
    service.new_advisor()
    service.new_advisor(status="AVAILABILITY_STATUS_OFFLINE")
    seen = service.admin.get_pool_status()
    assert seen.total_advisors == 3
    statuses, loads = seen.status_breakdown, seen.workload_breakdown
    assert (statuses.available, statuses.busy, statuses.offline) == (2, 0, 1)
    assert (loads.idle, loads.available, loads.at_capacity) == (1, 1, 0)
    assert seen.pool_size == PoolSize.POOL_SIZE_SMALL
    assert seen.algorithm == MatchingAlgorithm.MATCHING_ALGORITHM_SIMPLE_AVAILABILITY


def test_a_simulation_says_who_would_be_offered_the_project_and_who_not(service: Service) -> None:
    free = service.new_advisor()
    busy = service.new_advisor(status="AVAILABILITY_STATUS_BUSY")
    project = service.new_project()
    seen = service.admin.simulate_match(project.id)
    (candidate,) = seen.candidates
    assert (candidate.advisor.id, candidate.rank) == (free.id, 1)
    assert (candidate.features.load, candidate.features.slots) == (0, 3)
    (excluded,) = seen.excluded
    assert (excluded.advisor.id, excluded.reason) == (busy.id, ExclusionReason.EXCLUSION_REASON_BUSY)
    assert not service.event_types(project)


def test_an_explanation_names_who_was_chosen(service: Service) -> None:
    _, advisor, match = service.matched()
    answer = service.admin.explain_match(match.id)
    assert answer.replay_matches
    assert answer.explanation.chosen.advisor.id == advisor.id
    error = refused(lambda: service.admin.explain_match(str(uuid.uuid4())))
    assert isinstance(error, MatchNotFound)


def test_rules_steer_who_is_offered_a_project(service: Service) -> None:
    one, two = service.new_advisor(), service.new_advisor()
    project = service.new_project()
    admin, owner = service.admin, service.owner(project)
    exclude = admin.create_preference_rule(
        PreferenceRule(advisor_id=one.id, effect="RULE_EFFECT_EXCLUDE", reason="away")
    )
    assert exclude.id
    assert exclude.HasField("created_at")
    match = owner.create_match(project.id).match
    assert match.matched_advisor.id == two.id
    owner.submit_client_decision(match.id, DECLINED)
    admin.delete_preference_rule(exclude.id)
    admin.delete_preference_rule(exclude.id)
    require = admin.create_preference_rule(
        PreferenceRule(advisor_id=one.id, effect="RULE_EFFECT_REQUIRE", project_id=project.id)
    )
    assert list(admin.list_preference_rules().rules) == [require]
    assert owner.create_match(project.id, allow_previous=True).match.matched_advisor.id == one.id
    unknown = refused(lambda: admin.delete_preference_rule(str(uuid.uuid4())))
    assert isinstance(unknown, RuleNotFound)
    nobody = PreferenceRule(advisor_id=str(uuid.uuid4()), effect="RULE_EFFECT_EXCLUDE")
    assert isinstance(refused(lambda: admin.create_preference_rule(nobody)), AdvisorNotFound)


def test_jobs_are_listed_and_counted(service: Service) -> None:
    _, _, match = service.finalized()
    admin = service.admin
    (job,) = admin.list_provisioning_jobs(statuses=["PROVISIONING_JOB_STATUS_COMPLETED"]).jobs
    assert (job.match_id, job.attempt_count) == (match.id, 1)
    assert [attempt.number for attempt in job.attempts] == [1]
    assert not job.HasField("next_retry_at")
    assert not admin.list_provisioning_jobs(statuses=["PROVISIONING_JOB_STATUS_FAILED"]).jobs
    stats = admin.get_provisioning_stats(window=timedelta(hours=1))
    counts = {count.status: count.count for count in stats.counts}
    assert counts == {
        _J.PROVISIONING_JOB_STATUS_PENDING: 0,
        _J.PROVISIONING_JOB_STATUS_PROCESSING: 0,
        _J.PROVISIONING_JOB_STATUS_COMPLETED: 1,
        _J.PROVISIONING_JOB_STATUS_ROLLBACK_NEEDED: 0,
        _J.PROVISIONING_JOB_STATUS_FAILED: 0,
    }
    assert (stats.success_rate, stats.average_attempts) == (1.0, 1.0)
    assert not stats.HasField("oldest_pending_age")


def test_what_cannot_be_tried_again_is_refused(service: Service) -> None:
    _, _, offered = service.matched()
    admin = service.admin
    assert isinstance(refused(lambda: admin.retry_provisioning(offered.id)), JobNotFound)
    assert isinstance(refused(lambda: admin.retry_provisioning(str(uuid.uuid4()))), MatchNotFound)
    service.platform.deactivate_advisor(offered.matched_advisor.id)
    _, _, ready = service.finalized()
    error = refused(lambda: admin.retry_provisioning(ready.id))
    assert isinstance(error, InvalidTransition)
    assert (error.metadata["from"], error.metadata["to"]) == ("finalized", "finalized")


def test_interventions_tell_what_admins_did(service: Service) -> None:
    project, advisor = service.new_project(), service.new_advisor()
    admin = service.admin
    match = admin.assign_advisor(project.id, advisor.id, reason="knows it").match
    admin.release_advisor(project.id, advisor.id, reason="done")
    service.platform.deactivate_advisor(advisor.id, reason="left")
    seen = admin.list_interventions().interventions
    assert [(row.intervention_type, row.reason) for row in seen] == [
        ("advisor_deactivated", "left"),
        ("advisor_released", "done"),
        ("advisor_assigned", "knows it"),
    ]
    assert seen[2].match_id == match.id
    assert seen[2].metadata["assignmentType"] == "manual_assignment"
    assert {row.metadata["advisorId"] for row in seen} == {advisor.id}
    (only,) = admin.list_interventions(intervention_type="advisor_released").interventions
    assert only == seen[1]
    closed = service.platform.get_match(match.id)
    assert closed.status == MatchStatus.MATCH_STATUS_EXPIRED


def test_notifications_are_written_to_both_sides(service: Service) -> None:
    project, advisor, match = service.matched()
    service.owner(project).submit_client_decision(match.id, APPROVED)
    service.advisor(advisor).submit_advisor_decision(match.id, APPROVED)
    service.wait_for_workspace(match.id)
    admin = service.admin
    expected = {
        ("match_offered", advisor.id),
        ("advisor_accepted", project.owner_id),
        ("workspace_ready", project.owner_id),
    }
    seen = admin.list_notifications().notifications
    assert {(row.type, row.recipient_id) for row in seen} == expected
    assert {row.payload["matchId"] for row in seen} == {match.id}
    eventually(
        lambda: len(admin.list_notifications(statuses=["NOTIFICATION_STATUS_SENT"]).notifications) == 3,
        what="they are delivered",
    )
    (offered,) = admin.list_notifications(recipient_id=advisor.id).notifications
    assert admin.resend_notification(offered.id) == offered
    unknown = refused(lambda: admin.resend_notification(str(uuid.uuid4())))
    assert isinstance(unknown, NotificationNotFound)


def test_an_audit_finds_nothing_and_there_is_nothing_to_repair(service: Service) -> None:
    service.matched()
    assert not service.admin.audit_invariants().violations
    answer = service.admin.repair_invariants()
    assert (list(answer.repaired), list(answer.violations)) == ([], [])
