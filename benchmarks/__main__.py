"""`make bench`: measures the rows, prints the table, and writes docs/benchmarks.md with its figures."""

from __future__ import annotations

import argparse
import shlex
import signal
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn

from benchmarks.harness import machine, report
from benchmarks.harness.effort import FULL, QUICK, Effort, Strangers
from benchmarks.harness.report import Kept, Run
from benchmarks.harness.results import BenchmarkError, Row
from benchmarks.rows import ROWS
from matching_server.embedded import EmbeddedError

DOCS = Path(__file__).parents[1] / "docs"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures the rows that are named, or all of them. The exit status tells of failures, not of figures."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    wanted = _wanted(words)
    if wanted.list:
        for row in ROWS:
            print(f"{row.name}: {row.title}, against {row.against}")
        return 0
    # Everything that was started is ended on the way out, by Ctrl-C and by SIGTERM alike.
    signal.signal(signal.SIGTERM, _interrupt)
    rows = [row for row in ROWS if not wanted.rows or row.name in wanted.rows]
    command = "make bench" + (f' ARGS="{shlex.join(words)}"' if words else "")
    measured: dict[str, Kept] = {}
    failed = False
    for row in rows:
        try:
            measured[row.name] = _measured(row, QUICK if wanted.quick else FULL, command)
        except (BenchmarkError, EmbeddedError) as error:
            print(f"{row.name}: {error}", file=sys.stderr)
            failed = True
            continue
        except KeyboardInterrupt:
            print(f"{row.name}: interrupted", file=sys.stderr)
            return 130
        print(report.table([row], measured), flush=True)
        if not wanted.quick:
            _publish(DOCS, measured)
    return int(failed)


def _wanted(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    names = [row.name for row in ROWS]
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"{', '.join(names)}; all where none is named")
    parser.add_argument("--quick", action="store_true", help="see whether everything works; writes nothing")
    parser.add_argument("--list", action="store_true", help="name the rows")
    wanted = parser.parse_args(words)
    if unknown := set(wanted.rows).difference(names):
        parser.error(f"no such row: {', '.join(sorted(unknown))}")
    return wanted


def _measured(row: Row, effort: Effort, command: str) -> Kept:
    facts, strangers = machine.facts(), Strangers()
    now, started = datetime.now(UTC), time.monotonic()
    outcome = row.measure(effort)
    return report.kept(row, outcome, Run(now, command, facts, time.monotonic() - started, strangers.share()))


def _publish(docs: Path, measured: dict[str, Kept]) -> None:
    """After every row, so that one that fails takes nothing with it."""
    from benchmarks.harness import plots  # noqa: PLC0415 - what only prints does without matplotlib

    figures = docs / "benchmarks"
    results = report.read(figures) | measured
    report.write(figures, results)
    for row in ROWS:
        if row.name in measured:
            plots.draw(row, measured[row.name], figures / f"{row.name}.svg")
    (docs / "benchmarks.md").write_text(report.page(ROWS, results, figures.name))


def _interrupt(*_: object) -> NoReturn:
    raise SystemExit(f"ended by signal {signal.SIGTERM}")


if __name__ == "__main__":
    sys.exit(main())
