"""Who is put first, and why: eligibility, the two rankings, and the record that lets a choice be replayed.

Pure and exact. The moment and all data are passed in; scores are computed in integers and rounded once (half
up, two decimals), so the same input gives the same bytes on any machine. ``docs/matching.md`` has the formula
and an example worked out by hand.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time, timedelta
from fractions import Fraction
from math import lcm
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from matching_server.domain.model import (
    AdvisorSummary,
    AvailabilityPreferences,
    AvailabilityStatus,
    ExclusionReason,
    MatchingAlgorithm,
    PendingReason,
    ProjectComplexity,
    ScoringWeights,
    TechStack,
)

ALGORITHM_VERSION = 1
COMPLEX_SCORING_FROM = 50
"""Active advisors from which the pool is ranked by score; below, by availability alone."""
RUNNERS_UP = 5
"""How many of those who came next are stored with a match."""

_WORKDAY = timedelta(hours=9)
_WORKDAY_STARTS = time(9)
_WORKDAY_SECONDS = int(_WORKDAY.total_seconds())


@dataclass(frozen=True, slots=True)
class PoolAdvisor:
    """What ranking needs to know of one advisor."""

    summary: AdvisorSummary
    active: bool
    status: AvailabilityStatus
    current_projects: int
    max_concurrent_projects: int
    last_assigned_at: datetime | None
    languages: tuple[str, ...] = ()
    frameworks: tuple[str, ...] = ()
    timezone: str | None = None
    preferences: AvailabilityPreferences = AvailabilityPreferences()

    @property
    def id(self) -> UUID:
        """The advisor's id."""
        return self.summary.id


@dataclass(frozen=True, slots=True)
class RankingRequest:
    """What is looked for, with nothing left to default."""

    owner_id: UUID
    tech_stack: TechStack
    complexity: ProjectComplexity
    weights: ScoringWeights
    owner_timezone: str | None
    excluded: frozenset[UUID] = frozenset()
    cooling_down: frozenset[UUID] = frozenset()
    already_active: frozenset[UUID] = frozenset()


@dataclass(frozen=True, slots=True)
class Ratio:
    """An exact fraction in 0..1, kept as it was computed so that a replay sees the same integers."""

    numerator: int
    denominator: int

    def __float__(self) -> float:
        return self.numerator / self.denominator


@dataclass(frozen=True, slots=True)
class Features:
    """How well one advisor fits, each in 0..1."""

    availability: Ratio
    skills: Ratio
    timezone: Ratio
    preference: Ratio


@dataclass(frozen=True, slots=True)
class Candidate:
    """One advisor who could be offered. ``score`` is in hundredths of a point, ``None`` where not scored."""

    advisor: PoolAdvisor
    features: Features
    score_hundredths: int | None

    @property
    def score(self) -> float | None:
        """0..100 with two decimals."""
        return None if self.score_hundredths is None else self.score_hundredths / 100


@dataclass(frozen=True, slots=True)
class Ranking:
    """The candidates in order, best first, and how many were left out for which reason."""

    algorithm: MatchingAlgorithm
    pool_size: int
    decided_at: datetime
    request: RankingRequest
    candidates: tuple[Candidate, ...]
    exclusions: Mapping[ExclusionReason, int] = field(default_factory=dict)

    @property
    def pending_reason(self) -> PendingReason:
        """Why nobody was found: somebody eligible is there and not offline, or nobody is."""
        waiting_would_help = self.exclusions.get(ExclusionReason.BUSY, 0) or self.exclusions.get(
            ExclusionReason.AT_CAPACITY, 0
        )
        if waiting_would_help or self.candidates:
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
    checks = (
        (not advisor.active, ExclusionReason.INACTIVE),
        (advisor.id == request.owner_id, ExclusionReason.OWNER),
        (advisor.id in request.excluded, ExclusionReason.EXCLUDED_BY_CRITERIA),
        (advisor.id in request.already_active, ExclusionReason.ALREADY_ACTIVE),
        (advisor.id in request.cooling_down, ExclusionReason.COOL_DOWN),
        (advisor.status is AvailabilityStatus.OFFLINE, ExclusionReason.OFFLINE),
        (advisor.status is AvailabilityStatus.BUSY, ExclusionReason.BUSY),
        (advisor.current_projects >= advisor.max_concurrent_projects, ExclusionReason.AT_CAPACITY),
    )
    return next((reason for holds, reason in checks if holds), None)


