"""The lifecycle is the table of the product page: what it lists happens, and nothing else."""

from __future__ import annotations

from itertools import product

import pytest

from matching_server.domain.errors import InvalidTransition, Reason
from matching_server.domain.lifecycle import (
    LEGAL_STEPS,
    TRANSITIONS,
    Action,
    decision_action,
    next_status,
    rollback_status,
)
from matching_server.domain.model import OPEN_STATUSES, Decision, MatchStatus, Side

S = MatchStatus
A = Action

WITH_ADVISOR = (S.MATCHED, S.CLIENT_APPROVED, S.ADVISOR_ACCEPTED)
OPEN = (S.PENDING, *WITH_ADVISOR)
CLOSED = (S.CLIENT_DECLINED, S.ADVISOR_DECLINED, S.EXPIRED)

# Written out by hand from the product page, row by row.
TABLE: dict[tuple[MatchStatus | None, Action], set[MatchStatus]] = {
    (None, A.CREATE_MATCHED): {S.MATCHED},
    (None, A.CREATE_PENDING): {S.PENDING},
    (S.PENDING, A.ADVISOR_FOUND): {S.MATCHED},
    (S.MATCHED, A.CLIENT_APPROVE): {S.CLIENT_APPROVED},
    (S.MATCHED, A.ADVISOR_ACCEPT): {S.ADVISOR_ACCEPTED},
    (S.CLIENT_APPROVED, A.ADVISOR_ACCEPT): {S.FINALIZED},
    (S.ADVISOR_ACCEPTED, A.CLIENT_APPROVE): {S.FINALIZED},
    **{(status, A.CLIENT_DECLINE): {S.CLIENT_DECLINED} for status in OPEN},
    **{(status, A.ADVISOR_DECLINE): {S.ADVISOR_DECLINED} for status in WITH_ADVISOR},
    **{(status, A.EXPIRE): {S.EXPIRED} for status in OPEN},
    (S.MATCHED, A.EMERGENCY_FINALIZE): {S.FINALIZED},
    (S.FINALIZED, A.ROLL_BACK): {*WITH_ADVISOR, S.EXPIRED},
    **{(status, A.RETRY_PROVISIONING): {S.FINALIZED} for status in WITH_ADVISOR},
    (S.FINALIZED, A.RELEASE): {S.EXPIRED},
}
# What a refused action is said to have aimed at.
AIM = {
    A.CREATE_MATCHED: S.MATCHED,
    A.CREATE_PENDING: S.PENDING,
    A.ADVISOR_FOUND: S.MATCHED,
    A.CLIENT_APPROVE: S.CLIENT_APPROVED,
    A.ADVISOR_ACCEPT: S.ADVISOR_ACCEPTED,
    A.CLIENT_DECLINE: S.CLIENT_DECLINED,
    A.ADVISOR_DECLINE: S.ADVISOR_DECLINED,
    A.EMERGENCY_FINALIZE: S.FINALIZED,
    A.EXPIRE: S.EXPIRED,
    A.ROLL_BACK: S.MATCHED,
    A.RETRY_PROVISIONING: S.FINALIZED,
    A.RELEASE: S.EXPIRED,
}
SOURCES: tuple[MatchStatus | None, ...] = (None, *S)
REFUSED = [pair for pair in product(SOURCES, A) if pair not in TABLE]


def test_the_transitions_are_those_of_the_table() -> None:
    listed = {(source, action, target) for (source, action), to in TABLE.items() for target in to}
    assert {(t.source, t.action, t.target) for t in TRANSITIONS} == listed
    assert len(TRANSITIONS) == len(listed)


def test_a_legal_step_is_one_that_some_action_makes() -> None:
    assert {(source, target) for (source, _), to in TABLE.items() for target in to} == LEGAL_STEPS


@pytest.mark.parametrize(("source", "action"), [pair for pair in TABLE if pair[1] is not A.ROLL_BACK])
def test_a_listed_action_leads_where_the_table_says(source: MatchStatus | None, action: Action) -> None:
    assert {next_status(source, action)} == TABLE[source, action]


@pytest.mark.parametrize(("source", "action"), REFUSED)
def test_an_action_that_is_not_listed_is_refused_with_both_ends(
    source: MatchStatus | None, action: Action
) -> None:
    with pytest.raises(InvalidTransition) as refused:
        next_status(source, action)
    assert refused.value.reason is Reason.INVALID_TRANSITION
    assert refused.value.metadata == {
        "from": source.value if source else "none",
        "to": AIM[action].value,
    }
    assert AIM[action].value in str(refused.value)


def test_every_status_is_reached_from_a_new_match() -> None:
    reached: set[MatchStatus | None] = {None}
    while more := {target for source, target in LEGAL_STEPS if source in reached} - reached:
        reached |= more
    assert reached == {None, *S}


def test_nothing_leaves_a_closed_match() -> None:
    assert {source for source, _ in LEGAL_STEPS} == {None, *OPEN, S.FINALIZED}
    assert not {source for source, _ in LEGAL_STEPS} & set(CLOSED)


def test_open_is_what_can_still_expire() -> None:
    assert {source for source, action in TABLE if action is A.EXPIRE} == OPEN_STATUSES


def test_each_decision_of_each_side_is_an_action_of_its_own() -> None:
    actions = {
        (side, decision): decision_action(side, decision) for side, decision in product(Side, Decision)
    }
    assert actions == {
        (Side.CLIENT, Decision.APPROVED): A.CLIENT_APPROVE,
        (Side.CLIENT, Decision.DECLINED): A.CLIENT_DECLINE,
        (Side.ADVISOR, Decision.APPROVED): A.ADVISOR_ACCEPT,
        (Side.ADVISOR, Decision.DECLINED): A.ADVISOR_DECLINE,
    }


@pytest.mark.parametrize("previous", [None, *S])
def test_a_rollback_returns_to_the_status_before_or_else_to_matched(previous: MatchStatus | None) -> None:
    expected = previous if previous in WITH_ADVISOR else S.MATCHED
    assert rollback_status(previous) is expected
    assert (S.FINALIZED, rollback_status(previous)) in LEGAL_STEPS
