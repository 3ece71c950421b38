"""The factors and the score of one advisor for one request, in integers: what every other computation has to match."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from fractions import Fraction
from functools import lru_cache
from math import lcm
from uuid import UUID

from matching_server.domain.model import (
    AdvisorSummary,
    AvailabilityPreferences,
    AvailabilityStatus,
    ProjectComplexity,
    ScoringWeights,
    TechStack,
)

ALGORITHM_VERSION = 2
"""1 knew no rules and stored no ratings; its scores are computed alike."""

FRAMEWORK_WEIGHT, LANGUAGES_WEIGHT, FACTORS_WEIGHT = 3, 2, 1
"""What a stated framework, stated languages and stated complexity factors count for among the skills."""


@dataclass(frozen=True, slots=True)
class PoolAdvisor:
    """What ranking needs to know of one advisor.

    ``version`` rises with every change of what is stored of their availability, ``profile_version`` with
    those that are not of the load alone.
    """

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
    version: int = 1
    profile_version: int = 1

    @property
    def id(self) -> UUID:
        """The advisor's id."""
        return self.summary.id

    @property
    def factors(self) -> tuple[str, ...]:
        """What complexity factors are compared with."""
        return self.summary.skills + self.summary.specialties


@dataclass(frozen=True, slots=True)
class RankingRequest:
    """What is looked for, with nothing left to default.

    ``required`` of ``None``: nobody in particular. ``boosts`` are points by advisor, summed over the rules.
    """

    owner_id: UUID
    tech_stack: TechStack
    complexity: ProjectComplexity
    weights: ScoringWeights
    owner_timezone: str | None
    excluded: frozenset[UUID] = frozenset()
    excluded_by_rule: frozenset[UUID] = frozenset()
    required: frozenset[UUID] | None = None
    cooling_down: frozenset[UUID] = frozenset()
    already_active: frozenset[UUID] = frozenset()
    boosts: Mapping[UUID, Fraction] = field(default_factory=dict)


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


def score(features: Features, weights: ScoringWeights) -> int:
    """100 · Σ wᵢ·fᵢ / Σ wᵢ in hundredths of a point, rounded half up from the exact value."""
    whole = _integer_weights(weights)
    ratios = (features.availability, features.skills, features.timezone, features.preference)
    common = lcm(*(ratio.denominator for ratio in ratios))
    weighted = sum(w * r.numerator * (common // r.denominator) for w, r in zip(whole, ratios, strict=True))
    total = sum(whole) * common
    return (2 * 10_000 * weighted + total) // (2 * total)


@lru_cache(maxsize=1024)
def _integer_weights(weights: ScoringWeights) -> tuple[int, ...]:
    """The weights in the smallest unit in which all four are whole: doubles are exact fractions."""
    exact = [
        Fraction(w) for w in (weights.availability, weights.skills, weights.timezone, weights.preference)
    ]
    unit = lcm(*(w.denominator for w in exact))
    return tuple(int(w * unit) for w in exact)


@lru_cache(maxsize=1024)
def weight_shares(weights: ScoringWeights) -> tuple[float, ...]:
    """Each weight's part of their sum, as the nearest double."""
    whole = _integer_weights(weights)
    total = sum(whole)
    return tuple(float(Fraction(weight, total)) for weight in whole)


def features_of(advisor: PoolAdvisor, request: RankingRequest, overlap: Ratio) -> Features:
    """How well an advisor fits a request, the time-zone overlap being known."""
    slots = advisor.max_concurrent_projects
    return Features(
        availability=Ratio(max(slots - advisor.current_projects, 0), slots),
        skills=_skills(advisor, request.tech_stack),
        timezone=overlap,
        preference=_preference(advisor, request),
    )


def _skills(advisor: PoolAdvisor, stack: TechStack) -> Ratio:
    """3 for the framework, 2 for the share of languages, 1 for the share of factors, of what is stated."""
    languages, factors = folded(stack.languages), folded(stack.complexity_factors)
    parts = []
    if stack.framework:
        parts.append((FRAMEWORK_WEIGHT, int(stack.framework.casefold() in folded(advisor.frameworks)), 1))
    if languages:
        parts.append((LANGUAGES_WEIGHT, len(languages & folded(advisor.languages)), len(languages)))
    if factors:
        parts.append((FACTORS_WEIGHT, len(factors & folded(advisor.factors)), len(factors)))
    if not parts:
        return Ratio(1, 1)
    common = lcm(*(of for _, _, of in parts))
    return Ratio(
        sum(weight * got * (common // of) for weight, got, of in parts),
        sum(weight for weight, _, _ in parts) * common,
    )


def folded(words: Iterable[str]) -> frozenset[str]:
    """Words as they are compared: without regard to case, each once."""
    return frozenset(word.casefold() for word in words)


def _preference(advisor: PoolAdvisor, request: RankingRequest) -> Ratio:
    """Half for the complexity and half for the framework, each whole where the advisor names none; then boosts."""
    preferences = advisor.preferences
    complexity = (
        not preferences.preferred_complexity or request.complexity in preferences.preferred_complexity
    )
    framework = not preferences.preferred_frameworks or (
        request.tech_stack.framework or ""
    ).casefold() in folded(preferences.preferred_frameworks)
    return boosted(int(complexity) + int(framework), request.boosts.get(advisor.id))


def boosted(halves: int, points: Fraction | None) -> Ratio:
    """So many halves, and so many hundredths more or less, within 0..1."""
    if not points:
        return Ratio(halves, 2)
    share = min(max(Fraction(halves, 2) + points / 100, Fraction(0)), Fraction(1))
    return Ratio(share.numerator, share.denominator)
