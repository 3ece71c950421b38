"""What a row is, and what comes of measuring it."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from benchmarks.harness.effort import LEAST_ROUNDS, Effort

Better = Literal["higher", "lower"]


class BenchmarkError(Exception):
    """A side did not do what was to be measured; one sentence for a person."""


@dataclass(frozen=True, slots=True)
class Goal:
    """What a ratio has to reach, and what comes after that."""

    reach: float
    then: float
    better: Better = "higher"

    def verdict(self, ratio: float) -> str:
        """In a word or two."""
        sign = 1 if self.better == "higher" else -1
        if sign * ratio >= sign * self.then:
            return "reached, and more"
        return "reached" if sign * ratio >= sign * self.reach else "not reached"

    def as_json(self, ratio: float) -> dict[str, Any]:
        """The goal, and what a ratio is by it."""
        return {
            "reach": self.reach,
            "then": self.then,
            "better": self.better,
            "verdict": self.verdict(ratio),
        }


@dataclass(frozen=True, slots=True)
class Round:
    """One turn of each side, and the part of the processors' time that other programs took meanwhile."""

    ours: float
    theirs: float
    strangers: float

    @property
    def ratio(self) -> float:
        """Ours / theirs."""
        return self.ours / self.theirs


QUIET = 0.1
"""What strangers may take of a round: more than that and it is the one side or the other that suffers more."""


@dataclass(slots=True)
class Comparison:
    """Two sides that took turns.

    Rounds that strangers disturbed are kept and not counted, as long as enough others are left.
    """

    label: str
    ours: str
    theirs: str
    unit: str
    goal: Goal | None = None
    """``None`` where it is shown beside the others and not judged."""
    rounds: list[Round] = field(default_factory=list)

    def add(self, ours: float, theirs: float, strangers: float = 0.0) -> None:
        """One more round. ``strangers`` is left out where others change nothing of what is measured."""
        self.rounds.append(Round(ours, theirs, strangers))

    @property
    def disturbed(self) -> bool:
        """Whether too few rounds were quiet, so that all of them count."""
        quiet = sum(1 for round_ in self.rounds if round_.strangers <= QUIET)
        return quiet < min(LEAST_ROUNDS, len(self.rounds))

    @property
    def counted(self) -> list[Round]:
        """The rounds that the ratio is made of."""
        if self.disturbed:
            return self.rounds
        return [round_ for round_ in self.rounds if round_.strangers <= QUIET]

    @property
    def ratio(self) -> float:
        """The median of the rounds' ratios: the two turns of a round saw the same machine."""
        return statistics.median(round_.ratio for round_ in self.counted)

    def as_json(self) -> dict[str, Any]:
        """Everything that was measured, and what follows from it."""
        ratios = [round_.ratio for round_ in self.counted]
        return {
            "label": self.label,
            "ours": self.ours,
            "theirs": self.theirs,
            "unit": self.unit,
            "rounds": [
                {
                    "ours": rounded(round_.ours),
                    "theirs": rounded(round_.theirs),
                    "strangers": round(round_.strangers, 3),
                }
                for round_ in self.rounds
            ],
            "ratios": [rounded(ratio) for ratio in ratios],
            "ratio": rounded(self.ratio),
            "lowest": rounded(min(ratios)),
            "highest": rounded(max(ratios)),
            "medians": [
                rounded(statistics.median(round_.ours for round_ in self.counted)),
                rounded(statistics.median(round_.theirs for round_ in self.counted)),
            ],
            "disturbed": self.disturbed,
            "goal": None if self.goal is None else self.goal.as_json(self.ratio),
        }


@dataclass(frozen=True, slots=True)
class Limit:
    """A figure that must not be exceeded."""

    label: str
    value: float
    limit: float
    unit: str
    what: str = "Memory"
    then: float | None = None
    """What comes after that, where anything does."""

    def as_json(self) -> dict[str, Any]:
        """The figure beside its limit."""
        return {
            "what": self.what,
            "label": self.label,
            "value": rounded(self.value),
            "limit": self.limit,
            "then": self.then,
            "unit": self.unit,
            "verdict": self._verdict,
        }

    @property
    def _verdict(self) -> str:
        if self.value > self.limit:
            return "exceeded"
        return "kept, and more" if self.then is not None and self.value <= self.then else "kept"


@dataclass(slots=True)
class Outcome:
    """What a row found."""

    comparisons: list[Comparison]
    limits: list[Limit] = field(default_factory=list)
    notes: dict[str, Any] = field(default_factory=dict)
    """Whatever helps to read the figures, by name."""

    def as_json(self) -> dict[str, Any]:
        """As it is kept."""
        return {
            "comparisons": [comparison.as_json() for comparison in self.comparisons],
            "limits": [limit.as_json() for limit in self.limits],
            "notes": self.notes,
        }


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the table: what is asked, how it is measured, and the function that does."""

    name: str
    title: str
    against: str
    method: str
    """For readers of the page: what exactly is done, and why that is fair."""
    measure: Callable[[Effort], Outcome]
    axis: Literal["bars", "sizes"] = "bars"
    """How the figure is drawn: a bar a comparison, or a line over the numbers that the labels begin with."""


def rounded(value: float) -> float:
    """Four significant digits: what is beyond is noise."""
    return float(f"{value:.4g}")
