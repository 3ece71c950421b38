"""What was measured, kept as JSON and shown as a page: docs/benchmarks.md, with a figure a row beside it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from benchmarks.harness.results import Outcome, Row

Kept = dict[str, Any]
"""A row's results as they are in the file."""


@dataclass(frozen=True, slots=True)
class Run:
    """When, how and on what a row was measured."""

    measured_at: datetime
    command: str
    machine: Mapping[str, Any]
    seconds: float
    strangers: float
    """The part of the processors' time that other programs took meanwhile."""


def kept(row: Row, outcome: Outcome, run: Run) -> Kept:
    """As it is written into the file."""
    return {
        "title": row.title,
        "against": row.against,
        "measured_at": run.measured_at.isoformat(timespec="seconds"),
        "command": run.command,
        "machine": dict(run.machine),
        "seconds": round(run.seconds),
        "strangers": round(run.strangers, 3),
        **outcome.as_json(),
    }


def read(directory: Path) -> dict[str, Kept]:
    """The rows that have been measured before, by name."""
    path = directory / "results.json"
    rows: dict[str, Kept] = json.loads(path.read_text()) if path.exists() else {}
    return rows


def write(directory: Path, results: Mapping[str, Kept]) -> None:
    """Keeps the results of all rows, whenever they were measured."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "results.json").write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n")


def table(rows: Sequence[Row], results: Mapping[str, Kept]) -> str:
    """The rows in Markdown, a line for each ratio that is judged and each limit."""
    head = ("what", "against", "ratio", "lowest, highest", "reach", "then", "")
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for row in rows:
        if row.name in results:
            lines += _table_lines(results[row.name])
    return "\n".join(lines) + "\n"


def _table_lines(result: Kept) -> Iterator[str]:
    judged = [comparison for comparison in result["comparisons"] if comparison["goal"]]
    for comparison in judged:
        goal = comparison["goal"]
        sign = "≥" if goal["better"] == "higher" else "≤"
        what = result["title"] + (f" ({comparison['label']})" if len(judged) > 1 else "")
        cells = (
            what,
            result["against"],
            f"**{number(comparison['ratio'])}**",
            f"{number(comparison['lowest'])}, {number(comparison['highest'])}",
            f"{sign} {goal['reach']:g}",
            f"{sign} {goal['then']:g}",
            goal["verdict"] + (", but disturbed" if comparison["disturbed"] else ""),
        )
        yield "| " + " | ".join(cells) + " |"
    for limit in result["limits"]:
        # Those that were measured earlier are of memory, and have one step.
        what, then = limit.get("what", "Memory"), limit.get("then")
        value = f"{number(limit['value'])} {limit['unit']}".rstrip()
        after = "" if then is None else f" ≤ {then:g}"
        yield f"| {what}, {limit['label']} | | {value} | | ≤ {limit['limit']:g} |{after} | {limit['verdict']} |"


def page(rows: Sequence[Row], results: Mapping[str, Kept], figures: str) -> str:
    """The whole page. ``figures`` is the folder of the figures as the page refers to it."""
    measured = [row for row in rows if row.name in results]
    sections = (_section(row, results[row.name], figures) for row in measured)
    return f"{_HEAD}\n{table(rows, results)}\n" + "\n".join(sections)


def _section(row: Row, result: Kept, figures: str) -> str:
    lines = [f"## {row.name}", "", f"{row.title}, against {row.against}.", "", row.method, ""]
    lines += [f"![{row.title}]({figures}/{row.name}.svg)", ""]
    lines += ["| | ratio | lowest, highest | medians | rounds counted |", "|---|---|---|---|---|"]
    for comparison in result["comparisons"]:
        ours, theirs = comparison["medians"]
        lines.append(
            f"| {comparison['label']} | {number(comparison['ratio'])}"
            f" | {number(comparison['lowest'])}, {number(comparison['highest'])}"
            f" | {comparison['ours']} {number(ours)}, {comparison['theirs']} {number(theirs)} {comparison['unit']}"
            f" | {len(comparison['ratios'])} of {len(comparison['rounds'])} |"
        )
    lines += ["", *_facts(result)]
    return "\n".join(lines) + "\n"


def _facts(result: Kept) -> Iterator[str]:
    for name, value in result["notes"].items():
        yield f"- {name}: {_plain(value)}"
    machine = ", ".join(f"{name} {value}" for name, value in result["machine"].items())
    yield f"- measured {result['measured_at']} in {result['seconds']} s by `{result['command']}`; {machine}"
    yield f"- other programs took {result['strangers']:.0%} of the processors meanwhile"


def _plain(value: object) -> str:
    if isinstance(value, Mapping):
        parts = (
            f"{name} ({_plain(part)})" if isinstance(part, Mapping) else f"{name} {_plain(part)}"
            for name, part in value.items()
        )
        return ", ".join(parts)
    return number(value) if isinstance(value, int | float) else str(value)


def number(value: float) -> str:
    """Three significant digits, or all before the point."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


_HEAD = """\
# Benchmarks

Written by `make bench`, not by hand; `make bench ARGS="create_match"` measures some rows and leaves the others as they
are, `ARGS="--list"` names them, `ARGS="--quick"` shows in a minute whether everything works and writes nothing.

Figures of one machine say little about another's, so what counts are ratios: both sides are measured on the same
machine, by turns, in one run; a ratio is that of two turns side by side, and the one shown is the median. Postgres
writes every commit to disk (fsync), whichever side it serves. A round in which other programs took more than a tenth
of the processors' time is not counted, as long as three others are left; a figure without them is called disturbed.
`results.json` beside the figures has every round.
"""
