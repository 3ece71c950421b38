"""What the tests of the use cases share."""

from __future__ import annotations

import pytest
from sqlalchemy import Connection

from matching_server.storage.database import Database
from tests.integration.world import World


@pytest.fixture
def world(database: Database, conn: Connection) -> World:
    """Nobody and nothing yet, under the default settings."""
    return World(database, conn)
