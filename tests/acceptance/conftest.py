"""Two servers that the tests of a module share; each test begins with an empty world."""

from __future__ import annotations

from collections.abc import Generator, Iterator

import pytest
from sqlalchemy import Connection

from matching_server.embedded import EmbeddedServices
from tests.support.databases import TestDatabases
from tests.support.processes import Servers
from tests.support.world import World, emptied, own_world, shared_world, with_logs


@pytest.fixture(scope="module")
def shared(
    databases: TestDatabases, services: EmbeddedServices, tmp_path_factory: pytest.TempPathFactory
) -> Generator[World]:
    """Two servers with workers that never sweep: what expires is found by whoever meets it."""
    yield from shared_world(
        databases,
        services,
        tmp_path_factory.mktemp("servers"),
        servers=[(), ()],
        settings={"sweep_seconds": 3600, "provision_backoff_seconds": 0.05, "heartbeat_seconds": 1},
    )


@pytest.fixture
def world(shared: World, services: EmbeddedServices) -> Iterator[World]:
    """The module's servers, nothing having happened yet."""
    yield from emptied(shared, services)


@pytest.fixture
def own(conn: Connection, servers: Servers) -> Iterator[World]:
    """A world whose servers the test starts itself."""
    with own_world(conn, servers) as world:
        yield world


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    return with_logs(item, report)
