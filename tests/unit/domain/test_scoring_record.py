"""Why somebody was left out, why nobody was found, and a record from which a choice is computed again."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from matching_server.domain.model import AvailabilityStatus, ExclusionReason, PendingReason
from matching_server.domain.scoring import (
    RUNNERS_UP,
    PoolAdvisor,
    canonical_json,
    exclusion_of,
    explain,
    inputs_digest,
    replay,
)
from tests.unit.domain.pools import CROWD, MOMENT, advisor, pool_advisors, rank, request, requests

R = ExclusionReason
ADA = advisor()
CAUSES: list[tuple[ExclusionReason, dict[str, Any], dict[str, Any]]] = [
    (R.INACTIVE, {"active": False}, {}),
    (R.OWNER, {}, {"owner_id": ADA.id}),
    (R.EXCLUDED_BY_CRITERIA, {}, {"excluded": frozenset({ADA.id})}),
    (R.EXCLUDED_BY_RULE, {}, {"excluded_by_rule": frozenset({ADA.id})}),
    (R.NOT_REQUIRED, {}, {"required": frozenset()}),
    (R.ALREADY_ACTIVE, {}, {"already_active": frozenset({ADA.id})}),
    (R.COOL_DOWN, {}, {"cooling_down": frozenset({ADA.id})}),
    (R.OFFLINE, {"status": AvailabilityStatus.OFFLINE}, {}),
    (R.BUSY, {"status": AvailabilityStatus.BUSY}, {}),
    (R.AT_CAPACITY, {"current_projects": 3}, {}),
]
"""In the order in which they are told: what waiting cannot mend comes first."""
CANNOT_MEND = tuple(cause for cause, _, _ in CAUSES if cause not in (R.BUSY, R.AT_CAPACITY))


def test_who_is_free_and_eligible_is_not_left_out() -> None:
    assert exclusion_of(ADA, request()) is None
    others = frozenset({advisor().id})
    asked = request(excluded=others, already_active=others, cooling_down=others)
    assert exclusion_of(replace(ADA, current_projects=2), asked) is None


@pytest.mark.parametrize("first", range(len(CAUSES)), ids=[reason.value for reason, _, _ in CAUSES])
def test_of_several_reasons_the_first_in_order_is_told(first: int) -> None:
    one: PoolAdvisor = ADA
    asked: dict[str, Any] = {}
    for _, of_advisor, of_request in reversed(CAUSES[first:]):
        one, asked = replace(one, **of_advisor), asked | of_request
    assert exclusion_of(one, request(**asked)) is CAUSES[first][0]


def test_a_ranking_counts_who_was_left_out_by_reason() -> None:
    pool = [
        *[advisor(status=AvailabilityStatus.BUSY) for _ in range(3)],
        *[advisor(load=3) for _ in range(2)],
        advisor(active=False),
        advisor(),
    ]
    assert rank(pool, request(), MOMENT).exclusions == {R.BUSY: 3, R.AT_CAPACITY: 2, R.INACTIVE: 1}


@pytest.mark.parametrize("left_out", [reason for reason, _, _ in CAUSES], ids=lambda reason: reason.value)
def test_waiting_is_advised_where_it_may_help(left_out: ExclusionReason) -> None:
    _, of_advisor, of_request = next(cause for cause in CAUSES if cause[0] is left_out)
    ranking = rank([replace(ADA, **of_advisor)], request(**of_request), MOMENT)
    nobody = left_out in CANNOT_MEND
    why = PendingReason.NO_ADVISORS_AVAILABLE if nobody else PendingReason.ALL_ADVISORS_BUSY
    assert ranking.pending_reason is why


def test_one_who_is_merely_busy_is_enough_to_wait_for() -> None:
    offline = [advisor(status=AvailabilityStatus.OFFLINE, load=3) for _ in range(5)]
    assert rank(offline, request(), MOMENT).pending_reason is PendingReason.NO_ADVISORS_AVAILABLE
    ranking = rank([*offline, advisor(load=3)], request(), MOMENT)
    assert ranking.pending_reason is PendingReason.ALL_ADVISORS_BUSY
    assert rank([], request(), MOMENT).pending_reason is PendingReason.NO_ADVISORS_AVAILABLE


def test_who_was_free_and_was_lost_counts_as_busy() -> None:
    assert rank([ADA], request(), MOMENT).pending_reason is PendingReason.ALL_ADVISORS_BUSY


@settings(max_examples=60)
@given(st.lists(pool_advisors(), min_size=1, max_size=8), st.sampled_from([0, 60]), st.data())
def test_a_record_is_replayed_byte_for_byte_even_out_of_json(
    some: list[PoolAdvisor], crowd: int, data: st.DataObject
) -> None:
    ranking = rank(some + CROWD[:crowd], data.draw(requests(some)), MOMENT)
    assume(ranking.candidates)
    chosen = data.draw(st.sampled_from(ranking.candidates))
    record = explain(ranking, chosen)
    again = json.loads(json.dumps(record))
    assert replay(record)
    assert replay(again)
    assert canonical_json(again) == canonical_json(record)
    assert inputs_digest(again) == inputs_digest(record)
    assert record["chosen"]["advisor_id"] == str(chosen.advisor.id)
    assert len(record["runners_up"]) == min(RUNNERS_UP, len(ranking.candidates) - 1)


def recorded(crowd: int = 60) -> dict[str, Any]:
    pool = [advisor(load=load, slots=9, last_assigned_at=MOMENT, rating=4.5) for load in range(8)]
    ranking = rank(pool + CROWD[:crowd], request(), MOMENT)
    return explain(ranking, ranking.candidates[1])


def test_a_record_holds_what_was_decided_on() -> None:
    record = recorded()
    assert record["algorithm"] == "complex_scoring"
    assert record["algorithm_version"] == 2
    assert record["decided_at"] == MOMENT.isoformat()
    assert record["weights"] == {"availability": 40, "skills": 35, "timezone": 15, "preference": 10}
    assert record["exclusions"] == {"offline": 60}
    assert record["pool_size"] == 68
    assert record["chosen"]["load"] == 1
    assert record["chosen"]["features"]["availability"] == [8, 9]
    # The best who were not chosen, in order: the first of the ranking among them.
    assert [one["load"] for one in record["runners_up"]] == [0, 2, 3, 4, 5]


@pytest.mark.parametrize(
    "path",
    [
        ("chosen", "score_hundredths"),
        ("runners_up", 0, "score_hundredths"),
        ("runners_up", 4, "score_hundredths"),
        ("chosen", "features", "availability", 0),
        ("chosen", "features", "timezone", 1),
        ("weights", "availability"),
    ],
    ids=str,
)
def test_a_record_that_was_changed_is_found_out(path: tuple[str | int, ...]) -> None:
    record = copy.deepcopy(recorded())
    inner: Any = record
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] += 1
    assert not replay(record)


def test_a_small_pool_is_replayed_without_scores() -> None:
    record = recorded(crowd=0)
    assert record["algorithm"] == "simple_availability"
    assert record["chosen"]["score_hundredths"] is None
    assert replay(record)
    chosen = record["chosen"] | {"score_hundredths": 0}
    assert not replay(record | {"chosen": chosen})


def test_the_digest_tells_other_inputs_apart() -> None:
    record = recorded()
    assert inputs_digest(dict(reversed(record.items()))) == inputs_digest(record)
    assert inputs_digest(record | {"pool_size": 1}) != inputs_digest(record)
    later = (MOMENT + timedelta(microseconds=1)).isoformat()
    assert inputs_digest(record | {"decided_at": later}) != inputs_digest(record)
    assert len(inputs_digest(record)) == 64
