"""A match from the request to the workspace, and the ways in which it ends before."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from advisor_matching.v1.types_pb2 import (
    AssignmentType,
    ClosedReason,
    Decision,
    MatchCriteria,
    MatchStatus,
    PendingReason,
    TechStack,
    WorkspaceProvisioning,
)
from matching_client import (
    AdvisorAtCapacity,
    AllAdvisorsBusy,
    DuplicateMatchRequest,
    EtagMismatch,
    IdempotencyMismatch,
    InvalidTransition,
    MatchExpired,
    MatchNotFound,
    NoAdvisorsAvailable,
)
from tests.support.parties import APPROVED, DECLINED, Service, refused
from tests.support.wait import eventually

_S = MatchStatus


def test_a_new_match_shows_the_advisor_and_what_was_asked(service: Service) -> None:
    advisor = service.new_advisor(
        display_name="Ada", skills=["payments"], specialties=["audits"], rating=4.5, avatar_url="https://a/b"
    )
    project = service.new_project()
    criteria = MatchCriteria(tech_stack=TechStack(framework="react", languages=["TypeScript"]))
    answer = service.owner(project).create_match(project.id, criteria=criteria, expires_in=timedelta(hours=1))
    match = answer.match
    assert not answer.already_open
    assert (match.project_id, match.requested_by) == (project.id, project.owner_id)
    assert (match.status, match.previous_status) == (_S.MATCH_STATUS_MATCHED, _S.MATCH_STATUS_UNSPECIFIED)
    shown = match.matched_advisor
    assert (shown.id, shown.display_name, shown.rating) == (advisor.id, "Ada", 4.5)
    assert (list(shown.skills), list(shown.specialties)) == (["payments"], ["audits"])
    assert shown.avatar_url == "https://a/b"
    assert not match.HasField("score"), "pools below 50 are not scored"
    assert match.match_reason
    assert match.criteria == criteria
    assert match.expires_at.ToNanoseconds() - match.created_at.ToNanoseconds() == 3600 * 10**9
    assert match.updated_at == match.created_at
    unset = ("client_decision", "advisor_decision")
    assert not any(match.HasField(name) for name in unset)
    assert not match.workspace_provisioning
    assert not match.pending_reason
    assert match.etag
    for reader in (service.owner(project), service.advisor(advisor), service.platform, service.admin):
        assert reader.get_match(match.id) == match


@pytest.mark.parametrize("first", ["client", "advisor"])
def test_a_match_lives_to_the_workspace_whoever_approves_first(service: Service, first: str) -> None:
    project, advisor, match = service.matched()
    owner, adviser = service.owner(project), service.advisor(advisor)
    decide: list[Callable[..., Any]] = [owner.submit_client_decision, adviser.submit_advisor_decision]
    if first == "advisor":
        decide.reverse()
    one = decide[0](match.id, APPROVED, reason="fits")
    half = {"client": _S.MATCH_STATUS_CLIENT_APPROVED, "advisor": _S.MATCH_STATUS_ADVISOR_ACCEPTED}[first]
    assert one.status == one.match.status == half
    assert one.match.previous_status == _S.MATCH_STATUS_MATCHED
    assert one.match.etag != match.etag
    record = one.match.client_decision if first == "client" else one.match.advisor_decision
    assert (record.decision, record.reason) == (Decision.DECISION_APPROVED, "fits")
    assert record.HasField("decided_at")

    two = decide[1](match.id, APPROVED)
    assert two.status == _S.MATCH_STATUS_FINALIZED
    assert two.match.previous_status == half
    assert two.workspace_provisioning == WorkspaceProvisioning.WORKSPACE_PROVISIONING_QUEUED
    ready = service.wait_for_workspace(match.id)
    assert ready.status == _S.MATCH_STATUS_FINALIZED

    events = list(owner.list_project_events(project.id).events)
    names = {"client": "advisor.client_approved", "advisor": "advisor.accepted"}
    second = "advisor" if first == "client" else "client"
    assert [event.type for event in events] == [
        "advisor.matched",
        names[first],
        names[second],
        "advisor.finalized",
        "message.new",
        "advisor.workspace_ready",
    ]
    assert [event.seq for event in events] == [1, 2, 3, 4, 5, 6]
    people = {"client": project.owner_id, "advisor": advisor.id}
    actors = [project.owner_id, people[first], people[second], people[second], "system", "system"]
    assert [event.user_id for event in events] == actors
    steps = [(event.match.previous_status, event.match.status) for event in events[:4]]
    alone = {"client": _S.MATCH_STATUS_CLIENT_APPROVED, "advisor": _S.MATCH_STATUS_ADVISOR_ACCEPTED}
    assert steps == [
        (_S.MATCH_STATUS_UNSPECIFIED, _S.MATCH_STATUS_MATCHED),
        (_S.MATCH_STATUS_MATCHED, half),
        (half, alone[second]),
        (half, _S.MATCH_STATUS_FINALIZED),
    ]
    assert {event.match.advisor_name for event in events[:4]} == {"Ada"}
    assert events[1].match.reason == "fits"
    assert events[0].match.expires_at == match.expires_at
    done = events[5].workspace_ready
    assert (done.match_id, done.advisor_id, done.project_id) == (match.id, advisor.id, project.id)


def test_a_project_with_an_unsettled_match_gets_that_one(service: Service) -> None:
    project, _, match = service.matched()
    owner = service.owner(project)
    again = owner.create_match(project.id)
    assert again.already_open
    assert again.match == match
    error = refused(lambda: owner.create_match(project.id, fail_if_open=True))
    assert isinstance(error, DuplicateMatchRequest)
    assert error.metadata == {"match_id": match.id}


def test_a_request_repeated_by_its_id_is_answered_as_the_first_time(service: Service) -> None:
    service.new_advisor()
    project, other = service.new_project(), service.new_project()
    request_id = str(uuid.uuid4())
    owner = service.owner(project)
    first = owner.create_match(project.id, request_id=request_id)
    owner.submit_client_decision(first.match.id, DECLINED)
    again = owner.create_match(project.id, request_id=request_id, fail_if_open=False)
    assert again == first
    error = refused(lambda: owner.create_match(other.id, request_id=request_id))
    assert isinstance(error, IdempotencyMismatch)


@pytest.mark.parametrize("side", ["client", "advisor"])
def test_a_decline_frees_the_slot_and_the_project_finds_the_next_advisor(service: Service, side: str) -> None:
    project, first, match = service.matched()
    owner = service.owner(project)
    decide = (
        owner.submit_client_decision if side == "client" else service.advisor(first).submit_advisor_decision
    )
    answer = decide(match.id, DECLINED, reason="not now")
    assert answer.status == MatchStatus.Value(f"MATCH_STATUS_{side.upper()}_DECLINED")
    assert not answer.workspace_provisioning
    assert decide(match.id, DECLINED, reason="other words") == answer
    assert service.platform.get_availability(advisor_id=first.id).current_capacity == 0
    second = service.new_advisor()
    assert owner.create_match(project.id).match.matched_advisor.id == second.id
    assert service.event_types(project) == ["advisor.matched", "advisor.match_declined", "advisor.matched"]
    declined = owner.list_project_events(project.id).events[1].match
    assert (declined.status, declined.reason) == (answer.status, "not now")


def test_who_was_declined_is_offered_again_only_where_that_is_allowed(service: Service) -> None:
    project, advisor, match = service.matched()
    owner = service.owner(project)
    owner.submit_client_decision(match.id, DECLINED)
    waiting = owner.create_match(project.id).match
    assert waiting.status == _S.MATCH_STATUS_PENDING
    assert waiting.pending_reason == PendingReason.PENDING_REASON_NO_ADVISORS_AVAILABLE
    owner.submit_client_decision(waiting.id, DECLINED)
    assert owner.create_match(project.id, allow_previous=True).match.matched_advisor.id == advisor.id


def test_a_match_waits_where_nobody_is_free_and_is_served_when_somebody_is(service: Service) -> None:
    advisor = service.new_advisor(slots=1, status="AVAILABILITY_STATUS_BUSY")
    project = service.new_project()
    match = service.owner(project).create_match(project.id).match
    assert match.status == _S.MATCH_STATUS_PENDING
    assert match.pending_reason == PendingReason.PENDING_REASON_ALL_ADVISORS_BUSY
    assert not match.HasField("matched_advisor")
    assert not match.match_reason
    service.advisor(advisor).update_availability(status="AVAILABILITY_STATUS_AVAILABLE")
    served = service.wait_for_status(match.id, _S.MATCH_STATUS_MATCHED)
    assert served.matched_advisor.id == advisor.id
    assert served.previous_status == _S.MATCH_STATUS_PENDING
    assert not served.pending_reason
    assert served.expires_at == match.expires_at
    pending, found = service.platform.list_project_events(project.id).events
    assert (pending.type, pending.match.reason) == ("advisor.match_pending", "all_advisors_busy")
    assert pending.user_id == project.owner_id
    assert (found.type, found.user_id) == ("advisor.matched", "system")
    assert found.match.previous_status == _S.MATCH_STATUS_PENDING


def test_who_would_not_wait_is_told_why_nobody_is_there(service: Service) -> None:
    project = service.new_project()
    owner = service.owner(project)
    error = refused(lambda: owner.create_match(project.id, require_immediate=True))
    assert isinstance(error, NoAdvisorsAvailable)
    service.new_advisor(status="AVAILABILITY_STATUS_BUSY")
    error = refused(lambda: owner.create_match(project.id, require_immediate=True))
    assert isinstance(error, AllAdvisorsBusy)
    assert not owner.list_project_matches(project.id).matches


def test_owners_and_those_who_are_excluded_are_never_offered(service: Service) -> None:
    owning, excluded, free = (service.new_advisor() for _ in range(3))
    project = service.new_project(owner_id=owning.id)
    criteria = MatchCriteria(exclude_advisor_ids=[excluded.id])
    owner = service.owner(project)
    assert owner.create_match(project.id, criteria=criteria).match.matched_advisor.id == free.id


def test_an_advisor_claims_a_match_that_waits_and_thereby_accepts_it(service: Service) -> None:
    advisor = service.new_advisor(slots=1, status="AVAILABILITY_STATUS_OFFLINE")
    full = service.new_advisor(slots=1, status="AVAILABILITY_STATUS_OFFLINE")
    project, other = service.new_project(), service.new_project()
    first = service.owner(project).create_match(project.id).match
    second = service.owner(other).create_match(other.id).match
    adviser = service.advisor(advisor)
    assert [match.id for match in adviser.list_claimable_matches().matches] == [first.id, second.id]
    claimed = adviser.claim_match(first.id)
    assert claimed.status == _S.MATCH_STATUS_ADVISOR_ACCEPTED
    assert claimed.matched_advisor.id == advisor.id
    assert claimed.advisor_decision.decision == Decision.DECISION_APPROVED
    assert adviser.claim_match(first.id) == claimed
    assert isinstance(refused(lambda: adviser.claim_match(second.id)), AdvisorAtCapacity)
    late = refused(lambda: service.advisor(full).claim_match(first.id))
    assert isinstance(late, InvalidTransition)
    assert (late.metadata["from"], late.metadata["to"]) == ("advisor_accepted", "matched")
    names = ["advisor.match_pending", "advisor.matched", "advisor.accepted"]
    assert service.event_types(project) == names
    events = service.platform.list_project_events(project.id).events
    assert [event.user_id for event in events[1:]] == [advisor.id, advisor.id]


def test_an_advisor_who_accepts_by_themselves_has_accepted_with_the_match(service: Service) -> None:
    advisor = service.new_advisor()
    preferences = service.platform.get_availability(advisor_id=advisor.id).preferences
    preferences.auto_accept = True
    service.platform.update_availability(advisor_id=advisor.id, preferences=preferences)
    project = service.new_project()
    match = service.owner(project).create_match(project.id).match
    assert match.status == _S.MATCH_STATUS_ADVISOR_ACCEPTED
    assert service.event_types(project) == ["advisor.matched", "advisor.accepted"]


def test_repeating_ones_own_decision_changes_nothing_even_with_an_old_etag(service: Service) -> None:
    project, advisor, match = service.matched()
    owner = service.owner(project)
    answer = owner.submit_client_decision(match.id, APPROVED, etag=match.etag)
    assert owner.submit_client_decision(match.id, APPROVED, etag="stale") == answer
    error = refused(
        lambda: service.advisor(advisor).submit_advisor_decision(match.id, APPROVED, etag=match.etag)
    )
    assert isinstance(error, EtagMismatch)
    assert error.metadata == {"match_id": match.id}


def test_a_step_that_the_lifecycle_does_not_have_is_refused(service: Service) -> None:
    project, advisor, match = service.finalized()
    both = {
        "client": service.owner(project).submit_client_decision,
        "advisor": service.advisor(advisor).submit_advisor_decision,
    }
    for side, decide in both.items():
        error = refused(lambda decide=decide: decide(match.id, DECLINED))  # type: ignore[misc]
        assert isinstance(error, InvalidTransition)
        expected = {"match_id": match.id, "from": "finalized", "to": f"{side}_declined"}
        assert error.metadata == expected


def test_a_match_expires_when_its_time_is_over(service: Service) -> None:
    service.new_advisor(slots=1)
    project = service.new_project()
    owner = service.owner(project)
    match = owner.create_match(project.id, expires_in=timedelta(seconds=1)).match
    status = eventually(
        lambda: owner.get_match(match.id).status == _S.MATCH_STATUS_EXPIRED, what="the match expires"
    )
    assert status
    expired = owner.get_match(match.id)
    assert expired.closed_reason == ClosedReason.CLOSED_REASON_EXPIRED
    assert expired.previous_status == _S.MATCH_STATUS_MATCHED
    error = refused(lambda: owner.submit_client_decision(match.id, APPROVED))
    assert isinstance(error, MatchExpired)
    assert error.metadata == {"match_id": match.id}
    assert not owner.create_match(project.id).already_open
    kinds = service.event_types(project)
    assert kinds == ["advisor.matched", "advisor.match_expired", "advisor.matched"]
    told = owner.list_project_events(project.id).events[1]
    assert (told.match.reason, told.user_id) == ("expired", "system")


def test_a_failed_workspace_takes_the_match_back_and_the_last_decision_with_it(service: Service) -> None:
    project, advisor, match = service.matched()
    owner, adviser = service.owner(project), service.advisor(advisor)
    owner.submit_client_decision(match.id, APPROVED)
    back = service.roll_back(match.id, lambda: adviser.submit_advisor_decision(match.id, APPROVED))
    assert back.status == _S.MATCH_STATUS_CLIENT_APPROVED
    assert back.previous_status == _S.MATCH_STATUS_FINALIZED
    assert back.workspace_provisioning == WorkspaceProvisioning.WORKSPACE_PROVISIONING_FAILED
    assert back.HasField("client_decision")
    assert not back.HasField("advisor_decision")
    assert back.expires_at.ToNanoseconds() > match.expires_at.ToNanoseconds()
    event = owner.list_project_events(project.id).events[-1]
    failed = event.provisioning_failed
    assert event.type == "advisor.provisioning_failed"
    assert (failed.match_id, failed.reverted_to) == (match.id, back.status)
    assert (failed.attempts, failed.reason) == (3, "the workspace could not be set up")
    (noted,) = service.admin.list_interventions(
        intervention_type="workspace_provisioning_failure"
    ).interventions
    assert (noted.match_id, noted.project_id) == (match.id, project.id)

    retried = service.admin.retry_provisioning(match.id)
    assert retried.match.status == _S.MATCH_STATUS_FINALIZED
    assert retried.match.advisor_decision.decision == Decision.DECISION_APPROVED
    assert retried.job.match_id == match.id
    service.wait_for_workspace(match.id)
    assert service.event_types(project)[-3:] == [
        "advisor.finalized",
        "message.new",
        "advisor.workspace_ready",
    ]


def test_an_admin_puts_an_advisor_in_place_of_an_open_match(service: Service) -> None:
    project, _, old = service.matched()
    chosen = service.new_advisor()
    answer = service.admin.assign_advisor(project.id, chosen.id, reason="knows it")
    assert answer.assignment_id
    assert answer.match.matched_advisor.id == chosen.id
    assert answer.match.status == _S.MATCH_STATUS_MATCHED
    assert answer.match.assignment_type == AssignmentType.ASSIGNMENT_TYPE_MANUAL
    replaced = service.owner(project).get_match(old.id)
    assert replaced.closed_reason == ClosedReason.CLOSED_REASON_SUPERSEDED_BY_ADMIN
    assert service.event_types(project) == ["advisor.matched", "advisor.match_expired", "advisor.matched"]


def test_an_emergency_finalizes_at_once_whatever_the_advisors_load(service: Service) -> None:
    advisor = service.new_advisor(slots=1, status="AVAILABILITY_STATUS_OFFLINE")
    project = service.new_project()
    answer = service.admin.assign_advisor(project.id, advisor.id, assignment_type="ASSIGNMENT_TYPE_EMERGENCY")
    assert answer.match.status == _S.MATCH_STATUS_FINALIZED
    assert answer.workspace_provisioning == WorkspaceProvisioning.WORKSPACE_PROVISIONING_QUEUED
    assert not answer.match.HasField("advisor_decision")
    assert service.event_types(project)[:2] == ["advisor.matched", "advisor.finalized"]
    service.wait_for_workspace(answer.match.id)
    assert service.admin.release_advisor(project.id, advisor.id, reason="done")
    assert not service.admin.release_advisor(project.id, advisor.id)
    released = service.platform.list_project_events(project.id).events[-1]
    assert released.type == "advisor.released"
    assert (released.released.advisor_id, released.released.reason) == (advisor.id, "done")
    assert released.released.match_id == answer.match.id
    assert service.platform.get_availability(advisor_id=advisor.id).current_capacity == 0


def test_a_deactivated_advisors_offers_are_closed(service: Service) -> None:
    project, advisor, match = service.matched()
    assert not service.platform.deactivate_advisor(advisor.id, reason="left").active
    closed = service.owner(project).get_match(match.id)
    assert closed.status == _S.MATCH_STATUS_EXPIRED
    assert closed.closed_reason == ClosedReason.CLOSED_REASON_ADVISOR_DEACTIVATED
    assert service.platform.get_availability(advisor_id=advisor.id).reason == "inactive"


def test_what_is_not_the_callers_does_not_exist_for_them(service: Service) -> None:
    project, advisor, match = service.matched()
    for stranger in (service.stranger("client"), service.stranger("advisor")):
        assert isinstance(refused(lambda stranger=stranger: stranger.get_match(match.id)), MatchNotFound)  # type: ignore[misc]
    owner_as_advisor = service.caller(project.owner_id, "advisor")
    assert isinstance(
        refused(lambda: owner_as_advisor.submit_advisor_decision(match.id, APPROVED)), MatchNotFound
    )
    both = service.caller(advisor.id, "client", "advisor")
    assert isinstance(refused(lambda: both.submit_client_decision(match.id, APPROVED)), MatchNotFound)
