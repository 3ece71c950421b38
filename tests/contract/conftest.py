"""The service, real and fake: what the tests here promise, both keep."""

from __future__ import annotations

from collections.abc import Generator, Iterator

import pytest

from matching_client.testing import FakeMatching
from matching_server.embedded import EmbeddedServices
from tests.support.databases import TestDatabases
from tests.support.parties import FakeService, RealService, Service
from tests.support.world import World
from tests.support.worlds import emptied, shared_world, with_logs


@pytest.fixture(scope="module")
def shared(
    databases: TestDatabases, services: EmbeddedServices, tmp_path_factory: pytest.TempPathFactory
) -> Generator[World]:
    """One real server, which gives up on a workspace at once."""
    yield from shared_world(
        databases,
        services,
        tmp_path_factory.mktemp("server"),
        servers=[()],
        settings={"sweep_seconds": 3600, "provision_backoff_seconds": 0.01},
    )


@pytest.fixture(params=["fake", "real"])
def service(request: pytest.FixtureRequest) -> Iterator[Service]:
    """A service in which nothing has happened yet."""
    if request.param == "fake":
        with FakeMatching(provisioning="manual") as fake:
            yield FakeService(fake)
        return
    shared: World = request.getfixturevalue("shared")
    for world in emptied(shared, request.getfixturevalue("services")):
        yield RealService(world)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    return with_logs(item, report)
