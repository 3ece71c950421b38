"""Who takes how much work: availability rows, the claim of a slot, and its return."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, TextClause, func, select, text, update
from sqlalchemy.exc import DBAPIError

from matching_server.domain.effects import Load
from matching_server.domain.model import Availability, AvailabilityStatus, PoolStatus
from matching_server.storage.database import (
    LOCK_TIMEOUT,
    SET_LOCK_TIMEOUT,
    Ask,
    Transaction,
    lock_not_available,
)
from matching_server.storage.json_values import preferences_from_json, preferences_to_json
from matching_server.storage.tables import advisor_availability

_availability = advisor_availability.c


@dataclass(frozen=True, slots=True)
class Claim:
    """A slot that was taken: what the advisor's load and maximum were just before, and what was written."""

    advisor_id: UUID
    load: int
    slots: int
    written: Load | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class AsRanked:
    """What a ranking has assumed of an advisor: a claim of the first choice is refused where it no longer holds.

    A load that is lower now than it was thought to be is no reason to refuse.
    """

    advisor_id: UUID
    load: int
    profile_version: int


TAKE = """
    UPDATE advisor_availability a
    SET current_projects = a.current_projects + 1,
        last_assigned_at = clock_timestamp(), updated_at = clock_timestamp()
"""
"""Takes a slot of the row ``a``."""
_TOOK = """
    RETURNING a.advisor_id, a.current_projects - 1 AS load, a.max_concurrent_projects AS slots,
        a.current_projects, a.last_assigned_at, a.version, a.profile_version
"""

_CLAIM_UNLOCKED = text(
    # Materialized: with a plain subquery, LIMIT may claim more than one row.
    f"""
    WITH free AS MATERIALIZED (
        SELECT advisor_id FROM advisor_availability
        JOIN unnest(CAST(:advisor_ids AS uuid[])) WITH ORDINALITY AS choice (id, rank) ON id = advisor_id
        WHERE status = 'available' AND has_slot
        ORDER BY rank LIMIT 1
        FOR NO KEY UPDATE OF advisor_availability SKIP LOCKED
    )
    {TAKE} FROM free WHERE a.advisor_id = free.advisor_id {_TOOK}
    """
)
_CLAIM_WAITING = text(
    f"{TAKE} WHERE a.advisor_id = :advisor_id AND a.status = 'available' AND a.has_slot {_TOOK}"
)
_CLAIM_AS_RANKED = text(
    f"""
    {TAKE} WHERE a.advisor_id = :advisor_id AND a.status = 'available' AND a.has_slot
        AND a.profile_version = :profile_version AND a.current_projects <= :load
    {_TOOK}
    """
)
_TAKE_ANYWAY = text(f"{TAKE} WHERE a.advisor_id = :advisor_id {_TOOK}")
_FREE = text(
    """
    SELECT advisor_id FROM advisor_availability
    WHERE has_slot AND status = 'available' AND advisor_id <> ALL (CAST(:never AS uuid[]))
        AND (CAST(:required AS uuid[]) IS NULL OR advisor_id = ANY (CAST(:required AS uuid[])))
    ORDER BY current_projects::float / max_concurrent_projects, last_assigned_at NULLS FIRST, advisor_id
    LIMIT 50
    """
)

_COLUMNS = (
    _availability.advisor_id,
    _availability.advisor_active,
    _availability.status,
    _availability.current_projects,
    _availability.max_concurrent_projects,
    _availability.availability_preferences,
    _availability.last_active,
    _availability.updated_at,
)
_GET = f"""
SELECT {", ".join(column.name for column in _COLUMNS)} FROM advisor_availability
WHERE advisor_id = %(advisor_id)s
"""


class RowHeld(Exception):
    """Another transaction keeps an advisor's row locked for longer than is waited."""


def claim_first_choice(tx: Transaction, ranked: AsRanked) -> Claim | None:
    """Takes a slot of the best candidate, waiting a moment for a row that another transaction holds.

    To skip a locked row here would often hand out a worse advisor than the best one that is free.

    Returns:
        ``None`` where the advisor is no longer as they were ranked.

    Raises:
        RowHeld: the moment was not enough.
    """
    params = {
        "advisor_id": ranked.advisor_id,
        "load": ranked.load,
        "profile_version": ranked.profile_version,
    }
    try:
        return _claim_waiting(tx, _CLAIM_AS_RANKED, params, "100ms")
    except DBAPIError as error:
        if not lock_not_available(error):
            raise
        raise RowHeld from None


def _claim_waiting(
    tx: Transaction, statement: TextClause, params: dict[str, Any], lock_timeout: str
) -> Claim | None:
    """Takes a slot of one advisor, waiting for the row.

    In a savepoint, which is undone where there was no slot after all: an update that finds its row changed
    keeps it locked even though it changes nothing, and everybody behind would wait for this transaction's end.
    """
    with tx.conn.begin_nested() as savepoint:
        tx.conn.execute(SET_LOCK_TIMEOUT, {"timeout": lock_timeout})
        row = tx.conn.execute(statement, params).one_or_none()
        if row is None:
            savepoint.rollback()
        else:
            tx.conn.execute(SET_LOCK_TIMEOUT, {"timeout": LOCK_TIMEOUT})
    return _claim(tx, row)


def claim_unlocked(tx: Transaction, advisor_ids: Sequence[UUID]) -> Claim | None:
    """Takes a slot of the first in the list who has one and whose row nobody holds."""
    params = {"advisor_ids": list(advisor_ids)}
    return _claim(tx, tx.conn.execute(_CLAIM_UNLOCKED, params).one_or_none())


