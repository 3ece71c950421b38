"""`make bench` measures, and leaves nothing behind. What it finds is nobody's promise."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
import pytest

from benchmarks.rows import ROWS
from tests.support.rounds import FULL_SCALE, SCALE
from tests.support.wait import eventually

ROOT = Path(__file__).parents[2]
SECONDS = 100.0
# Postgres, Redis, a server that serves, and a load generator, which is started last.
PROCESSES = 4


@contextmanager
def bench(directory: Path, *words: str) -> Iterator[subprocess.Popen[str]]:
    """The command, with what it makes in this directory."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks", *words],
        cwd=ROOT,
        env={"TMPDIR": str(directory), "PATH": "/usr/bin:/bin"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture
def scratch() -> Iterator[Path]:
    """A short name that others may pass through, as a temporary directory is."""
    with TemporaryDirectory(prefix="bench-") as path:
        Path(path).chmod(0o711)
        yield Path(path)


def test_a_row_is_measured_from_nothing_and_leaves_nothing(scratch: Path) -> None:
    with bench(scratch, "create_match", "--quick") as process:
        said, complaint = process.communicate(timeout=SECONDS)
    assert (process.returncode, complaint) == (0, "")
    assert "| CreateMatch, calls/s | pgbench, the six plain statements | **" in said
    assert list(scratch.iterdir()) == []


in_full = pytest.mark.skipif(
    SCALE < FULL_SCALE, reason="every row takes its time: only make robustness has it"
)


@pytest.mark.robustness
@in_full
def test_taking_a_job_is_measured(scratch: Path) -> None:
    with bench(scratch, "take_job", "--quick") as process:
        said, complaint = process.communicate(timeout=SECONDS)
    assert (process.returncode, complaint) == (0, "")
    assert (
        "| Taking a job of 100,000 with 1,000,000 completed | a job of 100 with none completed | **" in said
    )
    assert list(scratch.iterdir()) == []


LINES = {
    "match_life": "| Whole lives of matches a second | CreateMatch calls/s of the same server | **",
    "event_latency": "| From the commit to a watcher, p99 at 100 events/s | Redis PUBLISH to a bare subscriber | **",
    "event_throughput": "| Events delivered/s to 1,000 streams of one project | a bare grpcio server of streams | **",
    "idle_streams": "| Memory, a stream of ",
    "long_resume": "| Resuming 10,000 events behind | reading the rows with psycopg | **",
}


@pytest.mark.robustness
@pytest.mark.parametrize(
    "row",
    ["event_throughput", *(pytest.param(row, marks=in_full) for row in LINES if row != "event_throughput")],
)
def test_event_streams_are_measured(scratch: Path, row: str) -> None:
    with bench(scratch, row, "--quick") as process:
        said, complaint = process.communicate(timeout=SECONDS)
    assert (process.returncode, complaint) == (0, "")
    assert LINES[row] in said
    assert list(scratch.iterdir()) == []


@pytest.mark.robustness
@in_full
@pytest.mark.skipif(
    not all(map(find_spec, ("asyncpg", "pgqueuer", "procrastinate", "uvloop"))),
    reason="only make bench has them",
)
def test_provisioning_is_measured_against_both_libraries(scratch: Path) -> None:
    with bench(scratch, "provisioning_jobs", "--quick") as process:
        said, complaint = process.communicate(timeout=SECONDS)
    assert (process.returncode, complaint) == (0, "")
    for library in ("procrastinate", "pgqueuer"):
        assert f"| Provisioning jobs/s, 4 at a time ({library}) | " in said
    assert list(scratch.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGKILL, marks=in_full)])
def test_a_run_that_is_cut_short_leaves_no_process(scratch: Path, number: signal.Signals) -> None:
    with bench(scratch, "create_match", "--quick") as process:
        running = psutil.Process(process.pid)
        eventually(lambda: len(running.children()) >= PROCESSES, timeout=SECONDS, what="the servers run")
        family = running.children(recursive=True)
        process.send_signal(number)
        process.wait(SECONDS)
        try:
            eventually(
                lambda: not any(p.is_running() for p in family), timeout=30, what="they have all ended"
            )
        finally:
            for left in family:
                with suppress(psutil.NoSuchProcess):
                    left.kill()
    assert number is signal.SIGKILL or list(scratch.iterdir()) == []


def test_what_there_is_to_measure_is_listed_and_what_there_is_not_is_told(scratch: Path) -> None:
    with bench(scratch, "--list") as process:
        said, _ = process.communicate(timeout=SECONDS)
    assert [line.partition(":")[0] for line in said.splitlines()] == [row.name for row in ROWS]
    with bench(scratch, "no_such_row") as process:
        _, complaint = process.communicate(timeout=SECONDS)
    assert process.returncode == 2
    assert complaint.endswith("no such row: no_such_row\n")
