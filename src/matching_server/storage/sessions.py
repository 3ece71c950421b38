"""Whether a pooler between the service and Postgres gives it sessions that it can work with.

The service needs no state of a session but two things, which a pooler in transaction mode has to see to: the bounds of
``storage.database``, since it drops the options that connections are made with; and prepared statements, which have to
be there on whichever connection the next transaction gets.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import psycopg
from sqlalchemy import NullPool, create_engine, make_url

from matching_server.storage.database import BOUNDS, connect_arguments

_LACKING = """
    SELECT name FROM unnest(%(names)s::text[], %(most)s::text[]) AS bound (name, most)
    WHERE CASE name WHEN 'timezone' THEN current_setting(name) <> most
        ELSE current_setting(name)::interval NOT BETWEEN interval '1 ms' AND most::interval END
"""
_PREPARED_AS = "SELECT name FROM pg_prepared_statements"
_BACKEND = "SELECT pg_backend_pid()"


def fault(url: str) -> str | None:
    """What the pooler at ``url`` does wrong, in words that follow its name; ``None`` where all is well.

    Raises:
        sqlalchemy.exc.OperationalError: no connection.
    """
    with ExitStack() as connections:
        conn = connections.enter_context(_connected(url))
        lacking = [name for (name,) in _ask(conn, _LACKING, names=list(BOUNDS), most=list(BOUNDS.values()))]
        if lacking:
            wanted = ", ".join(f"{name}={BOUNDS[name]}" for name in lacking)
            return f"drops the settings of connections, and does not set itself: {wanted}"
        if conn.info.backend_pid == _backend(conn):
            return None
        if not _keeps_names(conn) or not _changes_backends(conn, connections, url):
            return None
    return "keeps no prepared statements in transaction mode: PgBouncer 1.21 or later with max_prepared_statements does"


def _keeps_names(conn: psycopg.Connection) -> bool:
    """Whether a statement is prepared under the very name that was asked for: keeping them apart takes others."""
    with conn.transaction():
        conn.execute("SELECT 'prepared'", prepare=True)
        return any(name.startswith("_pg3_") for (name,) in _ask(conn, _PREPARED_AS))


def _changes_backends(conn: psycopg.Connection, connections: ExitStack, url: str) -> bool:
    """Whether another session of ours is given the connection that this one has just left."""
    before = _backend(conn)
    other = connections.enter_context(_connected(url))
    connections.enter_context(other.transaction())
    other.execute(_BACKEND)
    return _backend(conn) != before


def _backend(conn: psycopg.Connection) -> int:
    [(pid,)] = _ask(conn, _BACKEND)
    return int(pid)


def _ask(conn: psycopg.Connection, query: str, **params: list[str]) -> list[tuple[str, ...]]:
    return conn.execute(query, params, prepare=False).fetchall()


@contextmanager
def _connected(url: str) -> Iterator[psycopg.Connection]:
    engine = create_engine(
        make_url(url), poolclass=NullPool, connect_args=connect_arguments("matching-look")
    ).execution_options(isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        driver = connection.connection.driver_connection
        assert isinstance(driver, psycopg.Connection)
        yield driver
