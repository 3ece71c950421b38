"""Two servers that the tests of a module share; each test begins with an empty world."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping

import pytest
from sqlalchemy import Connection

from matching_server.embedded import EmbeddedServices
from tests.support.databases import TestDatabases
from tests.support.processes import Servers
from tests.support.world import World
from tests.support.worlds import emptied, own_world, shared_world, with_logs


@pytest.fixture(scope="module")
def server_arguments() -> list[tuple[str, ...]]:
    """How each server of the module is started."""
    return [(), ()]


@pytest.fixture(scope="module")
def server_settings() -> Mapping[str, object]:
    """Servers that never sweep: what expires is found by whoever meets it."""
    return {"sweep_seconds": 3600}


@pytest.fixture(scope="module")
def shared(
    databases: TestDatabases,
    services: EmbeddedServices,
    tmp_path_factory: pytest.TempPathFactory,
    server_arguments: list[tuple[str, ...]],
    server_settings: Mapping[str, object],
) -> Generator[World]:
    """The servers of the module."""
    yield from shared_world(
        databases,
        services,
        tmp_path_factory.mktemp("servers"),
        servers=server_arguments,
        settings=server_settings,
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