def rank(pool: Sequence[PoolAdvisor], request: RankingRequest, decided_at: datetime) -> Ranking:
    """Puts the free and eligible advisors of ``pool`` in order.

    Args:
        pool: every advisor, in any order; inactive ones do not count towards its size.
        request: what is looked for.
        decided_at: the moment for which time zones are compared.
    """
    pool_size = sum(advisor.active for advisor in pool)
    algorithm = algorithm_for(pool_size)
    exclusions: Counter[ExclusionReason] = Counter()
    candidates: list[Candidate] = []
    overlaps: dict[str | None, Ratio] = {}
    for advisor in pool:
        excluded = exclusion_of(advisor, request)
        if excluded is None:
            candidates.append(candidate(advisor, request, algorithm, decided_at, overlaps))
        else:
            exclusions[excluded] += 1
    candidates.sort(key=_order)
    return Ranking(algorithm, pool_size, decided_at, request, tuple(candidates), dict(exclusions))


def candidate(
    advisor: PoolAdvisor,
    request: RankingRequest,
    algorithm: MatchingAlgorithm,
    decided_at: datetime,
    overlaps: dict[str | None, Ratio] | None = None,
) -> Candidate:
    """An advisor as seen for a request. ``overlaps`` keeps what was computed for a zone, for the next one."""
    overlaps = {} if overlaps is None else overlaps
    if advisor.timezone not in overlaps:
        overlaps[advisor.timezone] = timezone_overlap(advisor.timezone, request.owner_timezone, decided_at)
    features = features_of(advisor, request, overlaps[advisor.timezone])
    scored = algorithm is MatchingAlgorithm.COMPLEX_SCORING
    return Candidate(advisor, features, score(features, request.weights) if scored else None)


def with_load(advisor: PoolAdvisor, load: int) -> PoolAdvisor:
    """The same advisor with another number of projects."""
    return replace(advisor, current_projects=load)


def _order(candidate: Candidate) -> tuple[float, float, bool, float, float, str]:
    """Best first: score, then lowest load, longest since the last assignment, rating, id."""
    advisor = candidate.advisor
    assigned = advisor.last_assigned_at
    return (
        -(candidate.score_hundredths or 0),
        advisor.current_projects / advisor.max_concurrent_projects,
        assigned is not None,
        assigned.timestamp() if assigned else 0.0,
        -(advisor.summary.rating or 0.0),
        str(advisor.id),
    )


