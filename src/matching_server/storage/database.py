"""The database: connections with bounds, transactions that retry, and its errors in the domain's words."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar
from uuid import UUID

import psycopg
from sqlalchemy import Connection, Engine, QueuePool, create_engine, exc, make_url, text

from matching_server.domain.effects import Effects
from matching_server.domain.errors import StorageUnavailable, TransactionConflict

T = TypeVar("T")
Ask = Callable[[str, Mapping[str, Any]], Sequence[Any] | None]
"""Runs a query of the driver's form and returns its first row."""
AskAll = Callable[[str, Mapping[str, Any]], Sequence[Sequence[Any]]]
"""The same, and returns all its rows."""

LOCK_TIMEOUT = "2s"
"""How long a statement waits for a row that another transaction holds."""
BOUNDS = {
    "statement_timeout": "10s",
    "lock_timeout": LOCK_TIMEOUT,
    # A frozen worker's locks must not outlive its lease.
    "idle_in_transaction_session_timeout": "5s",
    "timezone": "UTC",
}
_KEEPALIVE = {
    # A host that is gone without a word, power and all, is noticed like one that says goodbye.
    "tcp_user_timeout": 10_000,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
}
_SERIALIZATION = ("40001", "40P01")
_LOCK_NOT_AVAILABLE = "55P03"
_STORAGE_CLASSES = ("08", "53", "57", "58", "25")
"""Connection, resources, operator intervention, system, read-only."""
_DISCONNECTED = ("57P01", "57P02")
"""The server's last words on a connection that it ends: an administrator's doing, or a crash."""
_ATTEMPTS = 6
SET_LOCK_TIMEOUT = text("SELECT set_config('lock_timeout', :timeout, true)")
"""For the rest of the transaction, or of its savepoint."""


@dataclass(slots=True)
class Transaction:
    """One open transaction: its connection, who acts in it, and what is to be done after it commits."""

    conn: Connection
    actor: UUID | None = None
    """The acting user, ``None`` where the service acts by itself."""
    correlation_id: str | None = None
    effects: Effects = field(default_factory=Effects)
    on_end: list[Callable[[bool], None]] = field(default_factory=list)
    """Called when the transaction has ended, with whether it has committed."""


@dataclass(frozen=True, slots=True)
class Committed(Generic[T]):
    """What a committed transaction answered and what it left to do."""

    value: T
    effects: Effects


def connect_arguments(application_name: str) -> dict[str, Any]:
    """How every connection is made. ``storage.sessions`` looks whether the options have arrived."""
    return {
        "application_name": application_name,
        "connect_timeout": 3,
        **_KEEPALIVE,
        "options": " ".join(f"-c {name}={value}" for name, value in BOUNDS.items()),
    }


