"""Whether matches that were made at the same time went where an exact ranking would have sent them.

There must be an order of all matches in which each went to the advisor whom the exact ranking, on the loads
that the matches before it had left, puts first. An order is allowed if a match whose call was answered before
another's was made comes before it; calls that overlapped may have been in either order. (That is what
linearizable means. Transactions would be the wrong measure: a server may well decide before its transaction begins.)

So nobody is blamed for not knowing what had not been decided, and everybody for deciding on what was out of date:
of two calls that both saw an advisor free, and both took them, one is wrong in any order, if the first had made
another the better choice.

The search is greedy: of the matches that may come next, the first by the moment of its claim that is right comes
next, and if none is, the first by that moment, as a wrong one. It can miss a better order; so the share that it
finds is at the least what there is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Claim:
    """A match, as its caller and the database saw it being made."""

    project: UUID
    advisor: UUID
    called: float
    """When the call was made, in seconds by the caller's clock."""
    answered: float
    """When it had its answer, by the same clock."""
    claimed: datetime
    """When the advisor's slot was taken, by the database's clock."""
    assigned: datetime
    """What was stored as the advisor's last assignment."""


Best = Callable[[UUID], UUID]
"""Whom the exact ranking would choose for a project, as things stand."""
Took = Callable[[Claim], None]
"""Is told of each claim in the order that was found, to move on to the next state."""


def right_choices(claims: Sequence[Claim], best: Best, took: Took) -> int:
    """How many of the claims were right."""
    left = sorted(claims, key=lambda claim: claim.claimed)
    right = 0
    while left:
        # Whoever called after somebody had their answer comes after them.
        first_answer = min(claim.answered for claim in left)
        may_be_next = [claim for claim in left if claim.called <= first_answer]
        exact = next((claim for claim in may_be_next if claim.advisor == best(claim.project)), None)
        right += exact is not None
        following = exact or may_be_next[0]
        took(following)
        left.remove(following)
    return right
