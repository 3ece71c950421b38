"""People, projects and advisors, put in as the platform would: by SQL."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Connection, insert

from matching_server.storage.tables import advisor_availability, advisors, projects, users

Words = Sequence[str]


def insert_users(
    conn: Connection,
    count: int,
    *,
    locale: str | None = None,
    timezone: str | None = None,
    roles: Words = (),
) -> list[UUID]:
    """So many people, each with an e-mail address made from their id."""
    ids = [uuid4() for _ in range(count)]
    common = {"locale": locale, "timezone": timezone, "roles": list(roles)}
    _insert(conn, users, [{"id": id_, "email": f"{id_}@example.com", **common} for id_ in ids])
    return ids


def insert_user(
    conn: Connection, *, locale: str | None = None, timezone: str | None = None, roles: Words = ()
) -> UUID:
    """One person."""
    return insert_users(conn, 1, locale=locale, timezone=timezone, roles=roles)[0]


def insert_projects(
    conn: Connection,
    count: int,
    *,
    owner_id: UUID | None = None,
    technology_stack: dict[str, Any] | None = None,
    complexity: str | None = None,
) -> list[UUID]:
    """So many projects of one owner, who is made where none is given."""
    owner = owner_id or insert_user(conn)
    ids = [uuid4() for _ in range(count)]
    common = {"owner_id": owner, "technology_stack": technology_stack, "project_complexity": complexity}
    _insert(conn, projects, [{"id": id_, "name": f"Project {id_}", **common} for id_ in ids])
    return ids


def insert_project(
    conn: Connection,
    *,
    owner_id: UUID | None = None,
    technology_stack: dict[str, Any] | None = None,
    complexity: str | None = None,
) -> UUID:
    """One project."""
    made = insert_projects(
        conn, 1, owner_id=owner_id, technology_stack=technology_stack, complexity=complexity
    )
    return made[0]


def insert_advisors(
    conn: Connection,
    count: int,
    *,
    slots: int = 3,
    status: str = "available",
    preferences: dict[str, Any] | None = None,
    **profile: Any,
) -> list[UUID]:
    """So many advisors with their availability. ``profile`` are columns of ``advisors``, alike for each."""
    ids = insert_users(conn, count, roles=["advisor"])
    common = {"skills": [], "specialties": [], "languages": [], "frameworks": []} | profile
    _insert(conn, advisors, [{"id": id_, "display_name": f"Advisor {id_}", **common} for id_ in ids])
    availability = {
        "status": status,
        "max_concurrent_projects": slots,
        "availability_preferences": preferences or {},
    }
    _insert(conn, advisor_availability, [{"advisor_id": id_, **availability} for id_ in ids])
    return ids


def insert_advisor(
    conn: Connection,
    *,
    slots: int = 3,
    status: str = "available",
    preferences: dict[str, Any] | None = None,
    **profile: Any,
) -> UUID:
    """One advisor."""
    return insert_advisors(conn, 1, slots=slots, status=status, preferences=preferences, **profile)[0]


def _insert(conn: Connection, table: Any, rows: list[dict[str, Any]]) -> None:
    if rows:
        conn.execute(insert(table), rows)
