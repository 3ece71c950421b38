"""Servers to do faults to: a pair that the tests of a module share, or a test's own."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection

from matching_server.embedded import EmbeddedServices
from tests.support.databases import TestDatabases, connected
from tests.support.processes import Servers
from tests.support.rounds import SCALE
from tests.support.world import World
from tests.support.worlds import emptied, own_world, shared_world, with_logs

_TOLD = "told"
_HERE = Path(__file__).parent
Tell = Callable[[str], None]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if _HERE in item.path.parents:
            item.add_marker("robustness")
            if item.get_closest_marker("timeout") is None:
                item.add_marker(pytest.mark.timeout(120 * max(1, SCALE)))


@pytest.fixture
def tell(request: pytest.FixtureRequest) -> Tell:
    """Says at the end of the run what a test has done: how many rounds, say."""
    told = request.node.user_properties
    return lambda line: told.append((_TOLD, f"{request.node.name}: {line}"))


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, exitstatus: int, config: pytest.Config
) -> None:
    # What was told in another process comes with its report.
    reports = [report for group in terminalreporter.stats.values() for report in group]
    properties = [one for report in reports for one in getattr(report, "user_properties", ())]
    if told := [line for name, line in dict.fromkeys(properties) if name == _TOLD]:
        terminalreporter.section("what the robustness tests did")
        for line in told:
            terminalreporter.write_line(line)


@pytest.fixture(scope="module")
def shared(
    databases: TestDatabases, services: EmbeddedServices, tmp_path_factory: pytest.TempPathFactory
) -> Generator[World]:
    """Two servers with workers that sweep often."""
    yield from shared_world(
        databases,
        services,
        tmp_path_factory.mktemp("servers"),
        servers=[(), ()],
        settings={"sweep_seconds": 0.5, "provision_backoff_seconds": 0.05, "heartbeat_seconds": 1},
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


@pytest.fixture
def mortal(own_services: EmbeddedServices, servers_on_own_services: Servers) -> Iterator[World]:
    """The same on a Postgres and a Redis that the test may kill."""
    with (
        connected(own_services.database_url) as conn,
        own_world(conn, servers_on_own_services) as world,
    ):
        yield world


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    return with_logs(item, report)
