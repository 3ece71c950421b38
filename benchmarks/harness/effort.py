"""How long to measure, and by turns."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

import psutil

from benchmarks.harness.processes import cpu_seconds_of


class Strangers:
    """How much of the machine goes to processes that have nothing to do with the benchmark."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._before = _strangers_seconds()

    def share(self) -> float:
        """Their part, 0 to 1, of all processors' time since this was made."""
        available = (time.monotonic() - self._started) * (os.cpu_count() or 1)
        return max(0.0, (_strangers_seconds() - self._before) / available)


def _strangers_seconds() -> float:
    times = psutil.cpu_times()
    busy = sum(times) - times.idle - getattr(times, "iowait", 0.0)
    return float(busy - cpu_seconds_of(os.getpid()))


@dataclass(frozen=True, slots=True)
class Effort:
    """``rounds`` in which each side takes its turn, of about so many ``seconds``.

    On a machine that is busy with other things it is fewer rounds: none begins after ``budget`` seconds, once there
    are three.
    """

    rounds: int
    seconds: float
    budget: float = 120.0

    def turns(self, what: str) -> Iterator[Strangers]:
        """A round at a time, with the strangers of that round; shows on a terminal how far it is."""
        started = time.monotonic()
        for number in range(1, self.rounds + 1):
            if number > LEAST_ROUNDS and time.monotonic() - started > self.budget:
                break
            _show(f"{what}: round {number} of {self.rounds}")
            yield Strangers()
        _show("")


LEAST_ROUNDS = 3
FULL = Effort(rounds=12, seconds=3.0)
QUICK = Effort(rounds=2, seconds=0.2)
"""To see that everything works. Its figures mean nothing."""


def _show(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)
