"""What was measured is kept beside what was measured before, and shown as it is."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from benchmarks.harness import report
from benchmarks.harness.effort import Effort
from benchmarks.harness.report import Run
from benchmarks.harness.results import Comparison, Goal, Limit, Outcome, Row

RUN = Run(datetime(2026, 3, 4, 12, tzinfo=UTC), "make bench", {"cores": 2}, seconds=61.4, strangers=0.034)


def outcome(ours: float = 30) -> Outcome:
    comparison = Comparison("8 callers", "CreateMatch", "pgbench", "calls/s", Goal(0.22, 0.33))
    comparison.add(ours, 100)
    return Outcome([comparison], [Limit("server", 123.4, 500, "MB")], {"calls": 3_600})


def measured(_: Effort) -> Outcome:
    return outcome()


FIRST = Row("first", "Calls", "pgbench", "As it is done.", measured)
SECOND = Row("second", "Other calls", "echo", "Otherwise.", measured)


def test_rows_that_were_not_measured_again_stay_as_they_were(tmp_path: Path) -> None:
    report.write(tmp_path, {"first": report.kept(FIRST, outcome(), RUN)})
    both = report.read(tmp_path) | {"second": report.kept(SECOND, outcome(40), RUN)}
    report.write(tmp_path, both)
    assert report.read(tmp_path) == both
    assert both["first"]["comparisons"][0]["ratio"] == 0.3


def test_nothing_measured_before_is_no_rows(tmp_path: Path) -> None:
    assert report.read(tmp_path) == {}


def test_the_table_has_a_line_for_each_ratio_and_limit_that_is_judged() -> None:
    result = outcome()
    result.comparisons.append(Comparison("shown only", "CreateMatch", "pgbench", "calls/s"))
    result.comparisons[1].add(1, 2)
    _, _, *lines = report.table([FIRST, SECOND], {"first": report.kept(FIRST, result, RUN)}).splitlines()
    assert lines == [
        "| Calls | pgbench | **0.3** | 0.3, 0.3 | ≥ 0.22 | ≥ 0.33 | reached |",
        "| Memory, server | | 123 MB | | ≤ 500 | | kept |",
    ]


def test_a_limit_may_be_of_other_things_than_memory_and_have_a_second_step() -> None:
    result = outcome()
    result.limits = [
        Limit("more", 0, 8, "", what="Threads"),
        Limit("a stream", 29.96, 40, "kB", then=30),
        Limit("a stream", 40.1, 40, "kB", then=30),
    ]
    *_, threads, kept, exceeded = report.table(
        [FIRST], {"first": report.kept(FIRST, result, RUN)}
    ).splitlines()
    assert threads == "| Threads, more | | 0 | | ≤ 8 | | kept |"
    assert kept == "| Memory, a stream | | 30 kB | | ≤ 40 | ≤ 30 | kept, and more |"
    assert exceeded == "| Memory, a stream | | 40.1 kB | | ≤ 40 | ≤ 30 | exceeded |"


def test_limits_that_were_kept_before_they_said_of_what_are_of_memory() -> None:
    kept = report.kept(FIRST, outcome(), RUN)
    for word in ("what", "then"):
        del kept["limits"][0][word]
    assert "| Memory, server | | 123 MB | | ≤ 500 | | kept |" in report.table([FIRST], {"first": kept})


def test_the_page_tells_how_when_and_on_what_a_row_was_measured() -> None:
    page = report.page([FIRST, SECOND], {"first": report.kept(FIRST, outcome(), RUN)}, "benchmarks")
    assert "As it is done." in page
    assert "![Calls](benchmarks/first.svg)" in page
    assert "measured 2026-03-04T12:00:00+00:00 in 61 s by `make bench`; cores 2" in page
    assert "other programs took 3% of the processors" in page
    assert "| 8 callers | 0.3 | 0.3, 0.3 | CreateMatch 30, pgbench 100 calls/s | 1 of 1 |" in page
    assert "Other calls" not in page
