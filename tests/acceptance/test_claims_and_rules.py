"""Advisors who take what waits, and admins who steer who is offered what, at the wire."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

from advisor_matching.v1.types_pb2 import (
    Decision,
    Match,
    MatchingAlgorithm,
    MatchStatus,
    PreferenceRule,
    RuleEffect,
)
from matching_client import (
    AdvisorAtCapacity,
    AdvisorInactive,
    AdvisorNotFound,
    IdempotencyMismatch,
    InvalidArgument,
    InvalidTransition,
    MatchExpired,
    MatchNotFound,
    ProjectNotFound,
    RuleNotFound,
)
from tests.support.at_once import together
from tests.support.wait import eventually
from tests.support.world import ADMIN, World

S = MatchStatus
EXCLUDE, REQUIRE, BOOST = "RULE_EFFECT_EXCLUDE", "RULE_EFFECT_REQUIRE", "RULE_EFFECT_BOOST"


def waiting(world: World, **columns: str) -> Match:
    project = world.new_project(**columns)
    match = world.client(project).create_match(project).match
    assert match.status == S.MATCH_STATUS_PENDING
    return match


# -------------------------------------------------------------------------------------------------------- claims


def test_an_advisor_finds_what_waits_claims_it_and_gets_the_workspace(world: World) -> None:
    matches = [waiting(world) for _ in range(3)]
    advisor = world.new_advisor(status="offline")
    mine = world.advisor(advisor)
    first = mine.list_claimable_matches(page_size=2)
    rest = mine.list_claimable_matches(page_size=2, page_token=first.next_page_token)
    assert [*first.matches, *rest.matches] == matches
    assert rest.next_page_token == ""
    claimed = mine.claim_match(matches[1].id)
    assert claimed.status == S.MATCH_STATUS_ADVISOR_ACCEPTED
    assert claimed.matched_advisor.id == advisor
    assert claimed.advisor_decision.decision == Decision.DECISION_APPROVED
    assert claimed == mine.get_match(claimed.id) == mine.claim_match(claimed.id)
    assert [match.id for match in mine.list_claimable_matches().matches] == [matches[0].id, matches[2].id]
    told = ["advisor.match_pending", "advisor.matched", "advisor.accepted"]
    assert world.event_types(claimed.project_id) == told
    answer = world.client(claimed.project_id).submit_client_decision(claimed.id, "DECISION_APPROVED")
    assert answer.status == S.MATCH_STATUS_FINALIZED
    world.wait_for_ready(claimed.id)
    assert mine.claim_match(claimed.id).status == S.MATCH_STATUS_FINALIZED
    assert world.load(advisor) == 1


def test_a_claim_is_explained_as_nobodys_choice(world: World) -> None:
    match, advisor = waiting(world), world.new_advisor(slots=2, status="busy")
    world.advisor(advisor).claim_match(match.id)
    said = world.admin().explain_match(match.id)
    assert said.replay_matches
    why = said.explanation
    assert why.algorithm == MatchingAlgorithm.MATCHING_ALGORITHM_UNSPECIFIED
    assert not why.HasField("weights")
    assert (why.load_at_claim, why.slots_at_claim) == (0, 2)
    assert why.HasField("load_at_claim")
    assert (why.chosen.advisor.id, why.chosen.features.slots) == (advisor, 2)
    assert why.decided_at.ToDatetime(UTC) <= datetime.now(UTC) + timedelta(minutes=1)


def test_every_refusal_of_a_claim_has_its_reason(world: World) -> None:
    match = waiting(world)
    advisor, other = world.new_advisor(slots=1, status="offline"), world.new_advisor(status="offline")
    claim = partial(world.advisor(advisor).claim_match, match.id)
    with pytest.raises(AdvisorNotFound):
        world.advisor(world.new_person()).claim_match(match.id)
    with pytest.raises(AdvisorNotFound):
        world.advisor(world.new_person()).list_claimable_matches()
    with pytest.raises(MatchNotFound):
        world.advisor(advisor).claim_match(str(uuid.uuid4()))
    with pytest.raises(InvalidArgument):
        world.advisor(advisor).claim_match("m")
    world.execute("UPDATE advisors SET active = false WHERE id = :id", id=advisor)
    with pytest.raises(AdvisorInactive):
        claim()
    world.execute("UPDATE advisors SET active = true")
    world.advisor(advisor).claim_match(waiting(world).id)
    with pytest.raises(AdvisorAtCapacity):
        claim()
    world.advisor(other).claim_match(match.id)
    with pytest.raises(InvalidTransition) as taken:
        claim()
    assert (taken.value.match_id, taken.value.metadata["from"]) == (match.id, "advisor_accepted")
    late = waiting(world)
    world.execute("UPDATE advisor_match_requests SET expires_at = now() WHERE id = :id", id=late.id)
    with pytest.raises(MatchExpired) as expired:
        world.advisor(other).claim_match(late.id)
    assert expired.value.match_id == late.id


def test_of_those_who_claim_on_two_servers_at_once_one_has_it(world: World) -> None:
    advisors = [world.new_advisor(status="offline") for _ in range(8)]
    for _ in range(5):
        match = waiting(world)
        claims: list[Callable[[], Match]] = [
            partial(world.advisor(advisor, server=number % 2).claim_match, match.id)
            for number, advisor in enumerate(advisors)
        ]
        outcomes = together(claims)
        assert sum(isinstance(outcome, Match) for outcome in outcomes) == 1
        assert sum(isinstance(outcome, InvalidTransition) for outcome in outcomes) == 7
        world.client(match.project_id).submit_client_decision(match.id, "DECISION_DECLINED")


# --------------------------------------------------------------------------------------------------------- rules


def test_a_rule_is_made_listed_and_deleted(world: World) -> None:
    admin, advisor, project = world.admin(), world.new_advisor(), world.new_project()
    until = datetime(2100, 1, 1, tzinfo=UTC)
    rule = PreferenceRule(
        advisor_id=advisor, effect=BOOST, boost=7.5, project_id=project, active_until=until, reason="knows it"
    )
    stored = admin.create_preference_rule(rule)
    assert (stored.created_by, stored.effect) == (str(ADMIN), RuleEffect.RULE_EFFECT_BOOST)
    rule.id, rule.created_by = stored.id, stored.created_by
    rule.created_at.CopyFrom(stored.created_at)
    assert stored == rule
    other = admin.create_preference_rule(PreferenceRule(advisor_id=advisor, effect=EXCLUDE, framework="vue"))
    page = admin.list_preference_rules(page_size=1)
    assert list(page.rules) == [other]
    assert list(admin.list_preference_rules(page_token=page.next_page_token).rules) == [stored]
    for _ in range(2):
        admin.delete_preference_rule(stored.id)
    assert list(admin.list_preference_rules().rules) == [other]
    with pytest.raises(RuleNotFound):
        admin.delete_preference_rule(str(uuid.uuid4()))


def test_a_rule_about_nobody_or_nothing_is_refused(world: World) -> None:
    admin, nowhere = world.admin(), str(uuid.uuid4())
    with pytest.raises(AdvisorNotFound):
        admin.create_preference_rule(PreferenceRule(advisor_id=nowhere, effect=EXCLUDE))
    with pytest.raises(ProjectNotFound):
        admin.create_preference_rule(
            PreferenceRule(advisor_id=world.new_advisor(), effect=EXCLUDE, project_id=nowhere)
        )
    with pytest.raises(InvalidArgument) as refused:
        admin.create_preference_rule(PreferenceRule(advisor_id=nowhere, effect=BOOST))
    assert [violation.field for violation in refused.value.field_violations] == ["rule.boost"]


def test_a_repeated_request_is_answered_as_the_first_time(world: World) -> None:
    admin, request = world.admin(), str(uuid.uuid4())
    rule = PreferenceRule(advisor_id=world.new_advisor(), effect=REQUIRE)
    first = admin.create_preference_rule(rule, request_id=request)
    assert admin.create_preference_rule(rule, request_id=request) == first
    rule.framework = "vue"
    with pytest.raises(IdempotencyMismatch):
        admin.create_preference_rule(rule, request_id=request)
    assert list(admin.list_preference_rules().rules) == [first]


def test_a_match_that_a_rule_held_up_is_served_soon_after_the_rule_is_deleted(world: World) -> None:
    match, advisor = waiting(world), world.new_advisor(status="offline")
    rule = world.admin().create_preference_rule(PreferenceRule(advisor_id=advisor, effect=EXCLUDE))
    assert list(world.advisor(advisor).list_claimable_matches().matches) == []
    world.advisor(advisor).update_availability(status="AVAILABILITY_STATUS_AVAILABLE")
    # Asking again tries again.
    again = world.client(match.project_id).create_match(match.project_id)
    assert again.match.status == S.MATCH_STATUS_PENDING
    world.admin().delete_preference_rule(rule.id)
    eventually(lambda: world.status(match.id) == "matched", timeout=2.5, what="the match is served")
