"""The wait between the attempts at a workspace."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matching_server.domain.provisioning import backoff

bases = st.timedeltas(timedelta(milliseconds=1), timedelta(minutes=10))
fractions = st.floats(0, 1)


@pytest.mark.parametrize(("attempt", "bound"), [(1, 2), (2, 4), (3, 8), (10, 1024)])
def test_the_bound_doubles_with_every_attempt(attempt: int, bound: int) -> None:
    assert backoff(attempt, timedelta(seconds=2), 1.0) == timedelta(seconds=bound)


@given(st.integers(1, 20), bases, fractions)
def test_the_wait_is_the_drawn_part_of_the_bound(attempt: int, base: timedelta, fraction: float) -> None:
    bound = backoff(attempt, base, 1.0)
    assert timedelta(0) <= backoff(attempt, base, fraction) <= bound
    assert backoff(attempt, base, fraction) == bound * fraction


@given(st.integers(1, 20), bases)
def test_no_luck_means_no_wait(attempt: int, base: timedelta) -> None:
    assert backoff(attempt, base, 0.0) == timedelta(0)
