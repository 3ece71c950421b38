"""How often a race is run."""

from __future__ import annotations

import os

SCALE = float(os.environ.get("MATCHING_TEST_ROUNDS_SCALE", "1"))
"""More than 1 for a long night, less for a quick look."""


def rounds(count: int) -> int:
    """``count`` times the scale that the environment asks for, at least once."""
    return max(1, round(count * SCALE))
