"""The database of the settings: reached, and of the newest schema."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import ArgumentError, OperationalError

from matching_server.commands import CannotRun
from matching_server.domain.errors import StorageUnavailable
from matching_server.storage import migrate as migrations
from matching_server.storage import sessions
from matching_server.storage.database import Database
from matching_server.storage.migrate import CannotMigrate, Schema

_BEYOND = "the database's schema is of a later release, with which this one does not work: run that release"


@contextmanager
def database_errors(variable: str = "MATCHING_DATABASE_URL") -> Iterator[None]:
    """Errors of the connection as what the user has to put right. ``variable`` has the URL."""
    try:
        yield
    except ArgumentError:
        raise CannotRun(f"{variable} is not a database URL") from None
    except OperationalError as error:
        reason = str(error.orig).strip().partition("\n")[0]
        raise CannotRun(f"the database of {variable} cannot be used: {reason}") from None
    except StorageUnavailable:
        raise CannotRun(f"the database of {variable} does not answer") from None


@contextmanager
def opened(url: str, application_name: str) -> Iterator[Database]:
    """The database with one connection, while the block runs."""
    with database_errors():
        database = Database(url, pool_size=1, application_name=application_name)
        try:
            yield database
        finally:
            database.close()


def require_usable_schema(url: str) -> None:
    """Raises CannotRun where this release cannot work with the schema."""
    with database_errors():
        schema = migrations.look_at(url)
    if schema is Schema.BEHIND:
        raise CannotRun("the database's schema is not current: run 'matching-server migrate'")
    if schema is Schema.BEYOND:
        raise CannotRun(_BEYOND)


def require_usable_sessions(url: str) -> None:
    """Raises CannotRun where a pooler gives the service sessions that it cannot work with."""
    with database_errors():
        fault = sessions.fault(url)
    if fault is not None:
        raise CannotRun(f"the pooler of MATCHING_DATABASE_URL {fault} (docs/production.md, PgBouncer)")


def migrate(url: str, *, stopped: bool = False, variable: str = "MATCHING_DATABASE_URL") -> str | None:
    """Brings the schema to the newest revision, and returns that, or a later release's where it has one."""
    with database_errors(variable):
        try:
            schema = migrations.migrate(url, stopped=stopped)
        except CannotMigrate as error:
            raise CannotRun(str(error)) from None
        if schema is Schema.BEYOND:
            raise CannotRun(_BEYOND)
        return migrations.current_revision(url)
