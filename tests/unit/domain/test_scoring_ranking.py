"""The ranking is the one that the product page words, on every pool."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from fractions import Fraction
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matching_server.domain.model import (
    AvailabilityPreferences,
    AvailabilityStatus,
    MatchingAlgorithm,
    ProjectComplexity,
    ScoringWeights,
    TechStack,
)
from matching_server.domain.scoring import PoolAdvisor, Ranking, algorithm_for
from tests.unit.domain import naive_ranking
from tests.unit.domain.pools import (
    CROWD,
    MOMENT,
    advisor,
    moments,
    pool_advisors,
    rank,
    request,
    requests,
)

LARGE = 50


def order(ranking: Ranking) -> list[UUID]:
    return [candidate.advisor.id for candidate in ranking.candidates]


def large(*advisors: PoolAdvisor) -> list[PoolAdvisor]:
    """A pool that is scored, in which only these can be offered."""
    return [*advisors, *CROWD[: LARGE - len(advisors)]]


@settings(max_examples=120)
@given(st.data(), st.lists(pool_advisors(), max_size=8), st.sampled_from([0, 42, 45, 50]), moments)
def test_it_is_what_an_exact_ranking_gives(
    data: st.DataObject, some: list[PoolAdvisor], crowd: int, moment: datetime
) -> None:
    pool = some + CROWD[:crowd]
    asked = data.draw(requests(some))
    ranking = rank(pool, asked, moment)
    found = [(candidate.advisor.id, candidate.score) for candidate in ranking.candidates]
    assert found == naive_ranking.ranked(pool, asked, moment)
    assert ranking.pool_size == sum(one.active for one in pool)
    assert len(found) + sum(ranking.exclusions.values()) == len(pool)


@settings(max_examples=40)
@given(st.lists(pool_advisors(), min_size=2, max_size=8), st.randoms(use_true_random=False))
def test_the_order_of_the_pool_does_not_matter(some: list[PoolAdvisor], shuffle: random.Random) -> None:
    asked = request(tech_stack=TechStack("go"), owner_timezone="Europe/Berlin")
    for pool in (some, some + CROWD):
        shuffled = shuffle.sample(pool, len(pool))
        assert rank(shuffled, asked, MOMENT) == rank(pool, asked, MOMENT)


@pytest.mark.parametrize(
    ("active", "algorithm"),
    [
        (0, MatchingAlgorithm.SIMPLE_AVAILABILITY),
        (49, MatchingAlgorithm.SIMPLE_AVAILABILITY),
        (50, MatchingAlgorithm.COMPLEX_SCORING),
        (51, MatchingAlgorithm.COMPLEX_SCORING),
    ],
)
def test_from_50_active_advisors_on_they_are_scored(active: int, algorithm: MatchingAlgorithm) -> None:
    inactive = [advisor(active=False) for _ in range(5)]
    ranking = rank([advisor() for _ in range(active)] + inactive, request(), MOMENT)
    assert (ranking.algorithm, ranking.pool_size) == (algorithm, active)
    assert algorithm_for(active) is algorithm
    scored = algorithm is MatchingAlgorithm.COMPLEX_SCORING
    assert all((candidate.score is not None) is scored for candidate in ranking.candidates)


def test_a_small_pool_looks_at_the_share_of_slots_taken_first() -> None:
    half, third = advisor(load=1, slots=2, rating=5), advisor(load=1, slots=3, rating=1)
    assert order(rank([half, third], request(), MOMENT)) == [third.id, half.id]


@pytest.mark.parametrize("crowd", [0, LARGE])
def test_ties_go_to_who_waited_longest_then_to_the_better_rated_then_by_id(crowd: int) -> None:
    ids = [UUID(int=number) for number in range(6)]
    last, first = MOMENT, MOMENT - timedelta(microseconds=1)
    never_low = advisor(id=ids[5], rating=1.0)
    never_unrated = advisor(id=ids[0])
    long_ago_high = advisor(id=ids[4], last_assigned_at=first, rating=4.0)
    long_ago_low = advisor(id=ids[1], last_assigned_at=first, rating=3.9)
    lately_low_id = advisor(id=ids[2], last_assigned_at=last)
    lately_high_id = advisor(id=ids[3], last_assigned_at=last)
    expected = [never_low, never_unrated, long_ago_high, long_ago_low, lately_low_id, lately_high_id]
    ranking = rank(expected[::-1] + CROWD[:crowd], request(), MOMENT)
    assert order(ranking) == [one.id for one in expected]


def test_equal_scores_of_a_large_pool_go_to_the_less_loaded() -> None:
    only_skills = request(weights=ScoringWeights(0, 1, 0, 0))
    busier, freer = advisor(load=2, rating=5), advisor(load=1, rating=1, last_assigned_at=MOMENT)
    ranking = rank(large(busier, freer), only_skills, MOMENT)
    assert order(ranking) == [freer.id, busier.id]
    assert {candidate.score for candidate in ranking.candidates} == {100.0}


def test_a_better_score_beats_every_tie_break() -> None:
    skilled = advisor(load=2, languages=("go",), last_assigned_at=MOMENT, rating=0)
    idle = advisor(rating=5)
    asked = request(tech_stack=TechStack(languages=("Go",)), weights=ScoringWeights(1, 100, 0, 0))
    assert order(rank(large(idle, skilled), asked, MOMENT)) == [skilled.id, idle.id]


def test_scores_that_differ_below_the_second_decimal_are_equal() -> None:
    a_little_freer = advisor(load=1, slots=100)
    rated = advisor(load=2, slots=100)
    asked = request(weights=ScoringWeights(1e-9, 1, 0, 0))
    ranking = rank(large(rated, a_little_freer), asked, MOMENT)
    assert [candidate.score for candidate in ranking.candidates] == [100.0, 100.0]
    assert order(ranking) == [a_little_freer.id, rated.id]


def test_nobody_is_ranked_who_could_not_be_offered() -> None:
    pool = [advisor(load=3), advisor(status=AvailabilityStatus.BUSY), advisor(active=False), advisor(id=None)]
    assert order(rank(pool, request(), MOMENT)) == [pool[3].id]


def test_an_empty_pool_gives_an_empty_ranking() -> None:
    ranking = rank([], request(), MOMENT)
    assert (ranking.candidates, ranking.pool_size, dict(ranking.exclusions)) == ((), 0, {})


def test_a_score_that_doubles_put_just_below_its_turn_is_not_passed_over() -> None:
    """The first one's 38.37 points are 38.36999… in doubles; the others' 38.373 are 38.37, too."""

    def one(last_assigned_at: datetime | None) -> PoolAdvisor:
        return advisor(
            load=1,
            slots=2,
            timezone="UTC",
            languages=("l0", "l1", "l2"),
            preferences=AvailabilityPreferences(
                preferred_complexity=(ProjectComplexity.SIMPLE,), preferred_frameworks=("x",)
            ),
            last_assigned_at=last_assigned_at,
        )

    first, others = one(None), [one(MOMENT) for _ in range(LARGE)]
    boosts = {other.summary.id: Fraction("3.68") for other in others} | {first.summary.id: Fraction("3.65")}
    asked = request(
        tech_stack=TechStack("go", tuple(f"l{number}" for number in range(9))),
        owner_timezone="Europe/Berlin",
        boosts=boosts,
    )
    best, *_ = rank([*others, first], asked, MOMENT, 6).candidates
    assert (best.advisor.id, best.score) == naive_ranking.ranked([*others, first], asked, MOMENT)[0]
    assert best.advisor.id == first.summary.id
