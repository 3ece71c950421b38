"""Asking for an advisor: once or again, with nobody free, and who is never offered."""

from __future__ import annotations

import uuid

import pytest

from advisor_matching.v1.match_service_pb2 import CreateMatchRequest
from advisor_matching.v1.types_pb2 import MatchCriteria, MatchStatus, PendingReason
from matching_client import (
    AllAdvisorsBusy,
    Claims,
    DuplicateMatchRequest,
    IdempotencyMismatch,
    MatchingError,
    NoAdvisorsAvailable,
)
from tests.support.locks import held
from tests.support.raw import sign
from tests.support.world import SERVICE, World

APPROVED, DECLINED = "DECISION_APPROVED", "DECISION_DECLINED"
CREATE = "/advisor_matching.v1.MatchService/CreateMatch"
BUSY = PendingReason.PENDING_REASON_ALL_ADVISORS_BUSY
NOBODY = PendingReason.PENDING_REASON_NO_ADVISORS_AVAILABLE
PENDING = MatchStatus.MATCH_STATUS_PENDING


def answer_bytes(world: World, request: CreateMatchRequest, *, server: int = 0) -> bytes:
    """What CreateMatch answers to the service, as it comes over the wire."""
    claims = Claims(str(SERVICE), roles=["service"])
    with world.channel(server) as channel:
        return sign(world.servers.all[server].endpoint, claims, CREATE, request).send(channel)


def test_asking_again_returns_the_match_that_is_there(world: World) -> None:
    project, advisor, match = world.matched()
    for server in (0, 1):
        again = world.client(project, server=server).create_match(project)
        assert again.already_open
        assert again.match == match
    world.client(project).submit_client_decision(match.id, APPROVED)
    assert world.client(project).create_match(project).match.id == match.id
    assert world.load(advisor) == 1
    assert world.event_types(project) == ["advisor.matched", "advisor.client_approved"]


def test_asking_while_the_workspace_is_made_returns_that_match_and_afterwards_a_new_one(world: World) -> None:
    with held(world.conn, "LOCK TABLE workspace_provisioning_attempts IN EXCLUSIVE MODE"):
        project, advisor, match = world.finalized()
        other = world.new_advisor()
        asked = world.client(project).create_match(project)
        assert (asked.already_open, asked.match.id) == (True, match.id)
        assert asked.match.status == MatchStatus.MATCH_STATUS_FINALIZED
    world.wait_for_ready(match.id)
    new = world.client(project).create_match(project)
    assert not new.already_open
    assert new.match.matched_advisor.id == other, "who is active on the project is not offered to it again"
    assert world.load(advisor) == 1


def test_fail_if_open_names_the_match_that_is_in_the_way(world: World) -> None:
    project, _, match = world.matched()
    with pytest.raises(DuplicateMatchRequest) as refused:
        world.client(project).create_match(project, fail_if_open=True)
    assert refused.value.match_id == match.id
    world.client(project).submit_client_decision(match.id, DECLINED)
    assert not world.client(project).create_match(project, fail_if_open=True).already_open


@pytest.mark.parametrize("fail_if_open", [False, True])
def test_a_repeated_request_is_answered_byte_for_byte_as_the_first_time(
    world: World, fail_if_open: bool
) -> None:
    advisor, project = world.new_advisor(), world.new_project()
    request = CreateMatchRequest(project_id=project, fail_if_open=fail_if_open, request_id=str(uuid.uuid4()))
    first = answer_bytes(world, request)
    assert answer_bytes(world, request, server=1) == first
    match = world.service().create_match(project).match
    world.advisor(advisor).submit_advisor_decision(match.id, DECLINED)
    assert answer_bytes(world, request, server=1) == first, "even after the match has moved on"
    assert world.statuses() == {"advisor_declined": 1}


def test_a_request_that_waited_and_is_repeated_keeps_its_answer(world: World) -> None:
    project = world.new_project()
    request = CreateMatchRequest(project_id=project, request_id=str(uuid.uuid4()))
    first = answer_bytes(world, request)
    advisor = world.new_advisor()
    world.service().update_availability(advisor, status="AVAILABILITY_STATUS_AVAILABLE")
    match_id = str(world.value("SELECT id FROM advisor_match_requests"))
    world.wait_for_status(match_id, "matched")
    assert answer_bytes(world, request, server=1) == first


def test_a_request_id_is_good_for_one_request_of_one_caller(world: World) -> None:
    project, other, request_id = world.new_project(), world.new_project(), str(uuid.uuid4())
    world.client(project).create_match(project, request_id=request_id)
    with pytest.raises(IdempotencyMismatch):
        world.client(project).create_match(project, request_id=request_id, allow_previous=True)
    mine = world.client(other).create_match(other, request_id=request_id)
    assert mine.match.project_id == other, "ids of different callers have nothing to do with each other"


@pytest.mark.parametrize(
    ("status", "slots", "reason", "error"),
    [
        ("available", 1, BUSY, AllAdvisorsBusy),
        ("busy", 3, BUSY, AllAdvisorsBusy),
        ("offline", 3, NOBODY, NoAdvisorsAvailable),
        (None, 0, NOBODY, NoAdvisorsAvailable),
    ],
    ids=["at-capacity", "busy", "offline", "no-advisor"],
)
def test_with_nobody_free_the_match_waits_and_says_why_or_is_refused(
    world: World, status: str | None, slots: int, reason: PendingReason, error: type[MatchingError]
) -> None:
    if status is not None:
        world.new_advisor(slots=slots, status=status)
    if status == "available":
        taken = world.new_project()
        world.client(taken).create_match(taken)
    project = world.new_project()
    before = world.statuses()
    with pytest.raises(error):
        world.client(project).create_match(project, require_immediate=True)
    assert world.statuses() == before, "nothing is created"
    match = world.client(project).create_match(project).match
    assert (match.status, match.pending_reason) == (PENDING, reason)
    assert not match.HasField("matched_advisor")
    [event] = world.watched(project, 1)
    assert event.type == "advisor.match_pending"
    assert event.match.reason == PendingReason.Name(reason).removeprefix("PENDING_REASON_").lower()


def test_require_immediate_takes_a_free_advisor(world: World) -> None:
    advisor, project = world.new_advisor(), world.new_project()
    match = world.client(project).create_match(project, require_immediate=True).match
    assert match.matched_advisor.id == advisor


def test_an_owner_is_never_the_advisor_of_their_own_project(world: World) -> None:
    advisor = world.new_advisor()
    project = world.new_project(owner_id=advisor)
    match = world.service().create_match(project, allow_previous=True).match
    assert (match.status, match.pending_reason) == (PENDING, NOBODY)
    assert world.load(advisor) == 0


def test_excluded_advisors_are_not_offered(world: World) -> None:
    excluded, other = world.new_advisor(), world.new_advisor()
    for _ in range(2):
        project = world.new_project()
        criteria = MatchCriteria(exclude_advisor_ids=[excluded])
        match = world.client(project).create_match(project, criteria=criteria).match
        assert match.matched_advisor.id == other
        assert list(match.criteria.exclude_advisor_ids) == [excluded]


def test_the_least_loaded_advisor_is_offered_next(world: World) -> None:
    advisors = [world.new_advisor() for _ in range(3)]
    offered = []
    for server in (0, 1, 0, 1, 0, 1):
        project = world.new_project()
        offered.append(world.client(project, server=server).create_match(project).match.matched_advisor.id)
    assert sorted(offered[:3]) == sorted(advisors)
    assert offered[3:] == offered[:3], "the one whose last assignment is longest ago comes first"
