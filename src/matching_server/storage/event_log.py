"""The durable event log: one numbered sequence a project, whose head is also the project's lock.

Numbers are given under the lock of the head, so the order of numbers is the order of commits and a number
never appears before a smaller one.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import Connection, Row, TextClause, literal, select, text

from matching_server.domain.event_json import payload_from_json, payload_to_json
from matching_server.domain.events import EventPayload, EventType, ProjectEvent
from matching_server.domain.trace import TRACEPARENT
from matching_server.storage.database import Transaction, waiting_at_most
from matching_server.storage.tables import event_log_epoch, project_event_heads, project_events

# The clock is read outside the materialized part, and so after the wait for the lock.
_LOCK = """
    WITH head AS MATERIALIZED (
        SELECT last_seq FROM project_event_heads WHERE project_id = :project_id FOR UPDATE {}
    )
    SELECT last_seq, clock_timestamp() AS now FROM head
    """
_LOCK_HEAD = text(_LOCK.format(""))
_TRY_LOCK_HEAD = text(_LOCK.format("SKIP LOCKED"))
_LOCK_HEAD_OF_MATCH = text(
    """
    WITH head AS MATERIALIZED (
        SELECT project_id, last_seq FROM project_event_heads
        WHERE project_id = (SELECT project_id FROM advisor_match_requests WHERE id = :match_id) FOR UPDATE
    )
    SELECT project_id, last_seq, clock_timestamp() AS now FROM head
    """
)
_MAKE_HEAD = text(
    """
    INSERT INTO project_event_heads (project_id) SELECT id FROM projects WHERE id = :project_id
    ON CONFLICT DO NOTHING
    """
)
# One statement for however many there are. The driver would send several rows as a pipeline, whose end disarms
# idle_in_transaction_session_timeout: a process that freezes before it commits would keep the project locked.
_APPEND = text(
    """
    WITH moved AS (
        UPDATE project_event_heads SET last_seq = :last_seq WHERE project_id = :project_id
    )
    INSERT INTO project_events (project_id, seq, type, payload, user_id, correlation_id, created_at, traceparent)
    SELECT CAST(:project_id AS uuid), seq, type, payload, user_id, CAST(:correlation_id AS text),
        CAST(:now AS timestamptz), CAST(:traceparent AS text)
    FROM unnest(CAST(:seqs AS bigint[]), CAST(:types AS text[]), CAST(:payloads AS jsonb[]), CAST(:user_ids AS uuid[]))
        AS event (seq, type, payload, user_id)
    """
)
# The payload as text: the events of a long history are read faster by other means than the driver's.
_READ_AFTER = """
    SELECT seq, type, CAST(payload AS text), user_id, correlation_id, created_at, traceparent
    FROM project_events WHERE project_id = :project_id AND seq > :seq {} ORDER BY seq LIMIT :limit
    """
_READ = text(_READ_AFTER.format(""))
_READ_OF_MATCHES = text(_READ_AFTER.format("AND payload ->> 'match_id' = ANY (:match_ids)"))
_MOVED_ON = text(
    """
    SELECT h.project_id FROM unnest(CAST(:project_ids AS uuid[]), CAST(:seqs AS bigint[])) AS seen (project_id, seq)
    JOIN project_event_heads h ON h.project_id = seen.project_id AND h.last_seq > seen.seq
    """
)


@dataclass(slots=True)
class ProjectLog:
    """The locked end of a project's log. ``now`` is the database's clock after the lock was got."""

    tx: Transaction
    project_id: UUID
    last_seq: int
    now: datetime
    _appended: list[ProjectEvent] = field(default_factory=list)

    @property
    def next_seq(self) -> int:
        """The number that the next event will have."""
        return self.last_seq + 1

    def append(self, type_: EventType, payload: EventPayload, *, user_id: UUID | None = None) -> None:
        """Adds an event; it is written when the lock's block ends. ``user_id`` is who acted, if anybody."""
        self.last_seq += 1
        self._appended.append(
            ProjectEvent(
                self.project_id,
                self.last_seq,
                type_,
                payload,
                user_id,
                self.tx.correlation_id,
                self.now,
                TRACEPARENT.get(),
            )
        )

    def _write(self) -> None:
        if not self._appended:
            return
        self.tx.conn.execute(
            _APPEND,
            {
                "project_id": self.project_id,
                "last_seq": self.last_seq,
                "seqs": [event.seq for event in self._appended],
                "types": [event.type.value for event in self._appended],
                "payloads": [json.dumps(payload_to_json(event.payload)) for event in self._appended],
                "user_ids": [event.user_id for event in self._appended],
                "correlation_id": self.tx.correlation_id,
                "now": self.now,
                "traceparent": TRACEPARENT.get(),
            },
        )
        self.tx.effects.events += self._appended


