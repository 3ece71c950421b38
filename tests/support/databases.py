"""A database of its own for every test, cloned from one that was migrated once."""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory

from sqlalchemy import URL, Connection, Engine, NullPool, create_engine, make_url, text

from matching_server.storage.migrate import migrate
from tests.support.wait import eventually

POSTGRES_SETTINGS = {
    # The machine keeps its power during a test. Commits still reach the kernel, so that Postgres may be killed.
    "fsync": "off",
    "full_page_writes": "off",
    "max_connections": "400",
    "max_wal_size": "256MB",
    "log_min_messages": "fatal",
    # For tests that judge in which order things happened.
    "track_commit_timestamp": "on",
}
_MEMORY = Path("/dev/shm")
_ROOM = 2 << 30
_GONE_SECONDS = 15.0
"""A killed server's sessions end once they notice: at the latest, after the longest wait for a lock."""


@contextmanager
def data_directory() -> Iterator[Path]:
    """A directory for the servers' data, in memory where there is room: a clone takes a tenth there."""
    in_memory = os.access(_MEMORY, os.W_OK) and shutil.disk_usage(_MEMORY).free > _ROOM
    # Whatever is left when a test has killed a server does not matter any more.
    with TemporaryDirectory(
        prefix="matching-tests-", dir=_MEMORY if in_memory else None, ignore_cleanup_errors=True
    ) as path:
        yield Path(path)


class TestDatabases:
    """Makes and drops databases on one server. ``url`` may name any database of it."""

    __test__ = False

    def __init__(self, url: str) -> None:
        self._url: URL = make_url(url)
        self._numbers = itertools.count(1)

    @contextmanager
    def empty(self) -> Iterator[str]:
        """A database with nothing in it, for as long as the block runs."""
        with self._created(template=None) as url:
            yield url

    @contextmanager
    def migrated(self) -> Iterator[str]:
        """A database with the newest schema and no rows, for as long as the block runs."""
        with self._created(template=self._template) as url:
            with connected(url) as connection:
                # Copied with the template, and what must differ from log to log.
                connection.execute(text("UPDATE event_log_epoch SET epoch = gen_random_uuid()"))
            yield url

    @cached_property
    def _template(self) -> str:
        url = self._create("matching_template", template=None)
        migrate(url)
        return "matching_template"

    @contextmanager
    def _created(self, template: str | None) -> Iterator[str]:
        name = f"matching_test_{next(self._numbers)}"
        url = self._create(name, template)
        try:
            yield url
        finally:
            self._administer(f"DROP DATABASE {name} WITH (FORCE)")

    def _create(self, name: str, template: str | None) -> str:
        self._administer(f"CREATE DATABASE {name} TEMPLATE {template or 'template0'}")
        return self._url.set(database=name).render_as_string(hide_password=False)

    def _administer(self, statement: str) -> None:
        with connected(self._url.set(database="postgres")) as connection:
            connection.execute(text(statement))


@contextmanager
def connected(url: str | URL) -> Iterator[Connection]:
    """One connection, each statement a transaction of its own."""
    with _engine(url).execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        yield connection


@contextmanager
def transaction(url: str | URL) -> Iterator[Connection]:
    """One connection in a transaction that commits with the block: holds its locks as long as the test wants."""
    with _engine(url).begin() as connection:
        yield connection


def _engine(url: str | URL) -> Engine:
    return create_engine(make_url(url), poolclass=NullPool)


_OTHERS = text(
    "SELECT application_name FROM pg_stat_activity"
    " WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()"
)


def wait_until_alone(connection: Connection) -> None:
    """Waits for everybody else to leave: what still runs could change what is about to be judged."""

    def others() -> list[str]:
        return list(connection.execute(_OTHERS).scalars())

    eventually(
        lambda: not others(), timeout=_GONE_SECONDS, what="every connection to the test's database closed"
    )
