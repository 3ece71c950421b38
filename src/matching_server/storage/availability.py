"""Who takes how much work: availability rows, the claim of a slot, and its return."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, func, select, text, update
from sqlalchemy.exc import DBAPIError

from matching_server.domain.model import Availability, AvailabilityStatus
from matching_server.storage.database import LOCK_TIMEOUT, Transaction, lock_not_available
from matching_server.storage.json_values import preferences_from_json, preferences_to_json
from matching_server.storage.tables import advisor_availability

_availability = advisor_availability.c


@dataclass(frozen=True, slots=True)
class Claim:
    """A slot that was taken: what the advisor's load and maximum were just before."""

    advisor_id: UUID
    load: int
    slots: int


_TAKE = """
    UPDATE advisor_availability a
    SET current_projects = a.current_projects + 1,
        last_assigned_at = clock_timestamp(), updated_at = clock_timestamp()
"""
_TOOK = "RETURNING a.advisor_id, a.current_projects - 1 AS load, a.max_concurrent_projects AS slots"

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
    {_TAKE} FROM free WHERE a.advisor_id = free.advisor_id {_TOOK}
    """
)
_SET_LOCK_TIMEOUT = text("SELECT set_config('lock_timeout', :timeout, true)")
_CLAIM_WAITING = text(
    f"{_TAKE} WHERE a.advisor_id = :advisor_id AND a.status = 'available' AND a.has_slot {_TOOK}"
)
_FREE = text(
    """
    SELECT advisor_id FROM advisor_availability
    WHERE has_slot AND status = 'available' AND advisor_id <> ALL (CAST(:never AS uuid[]))
    ORDER BY current_projects::float / max_concurrent_projects, last_assigned_at NULLS FIRST, advisor_id
    LIMIT 50
    """
)


def claim_first_choice(tx: Transaction, advisor_id: UUID) -> Claim | None:
    """Takes a slot of the best candidate, waiting a moment for a row that another transaction holds.

    To skip a locked row here would often hand out a worse advisor than the best one that is free.
    """
    claimed = claim_unlocked(tx, [advisor_id])
    if claimed is not None:
        return claimed
    try:
        return _claim_waiting(tx, advisor_id, "100ms")
    except DBAPIError as error:
        if not lock_not_available(error):
            raise
        return None


def _claim_waiting(tx: Transaction, advisor_id: UUID, lock_timeout: str) -> Claim | None:
    """Takes a slot of one advisor, waiting for the row.

    In a savepoint, which is undone where there was no slot after all: an update that finds its row changed
    keeps it locked even though it changes nothing, and everybody behind would wait for this transaction's end.
    """
    with tx.conn.begin_nested() as savepoint:
        tx.conn.execute(_SET_LOCK_TIMEOUT, {"timeout": lock_timeout})
        row = tx.conn.execute(_CLAIM_WAITING, {"advisor_id": advisor_id}).one_or_none()
        if row is None:
            savepoint.rollback()
        else:
            tx.conn.execute(_SET_LOCK_TIMEOUT, {"timeout": LOCK_TIMEOUT})
    return _claim(row)


def claim_unlocked(tx: Transaction, advisor_ids: Sequence[UUID]) -> Claim | None:
    """Takes a slot of the first in the list who has one and whose row nobody holds."""
    return _claim(tx.conn.execute(_CLAIM_UNLOCKED, {"advisor_ids": list(advisor_ids)}).one_or_none())


def claim_anybody(tx: Transaction, never: Collection[UUID]) -> Claim | None:
    """Takes a slot of anybody who has one, ``never`` aside, waiting for rows one at a time.

    ``None`` means that the last look found nobody with a slot.
    """
    while free := list(tx.conn.execute(_FREE, {"never": list(never)}).scalars()):
        for advisor_id in free:
            claim = _claim_waiting(tx, advisor_id, LOCK_TIMEOUT)
            if claim is not None:
                return claim
    return None


def _claim(row: Row[Any] | None) -> Claim | None:
    return Claim(row.advisor_id, row.load, row.slots) if row else None


def give_back(tx: Transaction, advisor_id: UUID) -> None:
    """Frees the slot of an offer or project that has ended. An advisor who is gone has none to free."""
    tx.conn.execute(
        update(advisor_availability)
        .where(_availability.advisor_id == advisor_id)
        .values(current_projects=_availability.current_projects - 1, updated_at=func.clock_timestamp())
    )
    tx.effects.capacity_freed = True
    tx.effects.availability_changed.add(advisor_id)


def get(conn: Connection, advisor_id: UUID) -> Availability | None:
    """An advisor's availability, without a lock."""
    row = conn.execute(
        select(advisor_availability).where(_availability.advisor_id == advisor_id)
    ).one_or_none()
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
        .returning(advisor_availability)
    ).one()
    tx.effects.availability_changed.add(wanted.advisor_id)
    # Raising the maximum or coming back makes room; looking in vain costs one query.
    tx.effects.capacity_freed = True
    return _read(row)


def lock(tx: Transaction, advisor_id: UUID) -> Availability | None:
    """An advisor's availability, its row locked."""
    row = tx.conn.execute(
        select(advisor_availability)
        .where(_availability.advisor_id == advisor_id)
        .with_for_update(key_share=True)
    ).one_or_none()
    return _read(row) if row else None


def _read(row: Row[Any]) -> Availability:
    return Availability(
        advisor_id=row.advisor_id,
        advisor_active=row.advisor_active,
        status=AvailabilityStatus(row.status),
        current_projects=row.current_projects,
        max_concurrent_projects=row.max_concurrent_projects,
        preferences=preferences_from_json(row.availability_preferences),
        last_active=row.last_active,
        updated_at=row.updated_at,
    )
