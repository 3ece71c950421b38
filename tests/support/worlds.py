"""Worlds as fixtures: one for the tests of a module, each of which begins with it emptied, or a test's own."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis
from sqlalchemy import Connection

from matching_server.embedded import EmbeddedServices
from tests.support.databases import TestDatabases, connected, wait_until_alone
from tests.support.processes import Servers
from tests.support.world import World, environment


def shared_world(
    databases: TestDatabases,
    services: EmbeddedServices,
    directory: Path,
    *,
    servers: Sequence[tuple[str, ...]],
    settings: Mapping[str, object],
) -> Generator[World]:
    """A world for many tests, each of which begins with it emptied; a server for each tuple of arguments."""
    with databases.migrated() as url, connected(url) as conn:
        world = World(conn, Servers(directory, url, services.redis_url))
        for arguments in servers:
            world.servers.start(*arguments, environment=environment(settings), wait=False)
        try:
            for server in world.servers.all:
                server.wait_until_ready()
            yield world
        finally:
            world.close()
        wait_until_alone(conn)
        world.assert_sound()


def emptied(world: World, services: EmbeddedServices) -> Iterator[World]:
    """The world as if nothing had happened yet; what the test leaves is audited."""
    world.empty()
    with redis.Redis.from_url(services.redis_url) as client:
        client.flushall()
    yield world
    world.assert_sound()


@contextmanager
def own_world(conn: Connection, servers: Servers) -> Iterator[World]:
    """A world for one test, whose servers are ended when the block is."""
    world = World(conn, servers)
    try:
        yield world
    finally:
        world.close()


def with_logs(item: pytest.Item, report: pytest.TestReport) -> pytest.TestReport:
    """The report of a failed test, with what the shared servers wrote last."""
    world = getattr(item, "funcargs", {}).get("shared")
    if report.failed and isinstance(world, World):
        report.sections += [(f"log of {server.name}", server.log(last=40)) for server in world.servers.all]
    return report
