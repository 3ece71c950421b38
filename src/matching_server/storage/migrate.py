"""Brings a database to the newest schema, and tells how far it is."""

from __future__ import annotations

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, NullPool, create_engine, make_url, text

VERSION_TABLE = "matching_schema_version"
"""Not Alembic's own name: the platform may keep its schema with Alembic too, in the same database."""

LOCK_KEY = 0x6D61_7463_6869_6E67
"""The advisory lock that a migration holds; any number that nobody else uses would do."""

_LOCK = text("SELECT pg_advisory_xact_lock(:key)").bindparams(key=LOCK_KEY)
# Foreign keys lock the platform's tables: behind a long transaction, all that come later would wait with us.
_BOUND = text("SET LOCAL lock_timeout = '10s'")


def migrate(url: str) -> None:
    """Brings the database at ``url`` to the newest schema, in one transaction.

    Runs of several processes wait for each other; one that finds nothing to do changes nothing.

    Raises:
        sqlalchemy.exc.OperationalError: no connection, or the platform's tables stayed locked for 10 s.
    """
    with _connection(url) as connection, connection.begin():
        connection.execute(_LOCK)
        connection.execute(_BOUND)
        command.upgrade(_config(connection), "head")


def current_revision(url: str) -> str | None:
    """The revision of the schema at ``url``, ``None`` where there is none yet."""
    with _connection(url) as connection:
        return _revision(connection)


def is_current(url: str) -> bool:
    """Whether the schema at ``url`` is the newest that this code knows."""
    with _connection(url) as connection:
        return _revision(connection) == ScriptDirectory.from_config(_config(connection)).get_current_head()


def _revision(connection: Connection) -> str | None:
    context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
    return context.get_current_revision()


def _connection(url: str) -> Connection:
    """One connection, closed with its block. No pool: a migration is done once."""
    engine = create_engine(
        make_url(url),
        poolclass=NullPool,
        connect_args={"application_name": "matching-migrate", "connect_timeout": 3},
    )
    return engine.connect()


def _config(connection: Connection) -> Config:
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", "matching_server.storage:migrations")
    return config
