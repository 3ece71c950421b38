"""The line that `make run` prints works as pasted, in `sh` and in `bash`, again and again."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.databases import data_directory
from tests.support.wait import eventually

ROOT = Path(__file__).parents[2]
START_SECONDS = 60.0
CALL_SECONDS = 60.0
END_SECONDS = 60.0


@pytest.mark.parametrize("shell", ["sh", "bash"])
def test_the_printed_line_works_as_pasted_twice_in_a_row(shell: str, tmp_path: Path) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"no {shell} on this machine")
    with data_directory() as directory, running(directory / "data", tmp_path / "output") as first_call:
        first, second = pasted(shell, first_call), pasted(shell, first_call)
    assert first["match"]["status"] == "MATCH_STATUS_MATCHED"
    assert "alreadyOpen" not in first
    assert second["alreadyOpen"] is True
    assert second["match"]["id"] == first["match"]["id"]


def test_what_was_there_is_there_after_a_restart(tmp_path: Path) -> None:
    with data_directory() as directory:
        with running(directory / "data", tmp_path / "first") as first_call:
            before = pasted("sh", first_call)
        with running(directory / "data", tmp_path / "second") as first_call:
            after = pasted("sh", first_call)
    assert after["alreadyOpen"] is True
    assert after["match"]["id"] == before["match"]["id"]


@contextmanager
def running(data_dir: Path, output: Path) -> Iterator[str]:
    """What `make run` starts, in a data directory of its own, until the block ends: the line that it prints."""
    command = [*made_by_make("run"), "--data-dir", str(data_dir)]
    with output.open("wb") as file:
        process = subprocess.Popen(command, cwd=ROOT, stdout=file, stderr=subprocess.STDOUT)
    try:
        eventually(
            lambda: process.poll() is not None or "Ctrl-C" in output.read_text(),
            timeout=START_SECONDS,
            what="the server prints a call",
        )
        assert process.poll() is None, output.read_text()
        yield next(line for line in output.read_text().splitlines() if " curl --schema" in line).strip()
        process.send_signal(signal.SIGTERM)
        assert process.wait(END_SECONDS) == 0, output.read_text()
        assert not (data_dir / "connection.json").exists()
    finally:
        process.kill()
        process.wait()


def made_by_make(target: str) -> list[str]:
    """The command that a target of the Makefile runs, its environment being there."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    command = ["make", "--no-print-directory", "-n", "-o", ".venv/.installed-run", target]
    made = subprocess.run(command, cwd=ROOT, env=inherited, capture_output=True, text=True, check=True)
    return shlex.split(made.stdout.splitlines()[-1])


def pasted(shell: str, line: str) -> Any:
    """The answer to the line in a shell; it has to succeed."""
    done = subprocess.run(
        [shell, "-c", line], cwd=ROOT, capture_output=True, text=True, timeout=CALL_SECONDS, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)
