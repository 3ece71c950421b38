"""Preference rules: what an admin wants of the choice of advisors, over what the ranking would say."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
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