@contextmanager
def lock_project(
    tx: Transaction, project_id: UUID, *, wait: bool = True, patience: str | None = None
) -> Iterator[ProjectLog | None]:
    """Locks the head of a project's log: what every transaction that belongs to a project does first.

    Yields ``None`` where there is no such project and never was, or where another transaction holds it:
    without ``wait`` at once, else after ``patience`` where that is given.
    """
    statement = _LOCK_HEAD if wait else _TRY_LOCK_HEAD
    if patience is None:
        row = _locked_head(tx, project_id, statement)
    else:
        row = waiting_at_most(tx, patience, lambda: _locked_head(tx, project_id, statement))
    if row is None:
        yield None
        return
    log = ProjectLog(tx, project_id, row.last_seq, row.now)
    yield log
    log._write()


@contextmanager
def lock_project_of(tx: Transaction, match_id: UUID) -> Iterator[ProjectLog | None]:
    """As ``lock_project``, for the project of a match; ``None`` where there is no such match, either."""
    row = tx.conn.execute(_LOCK_HEAD_OF_MATCH, {"match_id": match_id}).one_or_none()
    if row is None:
        yield None
        return
    log = ProjectLog(tx, row.project_id, row.last_seq, row.now)
    yield log
    log._write()


def _locked_head(tx: Transaction, project_id: UUID, statement: TextClause) -> Row[Any] | None:
    params = {"project_id": project_id}
    row = tx.conn.execute(statement, params).one_or_none()
    if row is None:
        tx.conn.execute(_MAKE_HEAD, params)
        row = tx.conn.execute(statement, params).one_or_none()
    return row


@dataclass(frozen=True, slots=True)
class LogBounds:
    """What a project's log holds: the events ``pruned_through + 1`` to ``last_seq``."""

    pruned_through: int
    last_seq: int


def epoch(conn: Connection) -> UUID:
    """The identity of this database's logs."""
    found: UUID = conn.execute(select(event_log_epoch.c.epoch)).scalar_one()
    return found


def bounds(conn: Connection, project_id: UUID) -> LogBounds:
    """What the log of a project holds; nothing for a project that never had an event."""
    heads = project_event_heads.c
    row = conn.execute(
        select(heads.pruned_through, heads.last_seq).where(heads.project_id == project_id)
    ).one_or_none()
    return LogBounds(row.pruned_through, row.last_seq) if row else LogBounds(0, 0)


def moved_on(conn: Connection, seqs: Mapping[UUID, int]) -> list[UUID]:
    """The projects whose log goes beyond the number that stands with them."""
    params = {"project_ids": list(seqs), "seqs": list(seqs.values())}
    return list(conn.execute(_MOVED_ON, params).scalars())


def read_after(
    conn: Connection,
    project_id: UUID,
    seq: int,
    limit: int,
    *,
    of_matches: Collection[UUID] | None = None,
) -> list[ProjectEvent]:
    """The events after number ``seq``, in order, at most ``limit``; with ``of_matches`` those of these matches."""
    params: dict[str, object] = {"project_id": project_id, "seq": seq, "limit": limit}
    if of_matches is not None:
        params["match_ids"] = [str(id_) for id_ in of_matches]
    rows = conn.execute(_READ if of_matches is None else _READ_OF_MATCHES, params).all()
    return [_event(project_id, *row) for row in rows]


def tells(conn: Connection, project_id: UUID, type_: EventType, match_id: UUID) -> bool:
    """Whether the log, as far as it is kept, has an event of that type about that match."""
    events = project_events.c
    about_it = select(literal(1)).where(
        events.project_id == project_id,
        events.type == type_.value,
        events.payload["match_id"].astext == str(match_id),
    )
    return bool(conn.execute(select(about_it.exists())).scalar_one())


def prune(tx: Transaction, project_id: UUID, older_than: timedelta) -> int:
    """Forgets a project's events older than that; its head must be locked. Returns how many."""
    pruned = tx.conn.execute(
        text(
            """
            WITH last_old AS (
                SELECT max(seq) AS seq FROM project_events
                WHERE project_id = :project_id AND created_at < statement_timestamp() - :older_than
            ), moved AS (
                UPDATE project_event_heads SET pruned_through = last_old.seq FROM last_old
                WHERE project_id = :project_id AND last_old.seq > pruned_through
                RETURNING pruned_through
            )
            DELETE FROM project_events USING moved
            WHERE project_id = :project_id AND project_events.seq <= moved.pruned_through
            """
        ),
        {"project_id": project_id, "older_than": older_than},
    )
    return pruned.rowcount


def prunable(conn: Connection, older_than: timedelta, limit: int) -> list[UUID]:
    """Projects that have events older than that."""
    rows = conn.execute(
        text(
            "SELECT DISTINCT project_id FROM project_events"
            " WHERE created_at < statement_timestamp() - :older_than LIMIT :limit"
        ),
        {"older_than": older_than, "limit": limit},
    )
    return [row.project_id for row in rows]


def _event(
    project_id: UUID,
    seq: int,
    name: str,
    payload: str,
    user_id: UUID | None,
    correlation_id: str | None,
    created_at: datetime,
    traceparent: str | None,
) -> ProjectEvent:
    type_ = EventType(name)
    read = payload_from_json(type_, orjson.loads(payload))
    return ProjectEvent(project_id, seq, type_, read, user_id, correlation_id, created_at, traceparent)
