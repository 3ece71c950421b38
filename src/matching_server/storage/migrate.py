"""Brings a database to the newest schema, and tells whether this release can work with the schema that is there.

A migration of the kind *expand* leaves everything that earlier releases use. One of the kind *contract* takes
something away, and names in ``works_from`` the revision from whose release on servers do without it. The newest
of these names is kept in the database (``schema_compatibility``), where a server of an earlier release finds it,
which knows nothing of the migrations that have followed: it works with all that follow, unless it does not know
that revision either.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from enum import Enum
from itertools import count

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, NullPool, create_engine, exc, make_url, text

from matching_server.storage.database import in_the_way

SCRIPTS = "matching_server.storage:migrations"

VERSION_TABLE = "matching_schema_version"
"""Not Alembic's own name: the platform may keep its schema with Alembic too, in the same database."""

LOCK_KEY = 0x6D61_7463_6869_6E67
"""The advisory lock that a migration holds; any number that nobody else uses would do."""

# Of the transaction, as is the lock: a pooler gives the next transaction another connection. Who waits for another
# migration, or rewrites a table, takes as long as that takes, whatever the role's own settings say.
_UNBOUNDED = text(
    "SELECT set_config('lock_timeout', '0', true), set_config('statement_timeout', '0', true),"
    " set_config('idle_in_transaction_session_timeout', '0', true)"
)
_LOCK = text("SELECT pg_advisory_xact_lock(:key)").bindparams(key=LOCK_KEY)
# While a migration waits for a table, all that come later wait behind it. Calls give up after 2 s; and less than 1 s
# would never send an autovacuum away.
_PATIENCE_MS = (100, 200, 400, 800, 1_500)
_BOUND = text("SELECT set_config('lock_timeout', :timeout, true)")
_PAUSE_SECONDS = 1.0
_TRY_FOR_SECONDS = 60.0
_COMPATIBILITY_IS_KEPT = text("SELECT to_regclass('schema_compatibility') IS NOT NULL")
_WORKS_FROM = text("SELECT works_from FROM schema_compatibility")
_FINISHED = text("SELECT finished FROM schema_compatibility")
_FINISH = text(
    "UPDATE schema_compatibility SET finished = :revision WHERE finished IS DISTINCT FROM :revision"
)


class Schema(Enum):
    """What a schema is to this release."""

    CURRENT = "current"
    BEHIND = "behind"
    """There is none yet, or it is an earlier release's."""
    LATER = "later"
    """A later release's, with which this one works as well."""
    BEYOND = "beyond"
    """A later release's, with which this one does not work."""


class CannotMigrate(Exception):
    """The migration would take away what running servers use; the message says what to do."""


def migrate(url: str, *, stopped: bool = False, revision: str = "head") -> Schema:
    """Brings the database at ``url`` to the newest schema, or up to ``revision``, each migration in a transaction.

    Runs of several processes take turns; one that finds nothing to do changes nothing, one that was cut off is
    continued by the next. Servers may run, those of the release that the schema is of: where a table is in use, it is
    asked for again and again for a minute, and never for longer at a time than calls wait.

    Args:
        url: of the database, ``postgresql+psycopg://…``.
        stopped: whether no server or worker runs, so that it does not matter what they would miss.
        revision: where to stop.

    Returns:
        What is there at the end: CURRENT, or what a later release has left, LATER or BEYOND, as it was; BEHIND at
        another ``revision``.

    Raises:
        CannotMigrate: servers of the release that the schema is of do not work with the newest one.
        sqlalchemy.exc.OperationalError: no connection, or a table stayed locked for a minute.
    """
    with _connection(url) as connection:
        done = False
        while not done:
            done = _patiently(connection, lambda: _step(connection, revision, stopped=stopped))
        with connection.begin():
            return _look_at(connection, _scripts())


def current_revision(url: str) -> str | None:
    """The revision of the schema at ``url``, ``None`` where there is none yet."""
    with _connection(url) as connection:
        return _revision(connection)


def look_at(url: str) -> Schema:
    """What the schema at ``url`` is to this release."""
    with _connection(url) as connection:
        return _look_at(connection, _scripts())


def _patiently(connection: Connection, step: Callable[[], bool]) -> bool:
    """What ``step`` returns, in a transaction that is repeated where others are in its way."""
    give_up_at = time.monotonic() + _TRY_FOR_SECONDS
    for attempt in count():
        patience = _PATIENCE_MS[min(attempt, len(_PATIENCE_MS) - 1)]
        try:
            with connection.begin():
                connection.execute(_UNBOUNDED)
                connection.execute(_LOCK)
                connection.execute(_BOUND, {"timeout": f"{patience}ms"})
                return step()
        except exc.DBAPIError as error:
            if not in_the_way(error) or time.monotonic() > give_up_at:
                raise
        time.sleep(random.uniform(0.1, 1) * _PAUSE_SECONDS)
    raise AssertionError("unreachable")


def _step(connection: Connection, target: str, *, stopped: bool) -> bool:
    """The next migration. Returns whether there is none."""
    scripts, current = _scripts(), _revision(connection)
    schema = _look_at(connection, scripts)
    if schema is Schema.CURRENT:
        connection.execute(_FINISH, {"revision": current})
    if schema is not Schema.BEHIND:
        return True
    pending = [*scripts.iterate_revisions(target, current or "base")]
    if not pending:
        return True
    if not stopped:
        _check_that_servers_stay_able(_finished(connection), target, scripts)
    command.upgrade(_config(connection), pending[-1].revision)
    return False


def _finished(connection: Connection) -> str | None:
    """Where the last release had brought the schema that has migrated to its end: its servers may be running."""
    if not connection.execute(_COMPATIBILITY_IS_KEPT).scalar_one():
        return None
    finished: str | None = connection.execute(_FINISHED).scalar_one()
    return finished


def _check_that_servers_stay_able(revision: str | None, target: str, scripts: ScriptDirectory) -> None:
    """Servers of the release that has brought the schema to ``revision`` know it and all before it."""
    if revision is None:
        return
    known = {script.revision for script in scripts.iterate_revisions(revision, "base")}
    for script in scripts.iterate_revisions(target, revision):
        if script.module.works_from not in {None, *known}:
            raise CannotMigrate(
                f"revision {script.revision} of the schema works with servers from revision"
                f" {script.module.works_from} on, and those of revision {revision} may be running: upgrade to the"
                " releases between first, or stop all servers and workers and say --stopped"
            )


def _look_at(connection: Connection, scripts: ScriptDirectory) -> Schema:
    revision = _revision(connection)
    if revision == scripts.get_current_head():
        return Schema.CURRENT
    known = {script.revision for script in scripts.walk_revisions()}
    if revision is None or revision in known:
        return Schema.BEHIND
    if not connection.execute(_COMPATIBILITY_IS_KEPT).scalar_one():
        return Schema.BEYOND
    return Schema.LATER if connection.execute(_WORKS_FROM).scalar_one() in known else Schema.BEYOND


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


def _scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(_config())


def _config(connection: Connection | None = None) -> Config:
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", SCRIPTS)
    return config