class Database:
    """A bounded pool of connections to one Postgres.

    Args:
        url: a SQLAlchemy URL, ``postgresql+psycopg://…``; several hosts are tried in order.
        pool_size: connections at most; a call that gets none within 5 s fails with StorageUnavailable.
        application_name: how the connections are called in ``pg_stat_activity``.
    """

    def __init__(self, url: str, *, pool_size: int, application_name: str) -> None:
        self._engine: Engine = create_engine(
            make_url(url),
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=5,
            isolation_level="READ COMMITTED",
            # Errors are logged: their values are what people have written.
            hide_parameters=True,
            connect_args=connect_arguments(application_name),
        )
        self._autocommit = self._engine.execution_options(isolation_level="AUTOCOMMIT")
        self._one_moment = self._engine.execution_options(
            isolation_level="REPEATABLE READ", postgresql_readonly=True
        )

    def close(self) -> None:
        """Closes every pooled connection."""
        self._engine.dispose()

    @property
    def in_use(self) -> int:
        """Connections that somebody has at the moment."""
        # Asked anew each time: the engine makes itself another pool when it drops its connections.
        pool = self._engine.pool
        assert isinstance(pool, QueuePool)
        return pool.checkedout()

    def ping(self) -> None:
        """Raises StorageUnavailable where the database does not answer."""
        self.read(lambda conn: conn.execute(text("SELECT 1")))

    def read(self, work: Callable[[Connection], T]) -> T:
        """Runs reads, each statement on its own snapshot; repeated once where the connection was broken."""
        return _read(self._autocommit, work)

    def read_only(self, work: Callable[[Connection], T]) -> T:
        """The same on one snapshot, in a transaction in which Postgres refuses every write."""
        return _read(self._one_moment, work)

    def ask(self, query: str, params: Mapping[str, Any]) -> tuple[Any, ...] | None:
        """The first row of what ``ask_all`` returns."""
        return _first(self.ask_all(query, params))

    def ask_all(self, query: str, params: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        """The rows of a hot query, straight from the driver; repeated once where the connection was broken.

        ``query`` is psycopg's, ``%(name)s``; it commits by itself. This costs a third of what a statement of
        SQLAlchemy's does.
        """
        for attempt in range(2):
            try:
                return self._statement(query, params)
            except exc.TimeoutError as error:
                raise StorageUnavailable from error
            except psycopg.Error as error:
                lost = error.sqlstate is None or error.sqlstate in _DISCONNECTED
                if attempt == 0 and lost and isinstance(error, psycopg.OperationalError):
                    continue
                raise _translated_state(error.sqlstate, error) from error
        raise AssertionError("unreachable")

    def try_once(self, query: str, params: Mapping[str, Any]) -> tuple[Any, ...] | None:
        """As ``ask``, for a statement that writes. ``None`` where it did not go through, or nobody knows whether it
        did: then it may be asked in a transaction.
        """
        try:
            return _first(self._statement(query, params))
        except (exc.TimeoutError, psycopg.OperationalError, psycopg.IntegrityError):
            return None
        except psycopg.Error as error:
            # A database that takes no writes, or a defect: no reason to go the long way in silence.
            raise _translated_state(error.sqlstate, error) from error

    def _statement(self, query: str, params: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        pooled = self._engine.raw_connection()
        try:
            driver = pooled.driver_connection
            assert isinstance(driver, psycopg.Connection)
            driver.autocommit = True
            try:
                return driver.execute(query, params, prepare=True).fetchall()
            finally:
                if driver.closed:
                    # The others of the pool broke with it: nobody should find that out one by one.
                    pooled.invalidate()
                    self._engine.dispose()
                else:
                    driver.autocommit = False
        finally:
            pooled.close()

    def transact(
        self,
        work: Callable[[Transaction], T],
        *,
        actor: UUID | None = None,
        correlation_id: str | None = None,
    ) -> Committed[T]:
        """Runs ``work`` in one transaction and commits it.

        The whole of it is repeated after a serialization failure or deadlock, and after a connection that
        broke: ``work`` must tell by what is stored whether an earlier attempt of its own had committed.

        Raises:
            TransactionConflict: rows stayed locked by others.
            StorageUnavailable: the database is away, read-only or full.
        """
        # An attempt whose connection broke may have committed all the same: what it changed stays named.
        changed: set[UUID] = set()
        for attempt in range(_ATTEMPTS):
            effects = Effects(availability_changed=changed)
            try:
                return self._attempt(work, actor, correlation_id, effects)
            except exc.SQLAlchemyError as error:
                last = attempt == _ATTEMPTS - 1
                if _sqlstate(error) in _SERIALIZATION and not last:
                    time.sleep(random.uniform(0, 0.01 * 2**attempt))
                    continue
                # The pool drops its other connections with the first that broke: one more try is enough.
                if _connection_broke(error) and attempt == 0:
                    continue
                raise _translated(error) from error
        raise AssertionError("unreachable")

    def _attempt(
        self,
        work: Callable[[Transaction], T],
        actor: UUID | None,
        correlation_id: str | None,
        effects: Effects,
    ) -> Committed[T]:
        on_end: list[Callable[[bool], None]] = []
        committed = False
        try:
            with self._engine.begin() as conn:
                value = work(Transaction(conn, actor, correlation_id, effects, on_end))
            committed = True
        finally:
            for ended in on_end:
                ended(committed)
        return Committed(value, effects)


def _read(engine: Engine, work: Callable[[Connection], T]) -> T:
    for attempt in range(2):
        try:
            with engine.begin() as conn:
                return work(conn)
        except exc.SQLAlchemyError as error:
            if attempt == 0 and _connection_broke(error):
                continue
            raise _translated(error) from error
    raise AssertionError("unreachable")


def _first(rows: list[tuple[Any, ...]]) -> tuple[Any, ...] | None:
    return rows[0] if rows else None


def asking(conn: Connection) -> Ask:
    """``Database.ask`` on an open connection, and so in its transaction."""
    return lambda query, params: conn.exec_driver_sql(query, dict(params)).one_or_none()


def asking_all(conn: Connection) -> AskAll:
    """``Database.ask_all`` on an open connection, and so in its transaction."""
    return lambda query, params: conn.exec_driver_sql(query, dict(params)).all()


def _sqlstate(error: exc.SQLAlchemyError) -> str | None:
    original = getattr(error, "orig", None)
    return original.sqlstate if isinstance(original, psycopg.Error) else None


def _connection_broke(error: exc.SQLAlchemyError) -> bool:
    return isinstance(error, exc.DBAPIError) and error.connection_invalidated


def _translated(error: exc.SQLAlchemyError) -> Exception:
    """The domain's error for what waiting or another try can mend; anything else is a defect, as it is."""
    state = _sqlstate(error)
    unreachable = isinstance(error, exc.TimeoutError) or (
        isinstance(error, exc.OperationalError) and not state
    )
    if unreachable or _connection_broke(error):
        return StorageUnavailable()
    return _translated_state(state, error)


def _translated_state(state: str | None, error: Exception) -> Exception:
    if state in _SERIALIZATION or state == _LOCK_NOT_AVAILABLE:
        return TransactionConflict()
    if state is None and isinstance(error, psycopg.OperationalError):
        return StorageUnavailable()
    return StorageUnavailable() if state is not None and state[:2] in _STORAGE_CLASSES else error


def waiting_at_most(tx: Transaction, patience: str, work: Callable[[], T]) -> T | None:
    """What ``work`` returns, in a savepoint; ``None``, and nothing done, where it waits for a lock for longer."""
    try:
        with tx.conn.begin_nested():
            tx.conn.execute(SET_LOCK_TIMEOUT, {"timeout": patience})
            value = work()
            tx.conn.execute(SET_LOCK_TIMEOUT, {"timeout": LOCK_TIMEOUT})
            return value
    except exc.DBAPIError as error:
        if lock_not_available(error):
            return None
        raise


def lock_not_available(error: exc.DBAPIError) -> bool:
    """Whether a statement gave up waiting for a lock."""
    return _sqlstate(error) == _LOCK_NOT_AVAILABLE


def in_the_way(error: exc.DBAPIError) -> bool:
    """Whether a statement failed because of what others were doing, so that it may go through another time."""
    return lock_not_available(error) or _sqlstate(error) in _SERIALIZATION


def fault_text(error: BaseException) -> str:
    """A fault for the operator's eyes: its class and first line, without statements or parameters."""
    original = getattr(error, "orig", None)
    if isinstance(original, psycopg.Error):
        primary = original.diag.message_primary or str(original).partition("\n")[0]
        return f"{type(original).__name__}: {primary}"[:500]
    return f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"[:500]
