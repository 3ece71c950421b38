from __future__ import annotations

from collections.abc import Iterator

import pytest

from matching_client import MatchingClient
from tests.support.on_loop import Connect
from tests.unit.client.scripted import KEY_ID, SECRET, USER, ScriptedServer


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    """A server on loopback that answers from a script."""
    running = ScriptedServer()
    yield running
    running.stop()


@pytest.fixture
def connect() -> Connect:
    """What makes a client. Modules that hold for the asynchronous one as well have their own."""
    return MatchingClient


@pytest.fixture
def client(server: ScriptedServer, connect: Connect) -> Iterator[MatchingClient]:
    """A client of the scripted server, calling as a client of a project."""
    with connect(
        server.address, key_id=KEY_ID, secret=SECRET, user_id=USER, email="ada@example.com", roles=["client"]
    ) as calling:
        yield calling
