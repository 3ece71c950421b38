"""What a newcomer starts with works: the line that `make run` prints, and the demo."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.wait import eventually

ROOT = Path(__file__).parents[2]
BINARIES = Path(sys.executable).parent
SAMPLE = ROOT / "examples" / "directory.json"


@dataclass(frozen=True)
class Running:
    """A server as `make run` starts it."""

    data_dir: Path
    output: Path

    @property
    def first_call(self) -> str:
        """The line to paste."""
        return next(line for line in self.output.read_text().splitlines() if " curl --schema" in line).strip()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    directory = tmp_path_factory.mktemp("run")
    found = Running(directory / "data", directory / "output")
    command = [str(BINARIES / "matching-server"), "serve", "--embedded", "--data-dir", str(found.data_dir)]
    command += ["--listen", "127.0.0.1:0", "--sample", str(SAMPLE)]
    with found.output.open("wb") as output, (directory / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=log)
    try:
        eventually(lambda: "Ctrl-C" in found.output.read_text(), timeout=30, what="the server prints a call")
        yield found
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0
    assert not (found.data_dir / "connection.json").exists()


@pytest.mark.parametrize("shell", ["sh", "bash"])
def test_the_printed_line_works_as_pasted_twice_in_a_row(running: Running, shell: str) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"no {shell} on this machine")
    answers = [json.loads(run([shell, "-c", running.first_call])) for _ in range(2)]
    assert answers[0]["match"]["status"] == "MATCH_STATUS_MATCHED"
    assert answers[1]["alreadyOpen"] is True
    assert answers[0]["match"]["id"] == answers[1]["match"]["id"]


def test_the_demo_shows_a_whole_life_and_exits_0() -> None:
    shown = run([sys.executable, "examples/demo.py"])
    for promised in (
        "advisor.matched",
        "advisor.finalized",
        "advisor.workspace_ready",
        "unified_chat_sessions",
    ):
        assert promised in shown


def run(command: list[str]) -> str:
    """What the command prints; it has to succeed."""
    environment = {**os.environ, "COLUMNS": "120"}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
