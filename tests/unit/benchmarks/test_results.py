"""Ratios are those of rounds side by side, and what disturbed a round is not counted."""

from __future__ import annotations

import pytest

from benchmarks.harness.results import Comparison, Goal


def compared(*rounds: tuple[float, float, float], goal: Goal | None = None) -> Comparison:
    comparison = Comparison("8 callers", "ours", "theirs", "calls/s", goal)
    for ours, theirs, strangers in rounds:
        comparison.add(ours, theirs, strangers)
    return comparison


def test_the_ratio_is_the_median_of_the_rounds_ratios_and_not_the_ratio_of_medians() -> None:
    comparison = compared((1, 10, 0), (30, 100, 0), (320, 400, 0))
    assert comparison.ratio == 0.3
    assert comparison.as_json()["ratios"] == [0.1, 0.3, 0.8]
    assert comparison.as_json()["medians"] == [30, 100]


def test_a_disturbed_round_is_kept_and_not_counted_while_three_are_quiet() -> None:
    comparison = compared((1, 10, 0.5), (2, 10, 0.1), (3, 10, 0.0), (4, 10, 0.05))
    assert not comparison.disturbed
    assert comparison.ratio == 0.3
    said = comparison.as_json()
    assert (said["lowest"], said["highest"], len(said["rounds"])) == (0.2, 0.4, 4)


def test_where_too_few_rounds_are_quiet_all_count_and_it_is_said() -> None:
    comparison = compared((1, 10, 0.5), (2, 10, 0.1), (3, 10, 0.0), (4, 10, 0.11))
    assert comparison.disturbed
    assert comparison.ratio == 0.25


def test_one_round_alone_is_enough_where_there_is_no_other() -> None:
    assert not compared((1, 10, 0.0)).disturbed


@pytest.mark.parametrize(
    ("goal", "ratio", "verdict"),
    [
        (Goal(0.2, 0.3), 0.19, "not reached"),
        (Goal(0.2, 0.3), 0.2, "reached"),
        (Goal(0.2, 0.3), 0.3, "reached, and more"),
        (Goal(4, 2, "lower"), 4.1, "not reached"),
        (Goal(4, 2, "lower"), 4, "reached"),
        (Goal(4, 2, "lower"), 1.9, "reached, and more"),
    ],
)
def test_a_goal_is_reached_at_its_edge_whichever_way_is_better(
    goal: Goal, ratio: float, verdict: str
) -> None:
    assert goal.verdict(ratio) == verdict
