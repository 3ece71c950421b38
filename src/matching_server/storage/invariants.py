"""What must hold whenever no transaction is under way, as queries that each find what breaks it.

``AuditInvariants``, ``matching-server audit`` and the tests run the same ones. Each is one statement, and so
sees one moment even while the service works.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Connection, RowMapping, text

from matching_server.storage import invariant_queries as queries
from matching_server.storage.database import Transaction

MAX_ROWS = 100
"""As many rows are told of one violated invariant; a broken database need not be shown whole."""


@dataclass(frozen=True, slots=True)
class Invariant:
    """One rule. ``sql`` returns a row for each breach; ``:sweep_seconds`` and ``:max_attempts`` are given."""

    number: int
    name: str
    description: str
    sql: str


@dataclass(frozen=True, slots=True)
class Violation:
    """An invariant that does not hold, and the rows that show it."""

    invariant: str
    description: str
    rows: tuple[dict[str, str], ...]

    def __str__(self) -> str:
        lines = (", ".join(f"{name}={value}" for name, value in row.items()) for row in self.rows)
        return "\n  ".join([f"{self.invariant}: {self.description}", *lines])


INVARIANTS: tuple[Invariant, ...] = (
    Invariant(
        1,
        "load_is_counted",
        "an advisor's current_projects is the number of projects whose offers they hold or that they work on",
        queries.LOAD_IS_COUNTED,
    ),
    Invariant(
        2,
        "capacity_is_respected",
        "no load is negative, and nobody was given a project beyond their slots, emergencies aside",
        queries.CAPACITY_IS_RESPECTED,
    ),
    Invariant(
        3,
        "one_unsettled_match",
        "a project has at most one match that is open or being provisioned",
        queries.ONE_UNSETTLED_MATCH,
    ),
    Invariant(
        4,
        "steps_are_legal",
        "an offered match has an advisor, and its events tell of legal steps, each from where the last led",
        queries.STEPS_ARE_LEGAL,
    ),
    Invariant(
        5,
        "finalized_was_decided",
        "a finalized match was approved by both sides or is an emergency, and its job lives or is done",
        queries.FINALIZED_WAS_DECIDED,
    ),
    Invariant(
        6,
        "completed_is_provisioned",
        "a completed job left exactly one access row, chat session, welcome message and event",
        queries.COMPLETED_IS_PROVISIONED,
    ),
    Invariant(
        7,
        "failures_are_told",
        "no job is tried too often, and a failed one was rolled back, logged and alerted",
        queries.FAILURES_ARE_TOLD,
    ),
    Invariant(
        8,
        "leases_are_swept",
        "no job is in work under a lease that ended more than two sweeps ago",
        queries.LEASES_ARE_SWEPT,
    ),
    Invariant(
        9,
        "log_has_no_gap",
        "a project's events are those from pruned_through + 1 to last_seq",
        queries.LOG_HAS_NO_GAP,
    ),
    Invariant(
        10,
        "status_has_its_event",
        "the last event of a match led to its status, and every event of a transition has its match",
        queries.STATUS_HAS_ITS_EVENT,
    ),
    Invariant(
        11,
        "outbox_moves",
        "a notification is sent, dead, or due in a foreseeable time",
        queries.OUTBOX_MOVES,
    ),
    Invariant(
        12,
        "expired_is_closed",
        "no match is open more than two sweeps past its expiry",
        queries.EXPIRED_IS_CLOSED,
    ),
)


def audit(
    conn: Connection,
    sweep_seconds: float = 5,
    names: Collection[str] | None = None,
    *,
    max_attempts: int = 3,
    max_rows: int = MAX_ROWS,
) -> list[Violation]:
    """Runs the invariants, or those of these names, and returns the ones that do not hold.

    Args:
        conn: a connection to the database; nothing is written.
        sweep_seconds: how often the service sweeps, for what it may be late with.
        names: which ones; ``None``: all.
        max_attempts: how often the service tries a job.
        max_rows: as many rows, at most, are told of each.
    """
    params = {"sweep_seconds": sweep_seconds, "max_attempts": max_attempts}
    chosen = [invariant for invariant in INVARIANTS if names is None or invariant.name in names]
    return [
        violation
        for invariant in chosen
        if (violation := _check(conn, invariant, params, max_rows)) is not None
    ]


def be_patient(conn: Connection) -> None:
    """Lets each check of this transaction take as long as a large database needs."""
    conn.execute(text("SET LOCAL statement_timeout = '15min'"))


def breaches_of_match(tx: Transaction, name: str, match_id: UUID, *, max_attempts: int) -> list[RowMapping]:
    """What breaks an invariant that speaks of matches, now and for this one alone."""
    [invariant] = [invariant for invariant in INVARIANTS if invariant.name == name]
    query = text(f"SELECT * FROM ({invariant.sql}) breach WHERE match_id = :match_id")
    rows = tx.conn.execute(query, {"match_id": match_id, "max_attempts": max_attempts, "sweep_seconds": 0})
    return list(rows.mappings().all())


def _check(
    conn: Connection, invariant: Invariant, params: dict[str, float], max_rows: int
) -> Violation | None:
    with conn.execute(text(invariant.sql), params) as result:
        breaches = result.mappings().fetchmany(max_rows)
    if not breaches:
        return None
    rows = tuple({name: str(value) for name, value in row.items()} for row in breaches)
    return Violation(invariant.name, invariant.description, rows)
