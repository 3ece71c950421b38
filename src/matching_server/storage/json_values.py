"""Values that live in JSONB columns. Reading is lenient, since the platform's SQL writes some of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from matching_server.domain.model import (
    AvailabilityPreferences,
    MatchCriteria,
    ProjectComplexity,
    ScoringWeights,
    TechStack,
)


def tech_stack_to_json(stack: TechStack) -> dict[str, Any]:
    """As in ``projects.technology_stack``; what is unsaid is left out."""
    values: dict[str, Any] = {}
    if stack.framework:
        values["framework"] = stack.framework
    if stack.languages:
        values["languages"] = list(stack.languages)
    if stack.complexity_factors:
        values["complexity_factors"] = list(stack.complexity_factors)
    return values


def tech_stack_from_json(values: object) -> TechStack:
    """What can be understood of a technology stack; anything odd in it counts as unsaid."""
    if not isinstance(values, Mapping):
        return TechStack()
    framework = values.get("framework")
    return TechStack(
        framework=framework if isinstance(framework, str) and framework else None,
        languages=words(values.get("languages")),
        complexity_factors=words(values.get("complexity_factors")),
    )


def criteria_to_json(criteria: MatchCriteria) -> dict[str, Any]:
    """The criteria as the caller gave them: defaults are looked up at each ranking."""
    values: dict[str, Any] = {}
    if criteria.tech_stack is not None:
        values["tech_stack"] = tech_stack_to_json(criteria.tech_stack)
    if criteria.scoring_weights is not None:
        weights = criteria.scoring_weights
        values["scoring_weights"] = {
            "availability": weights.availability,
            "skills": weights.skills,
            "timezone": weights.timezone,
            "preference": weights.preference,
        }
    if criteria.project_complexity is not None:
        values["project_complexity"] = criteria.project_complexity.value
    if criteria.exclude_advisor_ids:
        values["exclude_advisor_ids"] = [str(id_) for id_ in criteria.exclude_advisor_ids]
    return values


def criteria_from_json(values: Mapping[str, Any]) -> MatchCriteria:
    """The criteria that ``criteria_to_json`` wrote."""
    weights = values.get("scoring_weights")
    return MatchCriteria(
        tech_stack=tech_stack_from_json(values["tech_stack"]) if "tech_stack" in values else None,
        scoring_weights=(
            ScoringWeights(**{name: float(weight) for name, weight in weights.items()}) if weights else None
        ),
        project_complexity=complexity(values.get("project_complexity")),
        exclude_advisor_ids=tuple(UUID(id_) for id_ in values.get("exclude_advisor_ids", ())),
    )


def preferences_to_json(preferences: AvailabilityPreferences) -> dict[str, Any]:
    """As in ``advisor_availability.availability_preferences``."""
    return {
        "auto_accept": preferences.auto_accept,
        "preferred_complexity": [word.value for word in preferences.preferred_complexity],
        "preferred_frameworks": list(preferences.preferred_frameworks),
    }


def preferences_from_json(values: object) -> AvailabilityPreferences:
    """What can be understood of an advisor's preferences."""
    if not isinstance(values, Mapping):
        return AvailabilityPreferences()
    stated = (complexity(word) for word in words(values.get("preferred_complexity")))
    return AvailabilityPreferences(
        auto_accept=values.get("auto_accept") is True,
        preferred_complexity=tuple(word for word in stated if word is not None),
        preferred_frameworks=words(values.get("preferred_frameworks")),
    )


def complexity(word: object) -> ProjectComplexity | None:
    """The complexity that a column or key names, ``None`` for anything else."""
    return ProjectComplexity(word) if isinstance(word, str) and word in set(ProjectComplexity) else None


def words(values: object) -> tuple[str, ...]:
    """The words of a list, whatever else the platform's SQL has put into it."""
    if not isinstance(values, list):
        return ()
    return tuple(word for word in values if isinstance(word, str) and word)
