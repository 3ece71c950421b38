"""Hubs for tests, with a clock that runs faster where a test says so."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from matching_server.streams import keeper, senders
from tests.support.wait import eventually
from tests.unit.streams.memory import Stage, running


@pytest.fixture
def stage(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    """A running hub; nothing of it may be left once it was stopped.

    It does not look for events by itself, unless the test is ``fast``: what it hears of has to do.
    """
    if "fast" not in request.fixturenames:
        monkeypatch.setattr(keeper, "_LOOK_SECONDS", 3_600.0)
    before = set(threading.enumerate())
    with running() as stage:
        yield stage
    eventually(lambda: not set(threading.enumerate()) - before, what="the hub's threads have ended")


@pytest.fixture
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """What takes seconds takes milliseconds."""
    monkeypatch.setattr(keeper, "_TICK_SECONDS", 0.002)
    monkeypatch.setattr(keeper, "_LOOK_SECONDS", 0.02)
    monkeypatch.setattr(keeper, "_RIGHTS_SECONDS", 0.06)
    monkeypatch.setattr(senders, "_STUCK_SECONDS", 0.02)
    monkeypatch.setattr(senders, "_CUT_SECONDS", 0.2)