def claim_anybody(
    tx: Transaction, never: Collection[UUID], required: Collection[UUID] | None = None
) -> Claim | None:
    """Takes a slot of anybody who has one, waiting for rows one at a time.

    Args:
        tx: the transaction.
        never: who is left out.
        required: who alone comes into question; ``None``: all.

    ``None`` means that the last look found nobody with a slot.
    """
    params = {"never": list(never), "required": None if required is None else list(required)}
    while free := list(tx.conn.execute(_FREE, params).scalars()):
        for advisor_id in free:
            claim = _claim_waiting(tx, _CLAIM_WAITING, {"advisor_id": advisor_id}, LOCK_TIMEOUT)
            if claim is not None:
                return claim
    return None


def take_slot(tx: Transaction, advisor_id: UUID) -> Claim:
    """Takes a slot whatever the row says: for who has locked it and judged it by rules of their own."""
    claim = _claim(tx, tx.conn.execute(_TAKE_ANYWAY, {"advisor_id": advisor_id}).one())
    assert claim is not None
    return claim


def _claim(tx: Transaction, row: Row[Any] | None) -> Claim | None:
    if row is None:
        return None
    written = load_of(row)
    tx.effects.loads.append(written)
    tx.effects.availability_changed.add(row.advisor_id)
    return Claim(row.advisor_id, row.load, row.slots, written)


def load_of(row: Row[Any]) -> Load:
    """What an availability row says of the load."""
    return Load(row.advisor_id, row.current_projects, row.last_assigned_at, row.version, row.profile_version)


def give_back(tx: Transaction, advisor_id: UUID) -> None:
    """Frees the slot of an offer or project that has ended. An advisor who is gone has none to free."""
    row = tx.conn.execute(
        update(advisor_availability)
        .where(_availability.advisor_id == advisor_id)
        .values(
            # The platform may have given access by its own SQL, which counts nothing.
            current_projects=func.greatest(_availability.current_projects - 1, 0),
            updated_at=func.clock_timestamp(),
        )
        .returning(
            _availability.advisor_id,
            _availability.current_projects,
            _availability.last_assigned_at,
            _availability.version,
            _availability.profile_version,
        )
    ).one_or_none()
    if row is not None:
        tx.effects.loads.append(load_of(row))
    tx.effects.capacity_freed = True
    tx.effects.availability_changed.add(advisor_id)


def get(ask: Ask, advisor_id: UUID) -> Availability | None:
    """An advisor's availability, without a lock.

    ``ask`` is ``Database.ask``, or in a transaction ``asking`` its connection.
    """
    row = ask(_GET, {"advisor_id": advisor_id})
    return _read(row) if row else None


def change(tx: Transaction, wanted: Availability, *, by_themselves: bool) -> Availability:
    """Stores status, maximum and preferences; the load is not the caller's to change."""
    values: dict[str, Any] = {
        "status": wanted.status.value,
        "max_concurrent_projects": wanted.max_concurrent_projects,
        "availability_preferences": preferences_to_json(wanted.preferences),
        "updated_at": func.clock_timestamp(),
    }
    if by_themselves:
        values["last_active"] = func.clock_timestamp()
    row = tx.conn.execute(
        update(advisor_availability)
        .where(_availability.advisor_id == wanted.advisor_id)
        .values(values)
        .returning(*_COLUMNS)
    ).one()
    tx.effects.availability_changed.add(wanted.advisor_id)
    tx.effects.profiles_changed.add(wanted.advisor_id)
    # Raising the maximum or coming back makes room; looking in vain costs one query.
    tx.effects.capacity_freed = True
    return _read(row)


def lock(tx: Transaction, advisor_id: UUID) -> Availability | None:
    """An advisor's availability, its row locked."""
    row = tx.conn.execute(
        select(*_COLUMNS).where(_availability.advisor_id == advisor_id).with_for_update(key_share=True)
    ).one_or_none()
    return _read(row) if row else None


def lock_in_order(tx: Transaction, advisor_ids: Collection[UUID]) -> dict[UUID, Availability]:
    """Several advisors' availability by id, their rows locked in the order of ids; who is gone is left out."""
    rows = tx.conn.execute(
        select(*_COLUMNS)
        .where(_availability.advisor_id.in_(advisor_ids))
        .order_by(_availability.advisor_id)
        .with_for_update(key_share=True)
    )
    return {row.advisor_id: _read(row) for row in rows}


_POOL_STATUS = text(
    """
    SELECT count(*) AS total,
        count(*) FILTER (WHERE status = 'available') AS available,
        count(*) FILTER (WHERE status = 'busy') AS busy,
        count(*) FILTER (WHERE status = 'offline') AS offline,
        count(*) FILTER (WHERE status = 'available' AND current_projects = 0) AS idle,
        count(*) FILTER (WHERE status = 'available' AND current_projects > 0 AND has_slot) AS with_slot,
        count(*) FILTER (WHERE status = 'available' AND NOT has_slot) AS at_capacity
    FROM advisor_availability WHERE advisor_active
    """
)


def pool_status(conn: Connection) -> PoolStatus:
    """The active advisors, counted at one moment."""
    return PoolStatus(**conn.execute(_POOL_STATUS).mappings().one())


def _read(row: Sequence[Any]) -> Availability:
    advisor_id, active, status, load, slots, preferences, last_active, updated_at = row
    return Availability(
        advisor_id=advisor_id,
        advisor_active=active,
        status=AvailabilityStatus(status),
        current_projects=load,
        max_concurrent_projects=slots,
        preferences=preferences_from_json(preferences),
        last_active=last_active,
        updated_at=updated_at,
    )
