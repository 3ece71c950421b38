"""The pool in order for one request, and who is left out of it for which reason.

The scores of all candidates are computed at once as doubles, whose error is far below a millionth of a
hundredth of a point; the few that come that close to where rounding turns are computed again in integers. So
every score is exactly ``formula.score``, whatever the processor.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from math import lcm
from typing import Any
from uuid import UUID

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
        limit: how many candidates are wanted.
    """
    algorithm = algorithm_for(pool.active)
    positions, exclusions = _eligible(pool, request)
    scores = None
    if algorithm is MatchingAlgorithm.COMPLEX_SCORING and len(positions):
        scores = _Scoring(pool, request, decided_at).scores(positions)
    chosen = _best(pool, positions, scores, limit)
    return Ranking(
        algorithm=algorithm,
        pool_size=pool.active,
        decided_at=decided_at,
        request=request,
        candidates=tuple(
            candidate(pool.at(int(positions[index])), request, algorithm, decided_at) for index in chosen
        ),
        free=len(positions),
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


def _eligible(pool: Pool, request: RankingRequest) -> tuple[Positions, dict[ExclusionReason, int]]:
    """The positions of the candidates, and the others counted by reason.

    The pool knows how many are in which state; only those whom the request itself names are looked at.
    """
    if request.required is not None:
        return _eligible_of_required(pool, request, request.required)
    counts = {reason: pool.counts[state] for state, reason in _REASON_OF_STATE.items()}
    free = pool.state[: pool.end] == State.FREE
    for position in set(pool.positions(_named(request))):
        advisor = pool.at(position)
        reason = exclusion_of(advisor, request)
        state = State(int(pool.state[position]))
        if reason is not None and reason is not _REASON_OF_STATE.get(state):
            if state is not State.FREE:
                counts[_REASON_OF_STATE[state]] -= 1
            counts[reason] = counts.get(reason, 0) + 1
            free[position] = False
    return np.flatnonzero(free), {reason: count for reason, count in counts.items() if count}


def _named(request: RankingRequest) -> set[UUID]:
    """Everybody whom the request could leave out by name."""
    return {
        request.owner_id,
        *request.excluded,
        *request.excluded_by_rule,
        *request.already_active,
        *request.cooling_down,
    }


def _eligible_of_required(
    pool: Pool, request: RankingRequest, required: frozenset[UUID]
) -> tuple[Positions, dict[ExclusionReason, int]]:
    """The same where rules require somebody: nearly everybody is not required."""
    looked_at = set(pool.positions(_named(request) | required))
    counts: dict[ExclusionReason, int] = {}
    found = []
    inactive = 0
    for position in sorted(looked_at):
        advisor = pool.at(position)
        reason = exclusion_of(advisor, request)
        inactive += not advisor.active
        if reason is None:
            found.append(position)
        else:
            counts[reason] = counts.get(reason, 0) + 1
    others_inactive = pool.counts[State.INACTIVE] - inactive
    for reason, count in (
        (ExclusionReason.INACTIVE, others_inactive),
        (ExclusionReason.NOT_REQUIRED, len(pool) - len(looked_at) - others_inactive),
    ):
        counts[reason] = counts.get(reason, 0) + count
    return np.array(found, np.int64), {reason: count for reason, count in counts.items() if count}


class _Scoring:
    """The scores of one request, for every position at once."""

    def __init__(self, pool: Pool, request: RankingRequest, decided_at: datetime) -> None:
        self._pool = pool
        self._request = request
        self._decided_at = decided_at
        end = pool.end
        self._skills, self._skills_of = _skills(pool, request.tech_stack)
        day = local_date(request.owner_timezone, decided_at)
        self._overlap = pool.zone_table(request.owner_timezone, day)[pool.zone[:end]]
        self._halves = self._preference_halves()
        self._boosted = pool.positions(request.boosts)

    def _preference_halves(self) -> npt.NDArray[np.float64]:
        pool, end = self._pool, self._pool.end
        complexity = pool.likes[_COMPLEXITIES.index(self._request.complexity), :end]
        framework = pool.likes_any_framework[:end].copy()
        if self._request.tech_stack.framework:
            framework[pool.liked_frameworks.having(self._request.tech_stack.framework)] = True
        return np.add(complexity, framework, dtype=np.float64)

    def scores(self, positions: Positions) -> Scores:
        """Hundredths of a point for each of the positions."""
        availability, skills, timezone, preference = weight_shares(self._request.weights)
        exact = 10_000.0
        value = self._pool.free_share[: self._pool.end] * (availability * exact)
        value += self._skills * (skills * exact / self._skills_of)
        value += self._overlap * (timezone * exact)
        value += self._preference() * (preference * exact)
        value = value[positions] + 0.5
        scores = np.floor(value)
        doubtful = np.abs(value - np.rint(value)) < _DOUBT
        scores = scores.astype(np.int64)
        if doubtful.any():
            self._settle(scores, positions, np.flatnonzero(doubtful))
        return scores

    def _preference(self) -> npt.NDArray[np.float64]:
        preference = self._halves / 2
        for position in self._boosted:
            points = float(self._request.boosts[self._pool.at(position).id])
            preference[position] = min(max(preference[position] + points / 100, 0.0), 1.0)
        return preference

    def _settle(self, scores: Scores, positions: Positions, doubtful: Positions) -> None:
        """Computes scores in integers; who has the same factors has the same score."""
        pool = self._pool
        boosted = set(self._boosted)
        known: dict[tuple[float, ...], int] = {}
        for index in doubtful.tolist():
            position = int(positions[index])
            key = (
                float(pool.free_share[position]),
                float(self._skills[position]),
                float(pool.zone[position]),
                float(self._halves[position]),
                float(position if position in boosted else -1),
            )
            if key not in known:
                known[key] = self._exact(pool.at(position))
            scores[index] = known[key]

    def _exact(self, advisor: PoolAdvisor) -> int:
        overlap = timezone_overlap(advisor.timezone, self._request.owner_timezone, self._decided_at)
        return score(features_of(advisor, self._request, overlap), self._request.weights)


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
    """The indexes of the best, in order: score, lowest load, longest since the last assignment, rating, id."""
    columns: list[npt.NDArray[Any]] = [
        pool.load_ratio,
        pool.assigned,
        pool.rating_order,
        pool.id_high,
        pool.id_low,
    ]
    by_position = [(column, False) for column in columns]
    keys = [(-scores, True), *by_position] if scores is not None else by_position
    few = np.arange(len(positions))
    if len(positions) > _FEW:
        few = _narrowed(positions, keys, limit)
    values = [column[few] if by_index else column[positions[few]] for column, by_index in keys]
    # The last key is the first to lexsort.
    order: list[int] = few[np.lexsort(values[::-1])][:limit].tolist()
    return order


def _narrowed(
    positions: Positions, keys: Sequence[tuple[npt.NDArray[Any], bool]], limit: int
) -> npt.NDArray[np.int64]:
    """A few indexes among which are the ``limit`` best: by each key in turn, those who cannot be drop out."""
    sure: list[npt.NDArray[np.int64]] = []
    tied = np.arange(len(positions))
    for column, by_index in keys:
        if len(tied) <= limit:
            break
        values = column[tied] if by_index else column[positions[tied]]
        edge = np.partition(values, limit - 1)[limit - 1]
        better = tied[values < edge]
        sure.append(better)
        limit -= len(better)
        tied = tied[values == edge]
    return np.concatenate([*sure, tied])
