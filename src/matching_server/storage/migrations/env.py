"""How Alembic runs the migrations: on the connection and in the transaction of ``storage.migrate``."""

from __future__ import annotations

from alembic import context
from sqlalchemy import Connection

from matching_server.storage.migrate import VERSION_TABLE
from matching_server.storage.tables import metadata


def run(connection: Connection) -> None:
    """Runs what Alembic was asked for. The caller begins and commits."""
    context.configure(connection=connection, target_metadata=metadata, version_table=VERSION_TABLE)
    context.run_migrations()


run(context.config.attributes["connection"])
