"""How often a race is run, and what its random choices begin with."""

from __future__ import annotations

import os
import random

SCALE = float(os.environ.get("MATCHING_TEST_ROUNDS_SCALE", "1"))
"""More than 1 for a long night, less for a quick look."""


def rounds(count: int) -> int:
    """``count`` times the scale that the environment asks for, at least once."""
    return max(1, round(count * SCALE))


def new_seed() -> int:
    """The number in ``MATCHING_TEST_SEED``, for the choices of an earlier run once more; else a new one."""
    return int(os.environ.get("MATCHING_TEST_SEED") or random.getrandbits(32))
