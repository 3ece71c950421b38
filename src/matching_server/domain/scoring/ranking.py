"""The pool in order for one request, and who is left out of it for which reason.

The scores of all candidates are computed at once as doubles, whose error is far below a millionth of a
hundredth of a point; the few that come that close to where rounding turns are computed again in integers. So
every score is exactly ``formula.score``, whatever the processor.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from math import lcm
from typing import Any

import numpy as np
import numpy.typing as npt

from matching_server.domain.model import (
    AvailabilityStatus,
    ExclusionReason,
    MatchingAlgorithm,
    PendingReason,
    ProjectComplexity,
    TechStack,
)
from matching_server.domain.scoring.formula import (
    FACTORS_WEIGHT,
    FRAMEWORK_WEIGHT,
    LANGUAGES_WEIGHT,
    Features,
    PoolAdvisor,
    RankingRequest,
    boosted,
    features_of,
    folded,
    score,
    weight_shares,
)
from matching_server.domain.scoring.pool import Pool, State
from matching_server.domain.scoring.words import Positions, WordIndex
from matching_server.domain.scoring.working_hours import local_date, timezone_overlap

COMPLEX_SCORING_FROM = 50
"""Active advisors from which the pool is ranked by score; below, by availability alone."""
MEDIUM_POOL_FROM = 10
"""Active advisors from which a pool is medium; it is large from where scores are computed."""

_COMPLEXITIES = tuple(ProjectComplexity)
_DOUBT = 1e-6
"""In hundredths of a point: how near to a turn of the rounding a double is not trusted."""
_FEW = 256
"""Candidates up to which sorting all is quicker than looking for the best."""
_BLOCK = 64
"""Positions of which one stands for all in the first look."""
_REASON_OF_STATE = {
    State.INACTIVE: ExclusionReason.INACTIVE,
    State.OFFLINE: ExclusionReason.OFFLINE,
    State.BUSY: ExclusionReason.BUSY,
    State.AT_CAPACITY: ExclusionReason.AT_CAPACITY,
}

Scores = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Candidate:
    """One advisor who could be offered.

    ``features`` and ``score_hundredths``, in hundredths of a point, are ``None`` where not scored.
    """

    advisor: PoolAdvisor
    features: Features | None
    score_hundredths: int | None

    @property
    def score(self) -> float | None:
        """0..100 with two decimals."""
        return None if self.score_hundredths is None else self.score_hundredths / 100


@dataclass(frozen=True, slots=True)
class Ranking:
    """The best candidates in order, how many there are in all, and how many were left out for which reason."""

    algorithm: MatchingAlgorithm
    pool_size: int
    decided_at: datetime
    request: RankingRequest
    candidates: tuple[Candidate, ...]
    free: int
    exclusions: Mapping[ExclusionReason, int] = field(default_factory=dict)

    @property
    def pending_reason(self) -> PendingReason:
        """Why nobody was found: somebody eligible is there and not offline, or nobody is."""
        waiting_would_help = self.exclusions.get(ExclusionReason.BUSY, 0) or self.exclusions.get(
            ExclusionReason.AT_CAPACITY, 0
        )
        if waiting_would_help or self.free:
            return PendingReason.ALL_ADVISORS_BUSY
        return PendingReason.NO_ADVISORS_AVAILABLE


def algorithm_for(active_advisors: int) -> MatchingAlgorithm:
    """Which ranking a pool of that many active advisors gets."""
    if active_advisors < COMPLEX_SCORING_FROM:
        return MatchingAlgorithm.SIMPLE_AVAILABILITY
    return MatchingAlgorithm.COMPLEX_SCORING


def exclusion_of(advisor: PoolAdvisor, request: RankingRequest) -> ExclusionReason | None:
    """Why this advisor is no candidate, ``None`` where they are one.

    What never changes by waiting comes first, so that the last three tell who is merely not free.
    """
    required = request.required
    checks = (
        (not advisor.active, ExclusionReason.INACTIVE),
        (advisor.id == request.owner_id, ExclusionReason.OWNER),
        (advisor.id in request.excluded, ExclusionReason.EXCLUDED_BY_CRITERIA),
        (advisor.id in request.excluded_by_rule, ExclusionReason.EXCLUDED_BY_RULE),
        (required is not None and advisor.id not in required, ExclusionReason.NOT_REQUIRED),
        (advisor.id in request.already_active, ExclusionReason.ALREADY_ACTIVE),
        (advisor.id in request.cooling_down, ExclusionReason.COOL_DOWN),
        (advisor.status is AvailabilityStatus.OFFLINE, ExclusionReason.OFFLINE),
        (advisor.status is AvailabilityStatus.BUSY, ExclusionReason.BUSY),
        (advisor.current_projects >= advisor.max_concurrent_projects, ExclusionReason.AT_CAPACITY),
    )
    return next((reason for holds, reason in checks if holds), None)


def rank(pool: Pool, request: RankingRequest, decided_at: datetime, limit: int) -> Ranking:
    """Puts the best of the free and eligible advisors of ``pool`` in order.

    Args:
        pool: every advisor; inactive ones do not count towards its size.
        request: what is looked for.
        decided_at: the moment for which time zones are compared.
        limit: how many candidates are wanted, at least 1.
    """
    algorithm = algorithm_for(pool.active)
    eligible, exclusions = _eligible(pool, request)
    if algorithm is MatchingAlgorithm.COMPLEX_SCORING:
        positions, scores = _Scoring(pool, request, decided_at).contenders(eligible, limit)
        order = _best(pool, positions, scores, limit)
    else:
        order = _best(pool, np.flatnonzero(eligible), None, limit)
    return Ranking(
        algorithm=algorithm,
        pool_size=pool.active,
        decided_at=decided_at,
        request=request,
        candidates=tuple(candidate(pool.at(position), request, algorithm, decided_at) for position in order),
        free=len(pool) - sum(exclusions.values()),
        exclusions=exclusions,
    )


def candidate(
    advisor: PoolAdvisor, request: RankingRequest, algorithm: MatchingAlgorithm, decided_at: datetime
) -> Candidate:
    """An advisor as seen for a request."""
    if algorithm is not MatchingAlgorithm.COMPLEX_SCORING:
        return Candidate(advisor, None, None)
    overlap = timezone_overlap(advisor.timezone, request.owner_timezone, decided_at)
    features = features_of(advisor, request, overlap)
    return Candidate(advisor, features, score(features, request.weights))


def _eligible(
    pool: Pool, request: RankingRequest
) -> tuple[npt.NDArray[np.bool_], dict[ExclusionReason, int]]:
    """Which positions are candidates, and the others counted by reason.

    The pool knows how many are in which state; only those whom the request itself names are looked at.
    """
    counts: Counter[ExclusionReason]
    named = {request.owner_id, *request.excluded, *request.excluded_by_rule}
    named |= request.already_active | request.cooling_down
    if request.required is None:
        eligible = pool.state[: pool.end] == State.FREE
        counts = Counter({reason: pool.counts[state] for state, reason in _REASON_OF_STATE.items()})
    else:
        named |= request.required
        eligible = np.zeros(pool.end, np.bool_)
        inactive = pool.counts[State.INACTIVE]
        counts = Counter({ExclusionReason.INACTIVE: inactive})
        counts[ExclusionReason.NOT_REQUIRED] = len(pool) - inactive
    for position in set(pool.positions(named)):
        advisor, state = pool.at(position), State(int(pool.state[position]))
        counted = _REASON_OF_STATE.get(state)
        if request.required is not None and state is not State.INACTIVE:
            counted = ExclusionReason.NOT_REQUIRED
        reason = exclusion_of(advisor, request)
        if counted is not None:
            counts[counted] -= 1
        if reason is not None:
            counts[reason] += 1
        eligible[position] = reason is None
    return eligible, {reason: count for reason, count in counts.items() if count}


class _Scoring:
    """The scores of one request, for every position at once."""

    def __init__(self, pool: Pool, request: RankingRequest, decided_at: datetime) -> None:
        self._pool = pool
        self._request = request
        self._decided_at = decided_at
        self._skills, self._skills_of = _skills(pool, request.tech_stack)
        self._halves = self._preference_halves()
        self._boosted = pool.positions(request.boosts)

    def contenders(self, eligible: npt.NDArray[np.bool_], limit: int) -> tuple[Positions, Scores]:
        """Those who can be among the ``limit`` best, with their scores in hundredths of a point."""
        value = self._values()
        value[~eligible] = -1.0
        # Whoever is below what so many are sure to reach, rounding and all, need not be looked at.
        reached = np.floor(_at_least(value, limit) - _DOUBT)
        positions = np.flatnonzero(value >= max(reached - _DOUBT, 0.0))
        value = value[positions]
        scores = np.floor(value).astype(np.int64)
        doubtful = np.abs(value - np.rint(value)) < _DOUBT
        if doubtful.any():
            self._settle(scores, positions, np.flatnonzero(doubtful))
        return positions, scores

    def _values(self) -> npt.NDArray[np.float64]:
        """Hundredths of a point and a half, as doubles: what is to be rounded down."""
        pool, end = self._pool, self._pool.end
        shares = [share * 10_000 for share in weight_shares(self._request.weights)]
        availability, skills, timezone, preference = shares
        day = local_date(self._request.owner_timezone, self._decided_at)
        by_zone = pool.zone_table(self._request.owner_timezone, day) * timezone + 0.5
        value: npt.NDArray[np.float64] = by_zone[pool.zone[:end]]
        value += pool.free_share[:end] * availability
        value += self._skills * (skills / self._skills_of)
        value += self._halves * (preference / 2)
        for position in self._boosted:
            halves = int(self._halves[position])
            points = self._request.boosts[pool.at(position).id]
            value[position] += preference * (float(boosted(halves, points)) - halves / 2)
        return value

    def _preference_halves(self) -> npt.NDArray[np.uint8]:
        pool, end = self._pool, self._pool.end
        halves = pool.likes_any_framework[:end].copy()
        if self._request.tech_stack.framework:
            halves[pool.liked_frameworks.having(self._request.tech_stack.framework)] = 1
        halves += pool.likes[_COMPLEXITIES.index(self._request.complexity), :end]
        return halves

    def _settle(self, scores: Scores, positions: Positions, doubtful: Positions) -> None:
        """Computes scores in integers; who has the same factors has the same score."""
        pool, of_their_own = self._pool, set(self._boosted)
        known: dict[tuple[float, ...], int] = {}
        for index in doubtful.tolist():
            position = int(positions[index])
            key = (
                float(pool.free_share[position]),
                float(self._skills[position]),
                int(pool.zone[position]),
                int(self._halves[position]),
                position if position in of_their_own else -1,
            )
            if key not in known:
                known[key] = self._exact(pool.at(position))
            scores[index] = known[key]

    def _exact(self, advisor: PoolAdvisor) -> int:
        overlap = timezone_overlap(advisor.timezone, self._request.owner_timezone, self._decided_at)
        return score(features_of(advisor, self._request, overlap), self._request.weights)


def _at_least(values: npt.NDArray[np.float64], count: int) -> float:
    """What at least ``count`` of the values reach, near to the most that they do."""
    if len(values) <= count:
        return -1.0
    block = max(1, min(_BLOCK, len(values) // (4 * count)))
    # The best of each block: so many different values reach the one of that rank.
    whole = len(values) // block * block
    best = values[:whole].reshape(-1, block).max(axis=1)
    return float(np.partition(best, len(best) - count)[len(best) - count])


def _skills(pool: Pool, stack: TechStack) -> tuple[npt.NDArray[np.float64], int]:
    """The skills of every position as a whole number of parts, and how many parts are all of them."""
    end = pool.end
    languages, factors = folded(stack.languages), folded(stack.complexity_factors)
    groups: list[tuple[WordIndex, Iterable[str], int, int]] = []
    if stack.framework:
        groups.append((pool.frameworks, [stack.framework], FRAMEWORK_WEIGHT, 1))
    if languages:
        groups.append((pool.languages, languages, LANGUAGES_WEIGHT, len(languages)))
    if factors:
        groups.append((pool.factors, factors, FACTORS_WEIGHT, len(factors)))
    if not groups:
        return np.ones(end), 1
    common = lcm(*(of for _, _, _, of in groups))
    parts = np.zeros(end)
    for index, words, weight, of in groups:
        for word in words:
            parts[index.having(word)] += weight * (common // of)
    return parts, common * sum(weight for _, _, weight, _ in groups)


def _best(pool: Pool, positions: Positions, scores: Scores | None, limit: int) -> list[int]:
    """The best positions in order: score, lowest load, longest since the last assignment, rating, id."""
    columns = (pool.load_ratio, pool.assigned, pool.rating_order, pool.id_high, pool.id_low)
    if len(positions) > _FEW:
        kept = _narrowed(pool, positions, scores, limit)
        positions, scores = positions[kept], None if scores is None else scores[kept]
    keys: list[npt.NDArray[Any]] = [column[positions] for column in columns]
    if scores is not None:
        keys.insert(0, -scores)
    # The last key is the first to lexsort.
    order: list[int] = positions[np.lexsort(keys[::-1])][:limit].tolist()
    return order


def _narrowed(pool: Pool, positions: Positions, scores: Scores | None, limit: int) -> Positions:
    """The indexes of a few among whom the best are: by each key in turn, those who cannot be drop out."""
    sure: list[Positions] = []
    tied: Positions = np.arange(len(positions))
    for column in (None, pool.load_ratio, pool.assigned, pool.rating_order, pool.id_high, pool.id_low):
        if len(tied) <= limit:
            break
        if column is not None:
            values = column[positions[tied]]
        elif scores is not None:
            values = -scores[tied]
        else:
            continue
        edge = np.partition(values, limit - 1)[limit - 1]
        better = tied[values < edge]
        sure.append(better)
        limit -= len(better)
        tied = tied[values == edge]
    return np.concatenate([*sure, tied])
