"""How often a race is run, and what its random choices begin with."""

from __future__ import annotations

import os
import random

SCALE = float(os.environ.get("MATCHING_TEST_ROUNDS_SCALE", "1"))
"""1 in ``make test``, ``FULL_SCALE`` in ``make robustness``; more for a long night, less for a quick look."""
FULL_SCALE = 5.0
"""Where every test does its full count."""


def rounds(count: int, full: int | None = None) -> int:
    """How many rounds the environment asks for, at least one.

    ``count`` at scale 1 and ``full`` at ``FULL_SCALE``, in proportion between, below and beyond them; without
    ``full``, ``count`` times the scale.
    """
    if full is None or SCALE <= 1:
        wanted = count * SCALE
    elif SCALE < FULL_SCALE:
        wanted = count + (full - count) * (SCALE - 1) / (FULL_SCALE - 1)
    else:
        wanted = full * SCALE / FULL_SCALE
    return max(1, round(wanted))


def new_seed() -> int:
    """The number in ``MATCHING_TEST_SEED``, for the choices of an earlier run once more; else a new one."""
    return int(os.environ.get("MATCHING_TEST_SEED") or random.getrandbits(32))
