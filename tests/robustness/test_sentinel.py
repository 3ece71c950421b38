"""The Redis that Sentinels hold to be the master dies, and another takes its place."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection

from tests.support.processes import Servers
from tests.support.receipts import Receipts, delays_of_more
from tests.support.sentinels import Sentinels, sentinels
from tests.support.wait import eventually
from tests.support.world import World
from tests.support.worlds import own_world

Tell = Callable[[str], None]
LOOKS_EVERY, SLACK = 2.0, 1.0
"""Seconds: how long an event may stay unseen where no hint of it arrives, and what a busy machine adds."""
PROMPT = 0.25
"""Seconds: four events in a row within this were not found by looking."""


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Sentinels]:
    with sentinels(tmp_path) as running:
        yield running


@pytest.fixture
def world(conn: Connection, tmp_path: Path, database_url: str, watched: Sentinels) -> Iterator[World]:
    """Servers that know no address of a Redis, those of the Sentinels alone."""
    directory = tmp_path / "servers"
    directory.mkdir()
    servers = Servers(directory, database_url, watched.url)
    with own_world(conn, servers) as world:
        yield world
    servers.end_all()


def test_events_go_on_and_become_prompt_again_when_sentinels_replace_a_master(
    world: World, watched: Sentinels, tell: Tell
) -> None:
    world.start_together(2, "--no-workers")
    world.new_advisor()
    project = world.new_project()
    with Receipts(world.client(project), project) as receipts:
        eventually(
            lambda: max(delays_of_more(world, project, receipts)) < PROMPT, timeout=20, what="hints arrive"
        )
        watched.kill_master()
        meanwhile = delays_of_more(world, project, receipts)
        eventually(lambda: watched.master() == watched.replica, timeout=20, what="there is another master")
        eventually(
            lambda: max(delays_of_more(world, project, receipts)) < PROMPT, timeout=20, what="hints arrive"
        )
        events = [event for event, _ in receipts.received]
    assert max(meanwhile) < LOOKS_EVERY + SLACK
    assert [event.seq for event in events] == list(range(1, len(world.event_types(project)) + 1))
    tell(f"after {max(meanwhile):.1f} s without a master")
