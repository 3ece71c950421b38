"""What the demo prints: the same lines on a terminal and in a log."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from google.protobuf.internal.enum_type_wrapper import EnumTypeWrapper
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from advisor_matching.v1 import types_pb2 as pb

T = TypeVar("T")

_WIDTH_OF_LOGS = 116
_WIDTH_WITH_ZONES = 100
_FACTORS = ("availability", "skills", "timezone", "preference")


def word(enum: Any, value: int, prefix: str) -> str:
    """The name of an enum's value without the enum's own name, in lower case."""
    wrapper: EnumTypeWrapper = enum
    return wrapper.Name(value).removeprefix(prefix).lower()


def status_word(status: int) -> str:
    """A match's status, as the database writes it."""
    return word(pb.MatchStatus, status, "MATCH_STATUS_")


class View:
    """Prints; from any thread. `name_of` turns a user id into a name to show."""

    def __init__(self, name_of: Callable[[str], str]) -> None:
        sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]
        width = None if sys.stdout.isatty() else _WIDTH_OF_LOGS
        self.console = Console(width=width, highlight=False)
        self._name_of = name_of

    def chapter(self, title: str) -> None:
        """Begins a part of the story."""
        self.console.print()
        self.console.rule(f"[bold]{escape(title)}", align="left", style="dim")

    def say(self, text: str) -> None:
        """A line of the story; may hold markup."""
        self.console.print(text)

    def event(self, project: str, event: pb.ProjectEvent) -> None:
        """A line for an event that has just arrived."""
        what = escape(self._event_text(event))
        self.console.print(f"  [cyan]┃ {escape(project)} #{event.seq}  {event.type:<25}[/] {what}")

    def progress(self, label: str, items: Sequence[T]) -> Iterable[T]:
        """The items, with a bar that moves."""
        columns = (TextColumn("{task.description}"), BarColumn(40), MofNCompleteColumn())
        with Progress(*columns, console=self.console) as bar:
            yield from bar.track(items, description=label)

    def explanation(self, explanation: pb.Explanation, zone_of: Callable[[str], str], shown: int = 6) -> None:
        """The chosen advisor and the runners-up, with the points that each factor gave."""
        wide = self.console.width >= _WIDTH_WITH_ZONES
        table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, collapse_padding=True)
        table.add_column("")
        table.add_column("advisor", no_wrap=wide)
        if wide:
            table.add_column("time zone", no_wrap=True)
        table.add_column("load", justify="right", no_wrap=True)
        for factor, most in _most_points(explanation.weights).items():
            table.add_column(f"{factor}\n(of {most:g})", justify="right", no_wrap=True)
        table.add_column("score", justify="right", style="bold", no_wrap=True)
        for candidate in [explanation.chosen, *explanation.runners_up][:shown]:
            cells = [str(candidate.rank), escape(candidate.advisor.display_name)]
            cells += [zone_of(candidate.advisor.id)] if wide else []
            cells.append(f"{candidate.features.load}/{candidate.features.slots}")
            cells += [f"{gained:.1f}" for gained in _points(explanation, candidate).values()]
            table.add_row(*cells, f"{candidate.score:.2f}", style="green" if candidate.rank == 1 else None)
        self.console.print()
        self.console.print(table)
        self.console.print()
        if explanation.runners_up:
            self.console.print(escape(_difference(explanation)))
        self.console.print(f"Left out: {_exclusions(explanation)}.")

    def table(self, headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """A plain table."""
        self.console.print()
        table = Table(*headings, box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
        for row in rows:
            table.add_row(*map(escape, row))
        self.console.print(table)
        self.console.print()

    def rows(self, rows: Iterable[tuple[str, Mapping[str, Any]]]) -> None:
        """Rows of the database, each with its table's name."""
        self.table(
            ("table", "row"),
            ((name, ", ".join(f"{k} = {v}" for k, v in values.items())) for name, values in rows),
        )

    def _event_text(self, event: pb.ProjectEvent) -> str:
        actor = "the service" if event.user_id == "system" else self._name_of(event.user_id)
        match event.WhichOneof("payload"):
            case "match":
                return f"{_step(event.match)}, by {actor}"
            case "message":
                return f"“{event.message.text}”"
            case "workspace_ready":
                return f"the workspace is open to {self._name_of(event.workspace_ready.advisor_id)}"
            case _:
                return f"by {actor}"


def _step(match: pb.MatchEvent) -> str:
    """How the match's status changed, and for whom or why."""
    before = status_word(match.previous_status) if match.previous_status else "new"
    about = match.reason or (match.advisor_name if match.status == pb.MATCH_STATUS_MATCHED else "")
    return f"{before} → {status_word(match.status)}" + (f" ({about})" if about else "")


def _most_points(weights: pb.ScoringWeights) -> dict[str, float]:
    """What each factor can give of the 100 points."""
    total = sum(getattr(weights, factor) for factor in _FACTORS)
    return {factor: 100 * getattr(weights, factor) / total for factor in _FACTORS}


def _points(explanation: pb.Explanation, candidate: pb.Candidate) -> dict[str, float]:
    """What each factor gave a candidate; the sum is the score."""
    most = _most_points(explanation.weights)
    return {factor: most[factor] * getattr(candidate.features, factor) for factor in _FACTORS}


def _difference(explanation: pb.Explanation) -> str:
    """Where the first of the runners-up is ahead, and where behind."""
    chosen, next_best = explanation.chosen, explanation.runners_up[0]
    ours, theirs = _points(explanation, chosen), _points(explanation, next_best)
    ahead = [factor for factor in _FACTORS if theirs[factor] > ours[factor]]
    behind = [factor for factor in _FACTORS if theirs[factor] < ours[factor]]
    told = " and ".join(
        f"{word} for {' and '.join(factors)}"
        for word, factors in (("more", ahead), ("less", behind))
        if factors
    )
    return f"{next_best.advisor.display_name}, next in line, has {told or 'the same points'}."


def _exclusions(explanation: pb.Explanation) -> str:
    counts = (
        f"{item.count} {word(pb.ExclusionReason, item.reason, 'EXCLUSION_REASON_').replace('_', ' ')}"
        for item in explanation.exclusions
    )
    return ", ".join(counts) or "nobody"
