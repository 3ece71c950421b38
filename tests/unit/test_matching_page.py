"""docs/matching.md is right: its example, its weights, its reasons and its limits are those of the code."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime
from fractions import Fraction
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from matching_server.config import Settings
from matching_server.domain import scoring
from matching_server.domain.model import (
    AdvisorSummary,
    AvailabilityPreferences,
    AvailabilityStatus,
    ExclusionReason,
    ProjectComplexity,
    ScoringWeights,
    TechStack,
)
from matching_server.domain.scoring import PoolAdvisor, RankingRequest, Ratio

PAGE = (Path(__file__).parents[2] / "docs" / "matching.md").read_text()
EXAMPLE = PAGE[PAGE.index("## An example") :]
FACTORS = ("availability", "skills", "timezone", "preference")
CURES_OF_THE_ADVISOR: dict[ExclusionReason, Any] = {
    ExclusionReason.INACTIVE: {"active": True},
    ExclusionReason.OFFLINE: {"status": AvailabilityStatus.BUSY},
    ExclusionReason.BUSY: {"status": AvailabilityStatus.AVAILABLE},
    ExclusionReason.AT_CAPACITY: {"current_projects": 0},
}
CURES_OF_THE_REQUEST: dict[ExclusionReason, Any] = {
    ExclusionReason.OWNER: {"owner_id": UUID(int=3)},
    ExclusionReason.EXCLUDED_BY_CRITERIA: {"excluded": frozenset()},
    ExclusionReason.EXCLUDED_BY_RULE: {"excluded_by_rule": frozenset()},
    ExclusionReason.NOT_REQUIRED: {"required": None},
    ExclusionReason.ALREADY_ACTIVE: {"already_active": frozenset()},
    ExclusionReason.COOL_DOWN: {"cooling_down": frozenset()},
}


def test_the_example_comes_out_as_written() -> None:
    candidate = ranked()
    for name in FACTORS:
        value, weight, points = row(name, EXAMPLE)
        factor: Ratio = getattr(candidate.features, name)
        assert Fraction(factor.numerator, factor.denominator) == Fraction(value), name
        assert float(points) == pytest.approx(float(Fraction(value) * int(weight)), abs=0.005), name
    assert f"{candidate.score:.2f}" == row("**score**", EXAMPLE)[-1].strip("*")


def test_the_weights_are_those_of_the_settings() -> None:
    for name in FACTORS:
        default = Settings.model_fields[f"weight_{name}"].default
        assert float(row(name, PAGE)[-1]) == default
        assert float(row(name, EXAMPLE)[1]) == default


def test_the_reasons_are_those_of_the_code() -> None:
    table = PAGE[PAGE.index("| reason |") : PAGE.index("## The order")]
    assert re.findall(r"^\| `(\w+)` ", table, re.MULTILINE) == reasons_in_order()


def test_the_limits_are_those_of_the_code() -> None:
    assert f"fewer than {scoring.COMPLEX_SCORING_FROM} active advisors" in PAGE
    assert scoring.RUNNERS_UP == 5
    assert "five runners-up" in PAGE


def ranked() -> scoring.Candidate:
    """The example's advisor, scored for the example's project, both as the page says."""
    moment = re.search(r"On (\S+) at (\S+) UTC", EXAMPLE)
    assert moment is not None
    decided_at = datetime.fromisoformat(f"{moment[1]}T{moment[2]}+00:00")
    algorithm = scoring.algorithm_for(scoring.COMPLEX_SCORING_FROM)
    return scoring.candidate(the_advisor(), the_project(), algorithm, decided_at)


def the_project() -> RankingRequest:
    """The example's column of the project."""
    framework, languages, factors, zone, complexity = (
        sides(name)[0] for name in ("framework", "languages", "complexity factors", "time zone", "complexity")
    )
    return RankingRequest(
        owner_id=UUID(int=1),
        tech_stack=TechStack(framework, words(languages), words(factors)),
        complexity=ProjectComplexity(complexity),
        weights=ScoringWeights(*(float(row(name, PAGE)[-1]) for name in FACTORS)),
        owner_timezone=zone,
        boosts={UUID(int=2): Fraction(sides("boosts")[1].removesuffix(" points"))},
    )


def the_advisor() -> PoolAdvisor:
    """The example's column of the advisor."""
    taken, slots = map(int, re.findall(r"\d+", sides("slots")[1]))
    preferred = ProjectComplexity(sides("complexity")[1].removeprefix("prefers "))
    return PoolAdvisor(
        summary=AdvisorSummary(UUID(int=2), "the example", words(sides("complexity factors")[1])),
        active=True,
        status=AvailabilityStatus.AVAILABLE,
        current_projects=taken,
        max_concurrent_projects=slots,
        last_assigned_at=None,
        languages=words(sides("languages")[1]),
        frameworks=words(sides("framework")[1]),
        timezone=sides("time zone")[1],
        preferences=AvailabilityPreferences(preferred_complexity=(preferred,)),
    )


def reasons_in_order() -> list[str]:
    """The reasons, first the one that wins: an advisor for whom all of them hold loses one after the other."""
    id_ = UUID(int=1)
    everybody = frozenset({id_})
    request = RankingRequest(
        owner_id=id_,
        tech_stack=TechStack(),
        complexity=ProjectComplexity.MEDIUM,
        weights=ScoringWeights(1, 1, 1, 1),
        owner_timezone=None,
        excluded=everybody,
        excluded_by_rule=everybody,
        required=frozenset(),
        cooling_down=everybody,
        already_active=everybody,
    )
    advisor = PoolAdvisor(AdvisorSummary(id_, "x"), False, AvailabilityStatus.OFFLINE, 1, 1, None)
    reasons = []
    while reason := scoring.exclusion_of(advisor, request):
        reasons.append(reason.value)
        if reason in CURES_OF_THE_ADVISOR:
            advisor = replace(advisor, **CURES_OF_THE_ADVISOR[reason])
        else:
            request = replace(request, **CURES_OF_THE_REQUEST[reason])
    return reasons


def row(name: str, text: str) -> list[str]:
    """The cells behind the first one, in the first line of a table that begins with the name."""
    line = re.search(rf"^\| {re.escape(name)} \|(.*)\|$", text, re.MULTILINE)
    assert line is not None, name
    return [cell.strip() for cell in line[1].split("|")]


def sides(name: str) -> tuple[str, str]:
    """What the example says of the project and of the advisor."""
    project, advisor = row(name, EXAMPLE)
    return project, advisor


def words(text: str) -> tuple[str, ...]:
    """The words of a list with commas between."""
    return tuple(word.strip() for word in text.split(","))
