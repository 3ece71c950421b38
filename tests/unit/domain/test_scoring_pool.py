"""The pool in arrays is the pool, whatever was put in, changed, reserved and taken out before."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest

from matching_server.domain.model import (
    AvailabilityPreferences,
    AvailabilityStatus,
    ProjectComplexity,
    TechStack,
)
from matching_server.domain.scoring import Pool, PoolAdvisor, Ranking, RankingRequest, rank
from matching_server.domain.scoring.words import WordIndex
from tests.unit.domain import naive_ranking
from tests.unit.domain.pools import MOMENT, WORDS, ZONES, advisor, request

STATUSES = [AvailabilityStatus.AVAILABLE] * 8 + list(AvailabilityStatus)


def some_words(rng: random.Random) -> tuple[str, ...]:
    return tuple(rng.sample(WORDS, rng.randint(0, 3)))


def anybody(rng: random.Random, id_: UUID, version: int) -> PoolAdvisor:
    slots = rng.randint(1, 4)
    return advisor(
        id=id_,
        skills=some_words(rng),
        rating=rng.choice([None, 4.0, 4.5]),
        load=rng.choice([0, 0, rng.randint(0, slots)]),
        slots=slots,
        status=rng.choice(STATUSES),
        active=rng.random() < 0.9,
        last_assigned_at=rng.choice([None, None, MOMENT - timedelta(days=rng.randint(0, 3))]),
        languages=some_words(rng),
        frameworks=some_words(rng),
        timezone=rng.choice(ZONES),
        preferences=AvailabilityPreferences(
            preferred_complexity=tuple(rng.sample(list(ProjectComplexity), rng.randint(0, 2))),
            preferred_frameworks=some_words(rng),
        ),
        version=version,
        profile_version=version,
    )


def asked(rng: random.Random, advisors: list[PoolAdvisor], stated: bool) -> RankingRequest:
    some = frozenset(one.id for one in rng.sample(advisors, min(3, len(advisors))))
    if not stated:
        return request(excluded=some)
    return request(
        tech_stack=TechStack(rng.choice(["go", None]), some_words(rng), some_words(rng)),
        owner_timezone=rng.choice(ZONES),
        cooling_down=some,
    )


def order(ranking: Ranking) -> list[tuple[UUID, float | None]]:
    return [(candidate.advisor.id, candidate.score) for candidate in ranking.candidates]


@pytest.mark.parametrize("stated", [True, False])
@pytest.mark.parametrize("size", [40, 300, 2_000])
def test_the_best_of_a_crowd_are_those_of_an_exact_ranking(size: int, stated: bool) -> None:
    """Many are equal in all but their ids, which is where looking at a few can go wrong."""
    rng = random.Random(size)
    advisors = [anybody(rng, UUID(int=rng.getrandbits(128)), 1) for _ in range(size)]
    pool = Pool(advisors)
    for limit in (1, 6, 250):
        wanted = asked(rng, advisors, stated)
        exact = naive_ranking.ranked(advisors, wanted, MOMENT)
        ranking = rank(pool, wanted, MOMENT, limit)
        assert order(ranking) == exact[:limit]
        assert ranking.free == len(exact)


@pytest.mark.parametrize("seed", range(5))
def test_whatever_was_done_to_it_a_pool_ranks_like_a_new_one(seed: int) -> None:
    rng = random.Random(seed)
    pool, stored = Pool(), dict[UUID, PoolAdvisor]()
    for version in range(1, 601):
        known = rng.choice(list(stored)) if stored else UUID(int=0)
        match rng.randrange(6):
            case 0 | 1:
                id_ = UUID(int=rng.getrandbits(128))
                stored[id_] = anybody(rng, id_, version)
                pool.put(stored[id_])
            case 2 if stored:
                stored[known] = anybody(rng, known, version)
                pool.put(stored[known])
                pool.put(anybody(rng, known, version - 1))
            case 3 if stored:
                one = stored[known]
                load = rng.randint(0, one.max_concurrent_projects)
                stored[known] = replace(one, current_projects=load, version=version)
                profile = one.profile_version
                told = pool.set_load(
                    known, load, one.last_assigned_at, version=version, profile_version=profile
                )
                assert told
            case 4 if stored:
                del stored[known]
                pool.remove(known)
            case 5 if stored:
                pool.reserve(known, MOMENT)
                pool.release(known)
    wanted = asked(rng, list(stored.values()), stated=True)
    ranking = rank(pool, wanted, MOMENT, 1_000)
    assert order(ranking) == naive_ranking.ranked(list(stored.values()), wanted, MOMENT)
    assert (len(pool), pool.ids()) == (len(stored), set(stored))
    assert ranking == rank(Pool(stored.values()), wanted, MOMENT, 1_000)


def test_a_reserved_slot_counts_as_taken_until_it_is_let_go() -> None:
    first, second = advisor(slots=1, rating=5), advisor(slots=2, rating=4)
    pool = Pool([first, second])
    later = MOMENT + timedelta(seconds=1)
    pool.reserve(first.id, later)
    pool.reserve(second.id, later)
    ranking = rank(pool, request(), MOMENT, 5)
    [left] = ranking.candidates
    assert (left.advisor.id, left.advisor.current_projects, left.advisor.last_assigned_at) == (
        second.id,
        1,
        later,
    )
    pool.release(first.id)
    pool.release(second.id)
    assert [one.advisor for one in rank(pool, request(), MOMENT, 5).candidates] == [first, second]


def test_a_load_beside_a_changed_profile_is_not_taken_for_all_of_it() -> None:
    one = advisor(version=5, profile_version=5)
    pool = Pool([one])
    assert not pool.set_load(one.id, 1, None, version=9, profile_version=7)
    assert pool.set_load(one.id, 1, None, version=4, profile_version=4), "older than what is known is no news"
    assert not pool.set_load(advisor().id, 1, None, version=1, profile_version=1)
    assert pool.at(0) == one


def test_words_are_found_in_any_case_through_any_number_of_changes() -> None:
    rng = random.Random(1)
    index, stored = WordIndex(), dict[int, tuple[str, ...]]()
    for _ in range(5_000):
        position = rng.randrange(200)
        stored[position] = some_words(rng)
        index.put(position, stored[position])
        if rng.random() < 0.05:
            word = rng.choice([*WORDS, "nobody"])
            holders = {p for p, words in stored.items() if word.casefold() in map(str.casefold, words)}
            found = index.having(word.swapcase()).tolist()
            assert sorted(found) == sorted(holders), word
