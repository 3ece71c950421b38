"""A figure a row, with the goals as lines. Needs matplotlib, which only `make bench` installs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.harness.report import Kept
from benchmarks.harness.results import Row

_INK, _OURS, _REACH, _THEN = "#333333", "#4878a8", "#c44e52", "#55a868"


def draw(row: Row, result: Kept, path: Path) -> None:
    """Draws the row's figure into an SVG file."""
    # The same results make the same file.
    mpl.rcParams.update({"svg.hashsalt": row.name, "svg.fonttype": "none", "font.size": 9})
    figure = Figure(figsize=(7.0, 0.9 + 0.55 * max(2, len(result["comparisons"]))), layout="constrained")
    if row.axis == "sizes":
        figure.set_size_inches(7.0, 3.6)
    axes = figure.add_subplot()
    if row.axis == "sizes":
        _line(axes, result)
    else:
        _bars(axes, result)
    axes.set_title(f"{row.title}\nagainst {row.against}", loc="left", color=_INK)
    axes.spines[["top", "right"]].set_visible(False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, format="svg", metadata={"Date": None})


def _bars(axes: Axes, result: Kept) -> None:
    """The median of each comparison, and a dot for each round."""
    comparisons = result["comparisons"]
    places = range(len(comparisons))
    axes.barh(
        places, [comparison["ratio"] for comparison in comparisons], height=0.6, color=_OURS, alpha=0.75
    )
    for place, comparison in zip(places, comparisons, strict=True):
        ratios = comparison["ratios"]
        axes.plot(ratios, [place] * len(ratios), ".", color=_INK, markersize=4)
    axes.set_yticks(places, [comparison["label"] for comparison in comparisons])
    axes.invert_yaxis()
    goal: dict[str, Any] | None = comparisons[0]["goal"]
    marks = [] if goal is None else [goal["reach"], goal["then"]]
    axes.set_xlim(0, 1.05 * max(*marks, *(comparison["highest"] for comparison in comparisons), 0))
    axes.set_xlabel("ratio (bar: median, dots: rounds)")
    if goal is None:
        return
    axes.axvline(goal["reach"], color=_REACH, linestyle="--", label=f"reach {goal['reach']:g}")
    axes.axvline(goal["then"], color=_THEN, linestyle=":", label=f"then {goal['then']:g}")
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)


def _line(axes: Axes, result: Kept) -> None:
    """The ratio over the number that each label begins with, from 1 at the smallest."""
    comparisons = result["comparisons"]
    smallest = _leading_number(comparisons[0]["theirs"])
    sizes = [smallest, *(_leading_number(comparison["label"]) for comparison in comparisons)]
    low, middle, high = (
        [1.0, *(comparison[name] for comparison in comparisons)] for name in ("lowest", "ratio", "highest")
    )
    axes.fill_between(sizes, low, high, color=_OURS, alpha=0.2, linewidth=0)
    axes.plot(sizes, middle, "o-", color=_OURS)
    goal: dict[str, Any] = comparisons[-1]["goal"]
    axes.axhline(goal["reach"], color=_REACH, linestyle="--", label=f"reach {goal['reach']:g}")
    axes.axhline(goal["then"], color=_THEN, linestyle=":", label=f"then {goal['then']:g}")
    axes.set_xscale("log")
    axes.set_ylim(bottom=0)
    axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
    axes.minorticks_off()
    axes.set_xlabel("advisors")
    axes.set_ylabel(f"times {smallest} (band: rounds)")
    axes.legend(frameon=False)


def _leading_number(label: str) -> int:
    return int(label.partition(" ")[0].replace(",", ""))
