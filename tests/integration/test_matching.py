"""Asking for an advisor: what is filled in, what is answered, and what is left behind."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from matching_server.domain.errors import (
    AllAdvisorsBusy,
    DuplicateMatchRequest,
    MatchNotFound,
    NoAdvisorsAvailable,
    ProjectNotFound,
)
from matching_server.domain.model import (
    ClosedReason,
    MatchCriteria,
    MatchStatus,
    PendingReason,
    ProjectComplexity,
    Role,
    ScoringWeights,
    Side,
    TechStack,
)
from matching_server.operations import matching
from matching_server.operations.commands import CreatedMatch
from tests.integration.world import World, answers, call, together
from tests.support.seed import insert_advisors, insert_project, insert_user

S = MatchStatus
LARGE = 50


def stored_choice(world: World, match_id: UUID) -> dict[str, Any]:
    record, replayed = matching.explain_match(world.runner, call(), match_id)
    assert replayed
    return record


def test_a_free_advisor_is_offered_at_once(world: World) -> None:
    project, advisor = world.project(), world.advisor(rating=4.5, skills=["Go"])
    before = world.now()
    match = world.create(project)
    assert (match.status, match.matched_advisor_id, match.version) == (S.MATCHED, advisor, 1)
    assert match.matched_advisor is not None
    assert (match.matched_advisor.skills, match.matched_advisor.rating) == (("Go",), 4.5)
    assert match.score is None
    assert match.match_reason == "Least loaded of 1 free advisors (0 of 3 slots taken)."
    assert match.requested_by == world.owner(project)
    assert before < match.created_at < world.now()
    assert match.expires_at - match.created_at == match.expires_in == timedelta(hours=2)
    assert match == world.match(match.id)
    assert world.load(advisor) == 1
    assert world.notified("match_offered") == [advisor]
    [event] = world.events(project)
    assert (event.type.value, event.match_id, event.user_id) == (
        "advisor.matched",
        match.id,
        world.owner(project),
    )
    [effects] = world.effects
    assert effects.events == [event]
    assert effects.availability_changed == {advisor}


def test_what_the_criteria_leave_open_comes_from_the_project_and_the_settings(world: World) -> None:
    insert_advisors(world.conn, LARGE, frameworks=["Rails"])
    owner = insert_user(world.conn, timezone="UTC")
    stack = {"framework": "Django", "languages": ["Python"]}
    project = insert_project(world.conn, owner_id=owner, technology_stack=stack, complexity="complex")
    django = world.advisor(
        frameworks=["django"],
        languages=["python"],
        timezone="UTC",
        preferences={"preferred_complexity": ["complex"]},
    )
    match = world.under(weights=ScoringWeights(1, 2, 3, 4)).create(project)
    assert (match.matched_advisor_id, match.score) == (django, 100.0)
    assert stored_choice(world, match.id)["weights"] == {
        "availability": 1,
        "skills": 2,
        "timezone": 3,
        "preference": 4,
    }
    assert match.criteria == MatchCriteria()


def test_a_complexity_that_is_not_stated_is_medium(world: World) -> None:
    insert_advisors(world.conn, LARGE, preferences={"preferred_complexity": ["simple", "complex"]})
    likes_medium = world.advisor(preferences={"preferred_complexity": ["medium"]})
    assert world.create(world.project(complexity=None)).matched_advisor_id == likes_medium


def test_criteria_go_before_the_project_and_the_settings(world: World) -> None:
    rails = world.advisor(frameworks=["Rails"], preferences={"preferred_complexity": ["simple"]})
    insert_advisors(world.conn, LARGE, frameworks=["Django"], rating=5)
    criteria = MatchCriteria(
        TechStack("rails"), ScoringWeights(0, 0.1, 0, 0.2), ProjectComplexity.SIMPLE, (uuid4(),)
    )
    project = world.project(technology_stack={"framework": "Django"}, complexity="complex")
    match = world.create(project, criteria=criteria)
    assert (match.matched_advisor_id, match.score) == (rails, 100.0)
    assert world.match(match.id).criteria == criteria


def test_a_choice_is_replayed_whatever_the_weights(world: World) -> None:
    # JSONB writes 1e+23 out as an integer that is not the double; the halves of a hundredth tell.
    insert_advisors(world.conn, LARGE, slots=8)
    world.run("UPDATE advisor_availability SET status = 'busy'")
    chosen = world.advisor(slots=8, frameworks=["Go"])
    taken = [world.create(world.project()) for _ in range(7)]
    criteria = MatchCriteria(TechStack("Rust"), ScoringWeights(1e23, 3e23, 0, 0))
    match = world.create(criteria=criteria)
    assert {one.matched_advisor_id for one in [*taken, match]} == {chosen}
    assert stored_choice(world, match.id)["chosen"]["features"]["availability"] == [1, 8]


def test_a_second_request_is_answered_with_the_open_match(world: World) -> None:
    project = world.project()
    advisor = world.advisor()
    first = world.ask_for(project)
    second = world.ask_for(project)
    assert isinstance(first, CreatedMatch)
    assert isinstance(second, CreatedMatch)
    assert (first.already_open, second.already_open) == (False, True)
    assert second.match == first.match
    assert world.load(advisor) == 1
    assert world.told(project) == ["advisor.matched"]


def test_a_caller_who_asks_to_be_told_of_an_open_match_is_told(world: World) -> None:
    world.advisor()
    match = world.create()
    with pytest.raises(DuplicateMatchRequest) as refused:
        world.create(match.project_id, fail_if_open=True)
    assert refused.value.metadata == {"match_id": str(match.id)}


def test_concurrent_requests_for_one_project_give_one_match(world: World) -> None:
    advisor = world.advisor(slots=10)
    project = world.project()
    created = answers(together(*[lambda: world.ask_for(project) for _ in range(12)]))
    assert all(isinstance(one, CreatedMatch) for one in created)
    found = [one for one in created if isinstance(one, CreatedMatch)]
    assert len({one.match.id for one in found}) == 1
    assert sorted(one.already_open for one in found) == [False] + [True] * 11
    assert world.load(advisor) == 1


def test_an_overdue_match_is_expired_before_another_is_made(world: World) -> None:
    advisor = world.advisor(slots=1)
    first = world.create()
    world.make_overdue(first.id)
    second = world.create(first.project_id, fail_if_open=True)
    assert second.id != first.id
    assert (second.status, second.matched_advisor_id) == (S.MATCHED, advisor)
    old = world.match(first.id)
    assert (old.status, old.closed_reason, old.previous_status) == (
        S.EXPIRED,
        ClosedReason.EXPIRED,
        S.MATCHED,
    )
    assert world.told(first.project_id) == ["advisor.matched", "advisor.match_expired", "advisor.matched"]
    assert world.load(advisor) == 1


def test_a_finalized_match_without_a_workspace_yet_is_still_the_projects_match(world: World) -> None:
    world.advisor()
    queued = world.under(auto_provision=True)
    match = queued.approve(queued.create())
    again = queued.ask_for(match.project_id)
    assert isinstance(again, CreatedMatch)
    assert (again.match.id, again.already_open) == (match.id, True)


def test_with_the_flag_off_a_finalized_match_is_settled(world: World) -> None:
    first, second = world.advisor(), world.advisor()
    match = world.approve(world.create())
    other = world.create(match.project_id)
    assert other.id != match.id
    # Whoever is on the project already is not offered it again.
    assert {match.matched_advisor_id, other.matched_advisor_id} == {first, second}


@pytest.mark.parametrize(
    ("statuses", "why"),
    [
        ([], PendingReason.NO_ADVISORS_AVAILABLE),
        (["offline", "offline"], PendingReason.NO_ADVISORS_AVAILABLE),
        (["offline", "busy"], PendingReason.ALL_ADVISORS_BUSY),
    ],
)
def test_where_nobody_is_free_the_match_waits_and_says_why(
    world: World, statuses: list[str], why: PendingReason
) -> None:
    for status in statuses:
        world.advisor(status=status)
    project = world.project()
    match = world.create(project)
    assert (match.status, match.pending_reason, match.matched_advisor_id) == (S.PENDING, why, None)
    assert match == world.match(match.id)
    [event] = world.events(project)
    assert (event.type.value, getattr(event.payload, "reason", None)) == ("advisor.match_pending", why.value)


@pytest.mark.parametrize(("status", "error"), [("offline", NoAdvisorsAvailable), ("busy", AllAdvisorsBusy)])
def test_who_would_not_wait_is_refused_and_nothing_is_created(
    world: World, status: str, error: type[Exception]
) -> None:
    world.advisor(status=status)
    project = world.project()
    with pytest.raises(error):
        world.create(project, require_immediate=True)
    assert world.ask("SELECT count(*) FROM advisor_match_requests") == 0
    assert world.events(project) == []


def test_who_would_not_wait_gets_a_free_advisor_like_anybody(world: World) -> None:
    world.advisor()
    assert world.create(require_immediate=True).status is S.MATCHED


@pytest.mark.parametrize("role", [Role.SERVICE, Role.ADMIN])
def test_the_platform_asks_for_any_project(world: World, role: Role) -> None:
    world.advisor()
    assert world.create(by=call(uuid4(), role)).status is S.MATCHED


def test_nobody_asks_for_a_project_that_is_not_theirs(world: World) -> None:
    project, owner = world.project(), insert_user(world.conn)
    for stranger in (call(owner, Role.CLIENT), call(world.owner(project), Role.ADVISOR)):
        with pytest.raises(ProjectNotFound):
            world.create(project, stranger)
    missing = uuid4()
    with pytest.raises(ProjectNotFound, match=str(missing)):
        world.create(missing, call())
    assert world.ask("SELECT count(*) FROM advisor_match_requests") == 0


def test_an_advisor_who_accepts_by_themselves_has_accepted_with_the_offer(world: World) -> None:
    advisor = world.advisor(preferences={"auto_accept": True})
    match = world.create()
    assert (match.status, match.previous_status) == (S.ADVISOR_ACCEPTED, S.MATCHED)
    assert match.decision_of(Side.ADVISOR) is not None
    assert match == world.match(match.id)
    assert world.told(match.project_id) == ["advisor.matched", "advisor.accepted"]
    assert [event.user_id for event in world.events(match.project_id)][1] == advisor
    assert world.notified("advisor_accepted") == [world.owner(match.project_id)]
    assert world.approve(match, Side.CLIENT).status is S.FINALIZED


def test_a_match_without_a_choice_explains_nothing(world: World) -> None:
    assert matching.explain_match(world.runner, call(), world.create().id) == ({}, True)
    with pytest.raises(MatchNotFound):
        matching.explain_match(world.runner, call(), uuid4())
