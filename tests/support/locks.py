"""Rows that somebody else holds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, NullPool, create_engine, text

from tests.support.wait import eventually


@contextmanager
def held(conn: Connection, sql: str, **params: Any) -> Iterator[Connection]:
    """Runs a statement on another connection to the same database, and keeps its locks until the block ends.

    Yields that connection; what it did is undone.
    """
    other = create_engine(conn.engine.url, poolclass=NullPool)
    with other.connect() as holder, holder.begin() as transaction:
        holder.execute(text(sql), params)
        yield holder
        if transaction.is_active:
            transaction.rollback()


def wait_for_waiters(conn: Connection, count: int = 1, *, timeout: float = 10.0) -> None:
    """Waits until so many sessions of the database wait for a lock."""
    query = text(
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    eventually(
        lambda: conn.execute(query).scalar_one() >= count,
        timeout=timeout,
        interval=0.005,
        what=f"{count} sessions wait for a lock",
    )


def wait_for_waiter_on(conn: Connection, holder: Connection, *, timeout: float = 10.0) -> None:
    """Waits until a session waits for what that connection holds."""
    pid = holder.execute(text("SELECT pg_backend_pid()")).scalar_one()
    query = text(
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND :pid = ANY (pg_blocking_pids(pid))"
    )
    eventually(
        lambda: conn.execute(query, {"pid": pid}).scalar_one() > 0,
        timeout=timeout,
        interval=0.005,
        what="a session waits for the holder",
    )
