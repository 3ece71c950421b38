"""Waiting for what happens elsewhere, with a bound."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def eventually(
    predicate: Callable[[], T], *, timeout: float = 10.0, interval: float = 0.02, what: str = ""
) -> T:
    """Asks until the answer is true, and returns it.

    Raises:
        AssertionError: it was not within ``timeout`` seconds; the last answer is told.
    """
    deadline = time.monotonic() + timeout
    while True:
        # Read before asking: the last question is always asked after the time is up.
        late = time.monotonic() >= deadline
        answer = predicate()
        if answer:
            return answer
        if late:
            raise AssertionError(f"not within {timeout:g} s: {what or predicate!r}; last answer: {answer!r}")
        time.sleep(interval)
