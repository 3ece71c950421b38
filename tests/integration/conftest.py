"""What the tests of the use cases share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Connection

from matching_server.operations.picture import Picture
from matching_server.storage.database import Database
from tests.integration.world import World


@pytest.fixture
def picture(database_url: str) -> Iterator[Picture]:
    """Looks before every ranking, since tests change the pool behind the service's back; on connections of its own."""
    opened = Database(database_url, pool_size=2, application_name="tests-picture")
    yield Picture(opened, max_age=0)
    opened.close()


@pytest.fixture
def world(database: Database, conn: Connection, picture: Picture) -> World:
    """Nobody and nothing yet, under the default settings."""
    return World(database, conn, picture)
