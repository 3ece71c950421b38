"""Processes that a row starts: their output in a file, their end with the row's, whatever ends it."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TypeVar

from benchmarks.harness.results import BenchmarkError
from matching_server.embedded.account import launched

T = TypeVar("T")
HOST = "127.0.0.1"
# Ample: where much else goes on, to start and to read a large pool takes its time.
_READY_SECONDS = 180.0
_END_SECONDS = 30.0
# Below the range of outgoing ports, and apart from what the embedded servers and the tests take.
_PORTS = range(10_000, 12_000)
_FOREIGN = ("MATCHING_", "ADVISOR_", "PG")


class Program:
    """One running process. ``end`` it; where this process is killed instead, the kernel does (Linux)."""

    def __init__(
        self, name: str, command: Sequence[str], *, directory: Path, environment: Mapping[str, str]
    ) -> None:
        self.name = name
        self.log_file = directory / f"{name}.log"
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                launched(command, home=directory, death_signal=signal.SIGTERM),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=surroundings(environment),
            )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def wait_for(self, ready: Callable[[], T | None]) -> T:
        """Waits until ``ready`` has an answer, and returns it.

        Raises:
            BenchmarkError: the process ended, or was not ready within three minutes.
        """
        deadline = time.monotonic() + _READY_SECONDS
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise BenchmarkError(f"{self.name} ended:\n{self.log_tail()}")
            answer = ready()
            if answer is not None:
                return answer
            time.sleep(0.02)
        raise BenchmarkError(f"{self.name} was not ready within {_READY_SECONDS:.0f} s:\n{self.log_tail()}")

    def says(self, word: str) -> bool | None:
        """True once it has written that, for ``wait_for``."""
        return word in self.log_file.read_text(errors="replace") or None

    def end(self) -> None:
        """Asks it to end, and sees to it. Repeatable."""
        self._process.terminate()
        try:
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def log_tail(self, lines: int = 20) -> str:
        """What it wrote last."""
        return "\n".join(self.log_file.read_text(errors="replace").splitlines()[-lines:])


def surroundings(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables of a process: these, and the user's without what would set the service up otherwise."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(_FOREIGN)}
    return inherited | dict(environment)


def free_port() -> int:
    """A port on which nobody listens at the moment."""
    for port in random.sample(_PORTS, 50):
        with closing(socket.socket()) as probe:
            if probe.connect_ex((HOST, port)) != 0:
                return port
    raise BenchmarkError("no free port")


def listens(port: int) -> bool | None:
    """True once somebody takes connections there, for ``Program.wait_for``."""
    with closing(socket.socket()) as probe:
        return True if probe.connect_ex((HOST, port)) == 0 else None
