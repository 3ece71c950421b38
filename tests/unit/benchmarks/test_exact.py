"""When a match counts as having gone to the right advisor."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

from benchmarks.harness.exact import Claim, right_choices

ADA, BOB, EVE = (UUID(int=number) for number in (1, 2, 3))
NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)


def claim(advisor: UUID, called: int, claimed: int, answered: int) -> Claim:
    """Times in milliseconds."""
    at = NOON + timedelta(milliseconds=claimed)
    return Claim(uuid4(), advisor, called / 1000, answered / 1000, claimed=at, assigned=at)


def right(*claims: Claim, wants: dict[UUID, UUID] | None = None) -> int:
    """Where the best is who has least, in the order of ids; ``wants`` are projects that want somebody anyway."""
    loads = Counter({ADA: 0, BOB: 0, EVE: 0})

    def best(project: UUID) -> UUID:
        return (wants or {}).get(project) or min(loads, key=lambda advisor: (loads[advisor], advisor))

    def took(claim: Claim) -> None:
        loads[claim.advisor] += 1

    return right_choices(claims, best, took)


def test_one_after_the_other_each_has_to_know_of_those_before() -> None:
    assert right(claim(ADA, 0, 1, 2), claim(BOB, 3, 4, 5), claim(EVE, 6, 7, 8)) == 3
    assert right(claim(ADA, 0, 1, 2), claim(ADA, 3, 4, 5), claim(BOB, 6, 7, 8)) == 2


def test_what_overlapped_may_have_been_in_either_order() -> None:
    assert right(claim(BOB, 0, 1, 4), claim(ADA, 0, 2, 3)) == 2


def test_what_did_not_overlap_may_not() -> None:
    assert right(claim(BOB, 0, 1, 2), claim(ADA, 3, 4, 5)) == 1


def test_of_two_who_took_the_same_best_at_the_same_time_one_is_wrong() -> None:
    assert right(claim(ADA, 0, 1, 4), claim(ADA, 0, 2, 5)) == 1


def test_two_may_take_the_same_where_the_second_wants_nobody_else() -> None:
    first, second = claim(ADA, 0, 1, 4), claim(ADA, 0, 2, 5)
    assert right(first, second, wants={second.project: ADA}) == 2


def test_a_wrong_choice_is_part_of_the_state_that_the_next_one_finds() -> None:
    assert right(claim(EVE, 0, 1, 2), claim(ADA, 3, 4, 5), claim(BOB, 6, 7, 8), claim(ADA, 9, 10, 11)) == 3


def test_a_long_call_may_have_been_at_any_moment_of_its_time_and_at_one_only() -> None:
    long, first = claim(ADA, 0, 50, 100), claim(BOB, 0, 2, 10)
    assert right(long, first, claim(EVE, 20, 21, 30)) == 3
    assert right(long, first, claim(BOB, 20, 21, 30)) == 2
    assert right(long, claim(ADA, 0, 2, 10), claim(BOB, 20, 21, 30), claim(EVE, 40, 41, 45)) == 4
