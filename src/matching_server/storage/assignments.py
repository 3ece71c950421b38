"""Admins' assignments: who was put on which project by hand. Writers hold the lock of the project's event head.

The platform's own SQL knows the table, too: it may add rows, which no match has been made for yet.
"""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, func, literal, select, update
from sqlalchemy.dialects.postgresql import insert

from matching_server.domain.model import AssignmentType, Match, WorkspaceRole
from matching_server.storage.database import Transaction
from matching_server.storage.tables import admin_advisor_assignments

_assignment = admin_advisor_assignments.c
_ACTIVE: ColumnElement[bool] = _assignment.status == literal("active", literal_execute=True)


UNSERVED = """
    SELECT s.{column} FROM admin_advisor_assignments s
    JOIN advisor_availability v ON v.advisor_id = s.advisor_id AND v.advisor_active
    WHERE s.project_id = {project_id} AND s.status = 'active' AND s.match_id IS NULL
        AND s.advisor_id <> {owner_id}
        AND NOT EXISTS (SELECT FROM project_advisors pa WHERE pa.project_id = s.project_id
                        AND pa.advisor_id = s.advisor_id AND pa.status = 'active')
"""
"""The project's active assignment that no match has been made for and one can be made for, of which there is at
most one: SQL expressions for the project and its owner."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """An active assignment."""

    id: UUID
    advisor_id: UUID
    assignment_type: AssignmentType
    role: WorkspaceRole


def add(
    tx: Transaction,
    match: Match,
    *,
    advisor_id: UUID,
    assignment_type: AssignmentType,
    role: WorkspaceRole,
    reason: str | None,
) -> UUID:
    """A new assignment by which ``match`` was made; whatever was active for the project is cancelled."""
    statement = (
        insert(admin_advisor_assignments)
        .values(
            project_id=match.project_id,
            advisor_id=advisor_id,
            match_id=match.id,
            assignment_type=assignment_type.value,
            role=role.value,
            assigned_by=tx.actor,
            reason=reason,
        )
        .on_conflict_do_nothing()
        .returning(_assignment.id)
    )
    while True:
        _cancel(tx, _assignment.project_id == match.project_id)
        added: UUID | None = tx.conn.execute(statement).scalar_one_or_none()
        # The platform does not wait for the lock of the head: a row of its may have come in between.
        if added is not None:
            return added


def cancel_of_match(tx: Transaction, match: Match) -> None:
    """The match has closed, and with it ends the assignment that it was made by, if any."""
    _cancel(tx, _assignment.project_id == match.project_id, _assignment.match_id == match.id)


def cancel_of_advisor(tx: Transaction, project_id: UUID, advisor_id: UUID) -> bool:
    """The advisor is released. Returns whether an assignment of theirs was active."""
    return _cancel(tx, _assignment.project_id == project_id, _assignment.advisor_id == advisor_id)


def _cancel(tx: Transaction, *which: ColumnElement[bool]) -> bool:
    cancelled = tx.conn.execute(
        update(admin_advisor_assignments)
        .where(_ACTIVE, *which)
        .values(status="cancelled", updated_at=func.clock_timestamp())
    )
    return cancelled.rowcount > 0


def get(conn: Connection, assignment_id: UUID) -> Assignment | None:
    """An active assignment, ``None`` where the platform has just taken it away."""
    row = conn.execute(
        select(admin_advisor_assignments).where(_ACTIVE, _assignment.id == assignment_id)
    ).one_or_none()
    if row is None:
        return None
    return Assignment(row.id, row.advisor_id, AssignmentType(row.assignment_type), WorkspaceRole(row.role))


def link(tx: Transaction, assignment_id: UUID, match_id: UUID) -> None:
    """The match that was made for an assignment: closing it cancels the assignment."""
    tx.conn.execute(
        update(admin_advisor_assignments)
        .where(_assignment.id == assignment_id)
        .values(match_id=match_id, updated_at=func.clock_timestamp())
    )


def role_of(conn: Connection, match: Match) -> WorkspaceRole:
    """As what the match's advisor joins the workspace, even if another assignment has followed."""
    found = conn.execute(
        select(_assignment.role).where(_assignment.match_id == match.id)
    ).scalar_one_or_none()
    return WorkspaceRole(found) if found else WorkspaceRole.ADVISOR