def score(features: Features, weights: ScoringWeights) -> int:
    """100 · Σ wᵢ·fᵢ / Σ wᵢ in hundredths of a point, rounded half up from the exact value."""
    whole = _integer_weights(weights)
    ratios = (features.availability, features.skills, features.timezone, features.preference)
    common = lcm(*(ratio.denominator for ratio in ratios))
    weighted = sum(w * r.numerator * (common // r.denominator) for w, r in zip(whole, ratios, strict=True))
    total = sum(whole) * common
    return (2 * 10_000 * weighted + total) // (2 * total)


def _integer_weights(weights: ScoringWeights) -> tuple[int, ...]:
    """The weights in the smallest unit in which all four are whole: doubles are exact fractions."""
    exact = [
        Fraction(w) for w in (weights.availability, weights.skills, weights.timezone, weights.preference)
    ]
    unit = lcm(*(w.denominator for w in exact))
    return tuple(int(w * unit) for w in exact)


def features_of(advisor: PoolAdvisor, request: RankingRequest, overlap: Ratio) -> Features:
    """How well an advisor fits a request, the time-zone overlap being known."""
    slots = advisor.max_concurrent_projects
    return Features(
        availability=Ratio(max(slots - advisor.current_projects, 0), slots),
        skills=_skills(advisor, request.tech_stack),
        timezone=overlap,
        preference=_preference(advisor.preferences, request),
    )


def _skills(advisor: PoolAdvisor, stack: TechStack) -> Ratio:
    """3 for the framework, 2 for the share of languages, 1 for the share of factors, of what is stated."""
    languages, factors = _folded(stack.languages), _folded(stack.complexity_factors)
    known_factors = _folded(advisor.summary.skills) | _folded(advisor.summary.specialties)
    parts = []
    if stack.framework:
        parts.append((3, int(stack.framework.casefold() in _folded(advisor.frameworks)), 1))
    if languages:
        parts.append((2, len(languages & _folded(advisor.languages)), len(languages)))
    if factors:
        parts.append((1, len(factors & known_factors), len(factors)))
    if not parts:
        return Ratio(1, 1)
    common = lcm(*(of for _, _, of in parts))
    return Ratio(
        sum(weight * got * (common // of) for weight, got, of in parts),
        sum(weight for weight, _, _ in parts) * common,
    )


def _folded(words: Sequence[str]) -> frozenset[str]:
    return frozenset(word.casefold() for word in words)


def _preference(preferences: AvailabilityPreferences, request: RankingRequest) -> Ratio:
    """Half for the complexity and half for the framework, each whole where the advisor names none."""
    complexity = (
        not preferences.preferred_complexity or request.complexity in preferences.preferred_complexity
    )
    framework = not preferences.preferred_frameworks or (
        request.tech_stack.framework or ""
    ).casefold() in _folded(preferences.preferred_frameworks)
    return Ratio(int(complexity) + int(framework), 2)


def timezone_overlap(advisor_zone: str | None, owner_zone: str | None, moment: datetime) -> Ratio:
    """The share of the owner's 09:00-18:00 that the advisor's working day covers.

    The owner's day is their current date at ``moment``; the advisor's is the one of three around it that
    overlaps most. One half where either zone is unknown.
    """
    advisor, owner = _zone(advisor_zone), _zone(owner_zone)
    if advisor is None or owner is None:
        return Ratio(1, 2)
    day = moment.astimezone(owner).date()
    starts, ends = _working_day(day, owner)
    overlaps = []
    for offset in (-1, 0, 1):
        theirs_start, theirs_end = _working_day(day + timedelta(days=offset), advisor)
        overlaps.append(min(ends, theirs_end) - max(starts, theirs_start))
    return Ratio(max(0, *overlaps), _WORKDAY_SECONDS)


def _zone(name: str | None) -> ZoneInfo | None:
    if not name:
        return None
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return None


def _working_day(day: date, zone: ZoneInfo) -> tuple[int, int]:
    """Start and end of the working day as Unix seconds; its length changes where the clock does."""
    start = datetime.combine(day, _WORKDAY_STARTS)
    return (
        int(start.replace(tzinfo=zone).timestamp()),
        int((start + _WORKDAY).replace(tzinfo=zone).timestamp()),
    )


def explain(ranking: Ranking, chosen: Candidate, load_at_claim: int, slots_at_claim: int) -> dict[str, Any]:
    """The record that is stored with a match as ``scoring_features``.

    It holds everything that ``replay`` needs to compute the scores again, in integers.
    """
    others = [c for c in ranking.candidates if c is not chosen][:RUNNERS_UP]
    weights = ranking.request.weights
    return {
        "algorithm": ranking.algorithm.value,
        "algorithm_version": ALGORITHM_VERSION,
        "pool_size": ranking.pool_size,
        "decided_at": ranking.decided_at.isoformat(),
        "weights": {
            "availability": weights.availability,
            "skills": weights.skills,
            "timezone": weights.timezone,
            "preference": weights.preference,
        },
        "chosen": _candidate_record(chosen),
        "runners_up": [_candidate_record(c) for c in others],
        "load_at_claim": load_at_claim,
        "slots_at_claim": slots_at_claim,
        "exclusions": {reason.value: count for reason, count in sorted(ranking.exclusions.items())},
    }


def _candidate_record(candidate: Candidate) -> dict[str, Any]:
    features, assigned = candidate.features, candidate.advisor.last_assigned_at
    return {
        "advisor_id": str(candidate.advisor.id),
        "display_name": candidate.advisor.summary.display_name,
        "load": candidate.advisor.current_projects,
        "slots": candidate.advisor.max_concurrent_projects,
        "boost": 0,
        "last_assigned_at": assigned.isoformat() if assigned else None,
        "features": {
            name: [ratio.numerator, ratio.denominator]
            for name, ratio in (
                ("availability", features.availability),
                ("skills", features.skills),
                ("timezone", features.timezone),
                ("preference", features.preference),
            )
        },
        "score_hundredths": candidate.score_hundredths,
    }


def replay(record: Mapping[str, Any]) -> bool:
    """Whether the scores of a stored record come out the same, byte for byte, when computed again."""
    # JSON may have written a large double out as an integer.
    weights = ScoringWeights(**{name: float(weight) for name, weight in record["weights"].items()})
    scored = record["algorithm"] == MatchingAlgorithm.COMPLEX_SCORING
    stored = [record["chosen"], *record["runners_up"]]
    again = [
        {
            **candidate,
            "score_hundredths": score(stored_features(candidate), weights) if scored else None,
        }
        for candidate in stored
    ]
    return canonical_json(again) == canonical_json(stored)


def stored_features(candidate: Mapping[str, Any]) -> Features:
    """The features of a stored candidate, as the integers that they were."""
    return Features(**{name: Ratio(*pair) for name, pair in candidate["features"].items()})


def canonical_json(value: object) -> bytes:
    """One byte string for one value, whatever order its keys came in."""
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def inputs_digest(record: Mapping[str, Any]) -> str:
    """SHA-256 of the stored inputs, in lower-case hex: two choices made from the same data share it."""
    return hashlib.sha256(canonical_json(record)).hexdigest()
