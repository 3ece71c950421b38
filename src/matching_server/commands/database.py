"""The database of the settings: reached, and of the newest schema."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import ArgumentError, OperationalError

from matching_server.commands import CannotRun
from matching_server.domain.errors import StorageUnavailable
from matching_server.storage import migrate as migrations
from matching_server.storage.database import Database


@contextmanager
def database_errors() -> Iterator[None]:
    """Errors of the connection as what the user has to put right."""
    try:
        yield
    except ArgumentError:
        raise CannotRun("MATCHING_DATABASE_URL is not a database URL") from None
    except OperationalError as error:
        reason = str(error.orig).strip().partition("\n")[0]
        raise CannotRun(f"the database of MATCHING_DATABASE_URL cannot be used: {reason}") from None
    except StorageUnavailable:
        raise CannotRun("the database of MATCHING_DATABASE_URL does not answer") from None


@contextmanager
def opened(url: str, application_name: str) -> Iterator[Database]:
    """The database with one connection, while the block runs."""
    with database_errors():
        database = Database(url, pool_size=1, application_name=application_name)
        try:
            yield database
        finally:
            database.close()


def require_current_schema(url: str) -> None:
    """Raises CannotRun where the schema is not this release's."""
    with database_errors():
        current = migrations.is_current(url)
    if not current:
        raise CannotRun("the database's schema is not current: run 'matching-server migrate'")


def migrate(url: str) -> str | None:
    """Brings the schema to the newest revision, and returns that."""
    with database_errors():
        migrations.migrate(url)
        return migrations.current_revision(url)
