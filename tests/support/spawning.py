"""Processes of ``matching-server``, without the second and a half that importing would take each of them.

A process that has imported what servers import, and done nothing else, forks one for each start. From there on it is a
process of its own, that runs the command as it would from a shell.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from matching_server import cli

_COMMAND_SECONDS = 60.0
_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(
    [
        "matching_server.cli",
        "matching_server.app",
        "matching_server.worker",
        "matching_server.commands.running",
        __name__,
    ]
)


class CommandProcess:
    """``matching-server`` with these arguments; it begins at once.

    Args:
        command: the arguments.
        log: the file that what it writes is added to.
        environment: the whole of it.
    """

    def __init__(self, command: Sequence[str], *, log: Path, environment: Mapping[str, str]) -> None:
        self._process = _FORKS.Process(
            target=_run, args=(list(command), log, log, dict(environment)), daemon=True
        )
        self._process.start()

    @property
    def pid(self) -> int:
        """Its id."""
        assert self._process.pid is not None
        return self._process.pid

    def poll(self) -> int | None:
        """The exit status, ``None`` while it runs; negative where a signal ended it."""
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """Waits for the end, and returns the exit status.

        Raises:
            subprocess.TimeoutExpired: it still runs.
        """
        self._process.join(timeout)
        status = self.poll()
        if status is None:
            raise subprocess.TimeoutExpired("matching-server", timeout or 0.0)
        return status

    def send_signal(self, number: signal.Signals) -> None:
        """Sends a signal to it, if it still runs."""
        if self.poll() is None:
            os.kill(self.pid, number)


class FreshProcess(subprocess.Popen[bytes]):
    """The same by a new interpreter, as from a shell."""

    def __init__(self, command: Sequence[str], *, log: Path, environment: Mapping[str, str]) -> None:
        with log.open("ab") as written:
            super().__init__(
                [sys.executable, "-m", "matching_server.cli", *command],
                stdin=subprocess.DEVNULL,
                stdout=written,
                stderr=subprocess.STDOUT,
                env=dict(environment),
            )


def run_command(*command: str, url: str | None = None, **settings: str) -> subprocess.CompletedProcess[str]:
    """The command with these settings and no others, to its end; ``url`` is MATCHING_DATABASE_URL."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MATCHING_")}
    if url is not None:
        environment["MATCHING_DATABASE_URL"] = url
    environment |= {f"MATCHING_{name.upper()}": value for name, value in settings.items()}
    with TemporaryDirectory() as directory:
        out, err = Path(directory, "out"), Path(directory, "err")
        process = _FORKS.Process(target=_run, args=(list(command), out, err, environment), daemon=True)
        process.start()
        process.join(_COMMAND_SECONDS)
        if process.exitcode is None:
            process.kill()
            raise subprocess.TimeoutExpired(command, _COMMAND_SECONDS, out.read_bytes(), err.read_bytes())
        return subprocess.CompletedProcess(command, process.exitcode, out.read_text(), err.read_text())


def _run(command: list[str], out: Path, err: Path, environment: dict[str, str]) -> None:
    os.environ.clear()
    os.environ.update(environment)
    with out.open("ab") as written, err.open("ab") as complained, Path(os.devnull).open("rb") as nothing:
        os.dup2(nothing.fileno(), 0)
        os.dup2(written.fileno(), 1)
        os.dup2(complained.fileno(), 2)
    # The first is the parent's and says what it was started with.
    sys.argv = ["matching-server", *command]
    cli.main()
