"""How Alembic runs the migrations: on the connection and in the transaction of ``storage.migrate``."""

from __future__ import annotations

from alembic import context
from alembic.runtime.migration import MigrationContext, MigrationInfo
from alembic.script import Script
from sqlalchemy import Connection, text

from matching_server.storage.migrate import VERSION_TABLE
from matching_server.storage.tables import metadata

_REMEMBER = text("UPDATE schema_compatibility SET works_from = :works_from")


def run(connection: Connection) -> None:
    """Runs what Alembic was asked for. The caller begins and commits."""
    context.configure(
        connection=connection,
        target_metadata=metadata,
        version_table=VERSION_TABLE,
        on_version_apply=remember,
    )
    context.run_migrations()


def remember(ctx: MigrationContext, step: MigrationInfo, heads: object, run_args: object) -> None:
    """Keeps, of a migration of the kind contract, from which release on servers work with what it has left."""
    assert isinstance(step.up_revision, Script)
    assert ctx.connection is not None
    works_from = getattr(step.up_revision.module, "works_from", None)
    if works_from is not None:
        ctx.connection.execute(_REMEMBER, {"works_from": works_from})


run(context.config.attributes["connection"])
