"""The demo shows what it promises, leaves nothing behind, and says in one message what went wrong."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
import pytest

from tests.support.wait import eventually

ROOT = Path(__file__).parents[2]
DEMO_SECONDS = 90.0
START_SECONDS = 60.0
END_SECONDS = 30.0

LIFE = (
    "advisor.matched",
    "advisor.client_approved",
    "advisor.accepted",
    "advisor.finalized",
    "message.new",
    "advisor.workspace_ready",
)
WAITING = ("advisor.match_pending", "advisor.match_declined", "advisor.matched")
FACTORS = ("availability", "skills", "timezone", "preference", "score")
ROWS = (
    "workspace_provisioning_queue",
    "project_advisors",
    "unified_chat_sessions",
    "unified_chat_messages",
    "notification_outbox",
)


@pytest.fixture
def scratch() -> Iterator[Path]:
    """Where the demo puts its data; a short name, since nothing may be in it afterwards."""
    with TemporaryDirectory(prefix="demo-") as path:
        yield Path(path)


@pytest.fixture(scope="module")
def told() -> Iterator[str]:
    """What the demo prints into a file."""
    with TemporaryDirectory(prefix="demo-") as path:
        directory = Path(path)
        with demo(directory) as process:
            told, complaint = process.communicate(timeout=DEMO_SECONDS)
        assert process.returncode == 0, told + complaint
        assert complaint == ""
        assert_nothing_left(directory)
        yield told


def test_the_events_of_a_life_arrive_in_order(told: str) -> None:
    assert events(told, "event") == [(seq, type_) for seq, type_ in enumerate(LIFE, start=1)]


def test_who_waits_gets_the_slot_of_who_declines(told: str) -> None:
    arrived = [type_ for _, type_ in re.findall(r"┃ (Grid|Board) +#\d+ +(\S+)", told)]
    assert arrived == ["advisor.matched", *WAITING, "advisor.matched"]
    assert events(told, "Grid") == [
        (1, "advisor.matched"),
        (2, "advisor.match_declined"),
        (3, "advisor.matched"),
    ]


def test_the_choice_is_explained_by_its_components(told: str) -> None:
    explained = told[told.index("ExplainMatch") :].partition("Left out")[0]
    for factor in FACTORS:
        assert factor in explained
    chosen, *runners_up = re.findall(r"^(\d)  .*?((?: +[\d.]+){5})$", explained, re.MULTILINE)
    assert len(runners_up) == 5
    *points, score = map(float, chosen[1].split())
    assert sum(points) == pytest.approx(score, abs=0.2)
    assert all(score >= float(line.split()[-1]) for _, line in runners_up)
    assert "1 at capacity" in told
    assert "1 cool down" in told
    assert told.count("the scores are the same") == 2


def test_the_rows_that_were_made_are_shown(told: str) -> None:
    shown = told[told.index("left in the database") :]
    for table in ROWS:
        assert table in shown
    assert "Advisor has joined the workspace" in shown
    assert "the same match" in told


def test_a_log_gets_plain_lines(told: str) -> None:
    assert "\x1b" not in told
    assert "\r" not in told
    assert max(map(len, told.splitlines())) <= 116


def test_a_server_that_dies_is_told_in_one_message_with_the_end_of_its_log(scratch: Path) -> None:
    with demo(scratch) as process:
        server = server_of(process)
        eventually(
            lambda: list(scratch.glob("*/data/connection.json")), timeout=START_SECONDS, what="it serves"
        )
        server.kill()
        told, complaint = process.communicate(timeout=DEMO_SECONDS)
    assert process.returncode == 1, told + complaint
    message, heading, *log = complaint.strip().splitlines()
    assert message.startswith("demo: ")
    assert "the server ended with status -9" in message
    assert heading == "The end of the server's log:"
    assert log
    assert "Traceback" not in complaint
    assert_nothing_left(scratch)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_demo_that_is_told_to_end_takes_the_server_with_it(scratch: Path, number: signal.Signals) -> None:
    with demo(scratch) as process:
        server = server_of(process)
        process.send_signal(number)
        told, complaint = process.communicate(timeout=DEMO_SECONDS)
    assert process.returncode == 128 + number, told + complaint
    assert complaint == ""
    assert not server.is_running()
    assert_nothing_left(scratch)


def events(told: str, label: str) -> list[tuple[int, str]]:
    """The events shown under a label: number and type."""
    return [(int(seq), type_) for seq, type_ in re.findall(rf"┃ {label} +#(\d+) +(\S+)", told)]


@contextmanager
def demo(scratch: Path) -> Iterator[subprocess.Popen[str]]:
    """The demo, under way, its output going to pipes as into a log."""
    process = subprocess.Popen(
        [sys.executable, "examples/demo.py"],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(scratch)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def server_of(process: subprocess.Popen[str]) -> psutil.Process:
    """The server that the demo has started."""
    children = eventually(psutil.Process(process.pid).children, timeout=START_SECONDS, what="a server")
    return children[0]


def assert_nothing_left(scratch: Path) -> None:
    """Neither files nor processes: those of embedded servers stay in their directory."""

    def left() -> list[str]:
        running = [process.info["cwd"] for process in psutil.process_iter(["cwd"])]
        return [
            *map(str, scratch.iterdir()),
            *(cwd for cwd in running if cwd and cwd.startswith(str(scratch))),
        ]

    eventually(lambda: not left(), timeout=END_SECONDS, what="nothing is left of the demo")
