"""What a process and its children take of the machine."""

from __future__ import annotations

import time
from contextlib import suppress

import psutil

_LOOK_SECONDS = 0.2
_BUSY = 0.2
"""Of a processor: what a server takes beside its streams is less."""


def memory_of(pid: int) -> float:
    """Memory of a process and its children in MB: what is theirs alone, and their share of the rest (PSS)."""
    return sum(_proportional(member) for member in _family(pid)) / 1e6


def cpu_seconds_of(pid: int) -> float:
    """CPU time that a process and its children have taken, those that have ended included."""
    total = 0.0
    for member in _family(pid):
        with suppress(psutil.NoSuchProcess):
            times = member.cpu_times()
            total += times.user + times.system + times.children_user + times.children_system
    return total


def settle(pid: int) -> None:
    """Waits until a process and its children have done what was left to do, 10 s at most."""
    deadline = time.monotonic() + 10.0
    used = cpu_seconds_of(pid)
    while time.monotonic() < deadline:
        time.sleep(_LOOK_SECONDS)
        before, used = used, cpu_seconds_of(pid)
        if used - before < _BUSY * _LOOK_SECONDS:
            return


def _family(pid: int) -> list[psutil.Process]:
    process = psutil.Process(pid)
    return [process, *process.children(recursive=True)]


def _proportional(process: psutil.Process) -> int:
    try:
        memory = process.memory_full_info()
    except psutil.NoSuchProcess:
        return 0
    return int(getattr(memory, "pss", memory.rss))
