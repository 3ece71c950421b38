"""Interventions: logged in the transaction of what they tell of, and listed for operators."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, insert, select, tuple_

from matching_server.domain.interventions import Intervention, InterventionType
from matching_server.storage.database import Transaction
from matching_server.storage.tables import admin_matching_interventions

_interventions = admin_matching_interventions.c


def log(
    tx: Transaction,
    type_: InterventionType,
    *,
    match_id: UUID | None = None,
    project_id: UUID | None = None,
    reason: str | None,
    details: dict[str, Any],
    happened_at: datetime | None = None,
) -> None:
    """Notes for operators what the service, or an admin, had to do: now, unless it is caught up on."""
    values: dict[str, Any] = {
        "intervention_type": type_.value,
        "match_id": match_id,
        "project_id": project_id,
        "reason": reason,
        "metadata": details,
        "created_by": tx.actor,
    }
    if happened_at is not None:
        values["created_at"] = happened_at
    tx.conn.execute(insert(admin_matching_interventions).values(values))


def newest(conn: Connection, match_id: UUID, type_: InterventionType) -> Intervention | None:
    """The last one of that kind about a match."""
    query = (
        select(admin_matching_interventions)
        .where(_interventions.match_id == match_id, _interventions.intervention_type == type_.value)
        .order_by(_interventions.created_at.desc(), _interventions.id.desc())
        .limit(1)
    )
    row = conn.execute(query).one_or_none()
    return Intervention(**row._mapping) if row else None


def list_page(
    conn: Connection,
    *,
    project_id: UUID | None,
    match_id: UUID | None,
    intervention_type: str | None,
    before: tuple[datetime, UUID] | None,
    limit: int,
) -> list[Intervention]:
    """A page of those that meet every filter given, newest first, those after the ``before`` position."""
    query = select(admin_matching_interventions)
    if project_id is not None:
        query = query.where(_interventions.project_id == project_id)
    if match_id is not None:
        query = query.where(_interventions.match_id == match_id)
    if intervention_type is not None:
        query = query.where(_interventions.intervention_type == intervention_type)
    if before is not None:
        query = query.where(tuple_(_interventions.created_at, _interventions.id) < tuple_(*before))
    query = query.order_by(_interventions.created_at.desc(), _interventions.id.desc()).limit(limit)
    return [Intervention(**row._mapping) for row in conn.execute(query)]
