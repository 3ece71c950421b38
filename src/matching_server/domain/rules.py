"""Preference rules: what an admin wants of the choice of advisors, over what the ranking would say."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from fractions import Fraction
from uuid import UUID

from matching_server.domain.model import ProjectComplexity


class RuleEffect(StrEnum):
    """What a rule does to its advisor where it applies."""

    BOOST = "boost"
    REQUIRE = "require"
    EXCLUDE = "exclude"


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleTerms:
    """What a rule says.

    At most one of ``project_id``, ``framework`` (in any case) and ``complexity`` is given; it applies to every
    project where none is. It applies from ``active_from`` on and before ``active_until``; ``None`` is no bound.
    """

    advisor_id: UUID
    effect: RuleEffect
    boost: float = 0.0
    """Points, -100 to 100: not 0 for BOOST, 0 for the others."""
    project_id: UUID | None = None
    framework: str | None = None
    complexity: ProjectComplexity | None = None
    active_from: datetime | None = None
    active_until: datetime | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PreferenceRule(RuleTerms):
    """A rule as stored."""

    id: UUID
    created_by: UUID
    created_at: datetime


@dataclass(frozen=True, slots=True)
class RulesInForce:
    """What the rules that apply come to together.

    ``required`` of ``None``: nobody in particular; several requirements mean any of them. ``boosts`` are points
    by advisor, each rule's taken as the decimal number that it is written as, so that sums are exact.
    """

    excluded: frozenset[UUID] = frozenset()
    required: frozenset[UUID] | None = None
    boosts: Mapping[UUID, Fraction] = field(default_factory=dict)

    @classmethod
    def of(cls, rules: Iterable[tuple[UUID, RuleEffect, float | None]]) -> RulesInForce:
        """Out of each rule's advisor, effect and points."""
        named: dict[RuleEffect, set[UUID]] = {effect: set() for effect in RuleEffect}
        boosts: dict[UUID, Fraction] = {}
        for advisor_id, effect, points in rules:
            named[effect].add(advisor_id)
            if effect is RuleEffect.BOOST:
                boosts[advisor_id] = boosts.get(advisor_id, Fraction(0)) + Fraction(repr(points or 0.0))
        required = frozenset(named[RuleEffect.REQUIRE])
        return cls(frozenset(named[RuleEffect.EXCLUDE]), required or None, boosts)
