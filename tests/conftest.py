"""The foundations of all tests: one Postgres and one Redis a run, and a database of its own for every test.

Whatever a test did to its database, the invariants must hold at its end, once everything that it started
has stopped. A test that plants violations says so: ``@pytest.mark.plants_violations`` for any, or with the
names of those that it plants.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
import redis
from sqlalchemy import Connection

from matching_server.embedded import EmbeddedServices, programs
from matching_server.storage.database import Database
from matching_server.storage.invariants import INVARIANTS, audit
from matching_server.storage.migrate import migrate
from tests.support.databases import (
    POSTGRES_SETTINGS,
    TestDatabases,
    connected,
    data_directory,
    wait_until_alone,
)
from tests.support.processes import Servers

_HERE = Path(__file__).parent
_ORDER = ("robustness", "acceptance", "contract", "integration", "unit")
_SERVERS = pytest.StashKey[Servers]()


def pytest_configure(config: pytest.Config) -> None:
    # What runs in the background of a shell ignores Ctrl-C, and so would the programs that tests interrupt.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    config.addinivalue_line(
        "markers", "plants_violations(*names): its database is not audited at the end, or not for these names"
    )
    if os.environ.get("MATCHING_TEST_POSTGRES") == "16":
        vars(programs)["_POSTGRES"] = "pginstall"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes the longest comes first, so that no process has it to do when the other is done."""
    items.sort(key=lambda item: _ORDER.index(item.path.relative_to(_HERE).parts[0]))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Shows what the test's servers wrote when it fails."""
    report = yield
    servers = item.stash.get(_SERVERS, None)
    if report.failed and servers is not None:
        report.sections += [(f"log of {server.name}", server.log()) for server in servers.all]
    return report


@pytest.fixture(scope="session")
def services() -> Iterator[EmbeddedServices]:
    """Postgres and Redis, shared by all tests of the run: nobody may stop them."""
    with (
        data_directory() as directory,
        EmbeddedServices(directory, postgres_settings=POSTGRES_SETTINGS) as running,
    ):
        yield running


@pytest.fixture(scope="session")
def databases(services: EmbeddedServices) -> TestDatabases:
    """Makes databases on the shared Postgres."""
    return TestDatabases(services.database_url)


@pytest.fixture
def database_url(request: pytest.FixtureRequest, databases: TestDatabases) -> Iterator[str]:
    """A migrated database without rows, the test's own; audited at the end."""
    with databases.migrated() as url:
        yield url
        _assert_sound(request, url)


@pytest.fixture
def empty_database_url(databases: TestDatabases) -> Iterator[str]:
    """A database without anything, the test's own."""
    with databases.empty() as url:
        yield url


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """The test's database as the service uses it, with 16 connections."""
    opened = Database(database_url, pool_size=16, application_name="tests")
    yield opened
    opened.close()


@pytest.fixture
def conn(database_url: str) -> Iterator[Connection]:
    """A connection to the test's database for its own SQL; each statement is a transaction."""
    with connected(database_url) as connection:
        yield connection


@pytest.fixture
def redis_url(services: EmbeddedServices) -> str:
    """The shared Redis, emptied."""
    with redis.Redis.from_url(services.redis_url) as client:
        client.flushall()
    return services.redis_url


@pytest.fixture
def servers(
    request: pytest.FixtureRequest, tmp_path: Path, database_url: str, redis_url: str
) -> Iterator[Servers]:
    """Starts servers on the test's database and the shared Redis; they are ended before the audit."""
    yield from _servers(request, tmp_path, database_url, redis_url)


@pytest.fixture
def own_services(request: pytest.FixtureRequest) -> Iterator[EmbeddedServices]:
    """Postgres, migrated, and Redis for this test alone: they may be killed. Audited at the end."""
    with (
        data_directory() as directory,
        EmbeddedServices(directory, postgres_settings=POSTGRES_SETTINGS) as running,
    ):
        migrate(running.database_url)
        yield running
        _assert_sound(request, running.database_url)


@pytest.fixture
def servers_on_own_services(
    request: pytest.FixtureRequest, tmp_path: Path, own_services: EmbeddedServices
) -> Iterator[Servers]:
    """Starts servers on the test's own Postgres and Redis."""
    yield from _servers(request, tmp_path, own_services.database_url, own_services.redis_url)


def _servers(
    request: pytest.FixtureRequest, directory: Path, database_url: str, redis_url: str
) -> Iterator[Servers]:
    servers = Servers(directory, database_url, redis_url)
    request.node.stash[_SERVERS] = servers
    yield servers
    servers.end_all()


def _assert_sound(request: pytest.FixtureRequest, url: str) -> None:
    marker = request.node.get_closest_marker("plants_violations")
    if marker is not None and not marker.args:
        return
    planted = set(marker.args) if marker is not None else set()
    with connected(url) as connection:
        wait_until_alone(connection)
        violations = audit(connection, names={invariant.name for invariant in INVARIANTS} - planted)
    if violations:
        pytest.fail("\n".join(str(violation) for violation in violations), pytrace=False)
