"""The options that say what a match should look for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated
from uuid import UUID

import typer

from advisor_matching.v1.types_pb2 import MatchCriteria, ProjectComplexity, ScoringWeights, TechStack
from matching_client.commands.words import words_option

Framework = Annotated[str, typer.Option(help="Main framework, such as react.")]
Languages = Annotated[
    list[str] | None, typer.Option("--language", help="A programming language; may be repeated.")
]
Factors = Annotated[
    list[str] | None, typer.Option("--factor", help="What makes it hard, such as payments; may be repeated.")
]
Complexity = Annotated[str | None, words_option(ProjectComplexity, "How demanding it is.", "--complexity")]
Exclude = Annotated[
    list[UUID] | None, typer.Option(help="An advisor never to offer; may be repeated.", metavar="ADVISOR_ID")
]
Weights = Annotated[
    list[str] | None,
    typer.Option(
        "--weight",
        help="Weight of a factor (availability, skills, timezone, preference); those not named are 0.",
        metavar="FACTOR=NUMBER",
    ),
]


def tech_stack(framework: str, languages: list[str] | None, factors: list[str] | None) -> TechStack | None:
    """The technologies stated; None where nothing is."""
    stack = TechStack(framework=framework, languages=languages, complexity_factors=factors)
    return stack if stack.ByteSize() else None


@dataclass(frozen=True)
class Looking:
    """What the options said."""

    framework: str
    languages: list[str] | None
    factors: list[str] | None
    complexity: str | None
    exclude: list[UUID] | None
    weights: list[str] | None

    def criteria(self) -> MatchCriteria | None:
        """As the contract has it; None where nothing was said. ValueError for a malformed weight."""
        criteria = MatchCriteria(
            tech_stack=tech_stack(self.framework, self.languages, self.factors),
            scoring_weights=_weights(self.weights),
            project_complexity=self.complexity,
            exclude_advisor_ids=map(str, self.exclude or ()),
        )
        return criteria if criteria.ByteSize() else None


def _weights(given: list[str] | None) -> ScoringWeights | None:
    if not given:
        return None
    weights = ScoringWeights()
    for text in given:
        name, _, value = text.partition("=")
        if name not in weights.DESCRIPTOR.fields_by_name:
            raise ValueError(
                f"--weight: {text!r} is not like skills=50; factors are availability, skills,"
                " timezone and preference"
            )
        try:
            setattr(weights, name, float(value))
        except ValueError:
            raise ValueError(f"--weight: {value!r} is no number") from None
    return weights
