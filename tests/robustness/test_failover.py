"""The database moves to another machine under load, and the service with it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from matching_server.storage.invariants import audit
from tests.support.databases import connected, data_directory, wait_until_alone
from tests.support.load import Load
from tests.support.processes import Servers
from tests.support.replicas import Pair, replicated
from tests.support.rounds import rounds
from tests.support.wait import eventually
from tests.support.world import World
from tests.support.worlds import own_world

Tell = Callable[[str], None]


@pytest.fixture
def pair() -> Iterator[Pair]:
    """A primary and its synchronous standby, the test's own."""
    with data_directory() as directory, replicated(directory) as pair:
        yield pair


@pytest.fixture
def world(pair: Pair, tmp_path: Path, redis_url: str) -> Iterator[World]:
    """A world on whichever of the pair takes writes; audited there."""
    with connected(pair.url) as conn, own_world(conn, Servers(tmp_path, pair.url, redis_url)) as world:
        yield world
    with connected(pair.url) as conn:
        wait_until_alone(conn)
        assert audit(conn) == []


def test_a_primary_that_dies_under_load_is_followed_by_its_standby_and_nothing_acknowledged_is_lost(
    world: World, pair: Pair, tell: Tell
) -> None:
    world.start_together(2, provision_lease_seconds=1, sweep_seconds=0.2, provision_backoff_seconds=0.05)
    with Load(world, servers=2) as load:
        load.wait_for_progress(rounds(100, full=2_000))
        with pair.standby.behind():
            waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
            eventually(lambda: world.value(waiting) > 1, what="commits wait for the standby")
            refused = len(load.refusals)
            pair.primary.kill()
        eventually(lambda: len(load.refusals) > refused, timeout=15, what="calls are refused")
        began = time.monotonic()
        pair.standby.promote()
        load.wait_for_progress(1)
        back = time.monotonic() - began
        load.wait_for_progress(100)
    world.reconnect()
    load.assert_kept()
    assert load.codes == {"UNAVAILABLE DATABASE_ERROR"}
    assert back < 5
    eventually(load.all_provisioned, timeout=20, what="every finalized match has its workspace")
    tell(f"back after {back:.1f} s, {load.count} calls, {len(load.refusals)} refused")
