"""The directory: projects with their owners, and advisors."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    Connection,
    Row,
    Select,
    and_,
    any_,
    bindparam,
    func,
    literal,
    or_,
    select,
    text,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import insert

from matching_server.domain.model import Advisor, Caller, Project, ProjectComplexity
from matching_server.storage.database import Transaction
from matching_server.storage.json_values import complexity, tech_stack_from_json, tech_stack_to_json, words
from matching_server.storage.reach import READABLE, reach
from matching_server.storage.tables import (
    advisor_availability,
    advisors,
    project_advisors,
    project_event_heads,
    projects,
    users,
)

_PROJECT = select(projects, users.c.timezone, users.c.locale).outerjoin(
    users, users.c.id == projects.c.owner_id
)
_READABLE_PROJECT = _PROJECT.where(
    projects.c.id == bindparam("project_id"),
    text(f"EXISTS (SELECT FROM projects p WHERE p.id = projects.id AND {READABLE})"),
)
_ADVISOR = select(advisors, users.c.email).outerjoin(users, users.c.id == advisors.c.id)


def save_project(tx: Transaction, project: Project) -> None:
    """Creates or replaces a project; its owner is created where absent."""
    owner = {"timezone": project.owner_timezone, "locale": project.owner_locale}
    _save_user(tx, project.owner_id, {key: value for key, value in owner.items() if value is not None})
    stack = tech_stack_to_json(project.tech_stack)
    values = {
        "owner_id": project.owner_id,
        "name": project.name,
        "technology_stack": stack or None,
        "project_complexity": project.project_complexity.value if project.project_complexity else None,
    }
    statement = insert(projects).values(id=project.id, **values)
    tx.conn.execute(
        statement.on_conflict_do_update(
            index_elements=["id"], set_=values | {"updated_at": func.clock_timestamp()}
        )
    )
    tx.conn.execute(insert(project_event_heads).values(project_id=project.id).on_conflict_do_nothing())


def _save_user(tx: Transaction, user_id: UUID, values: dict[str, Any]) -> None:
    statement = insert(users).values(id=user_id, **values)
    if values:
        statement = statement.on_conflict_do_update(index_elements=["id"], set_=values)
    else:
        statement = statement.on_conflict_do_nothing()
    tx.conn.execute(statement)


def get_project(conn: Connection, project_id: UUID) -> Project | None:
    """A project with what is kept of its owner."""
    row = conn.execute(_PROJECT.where(projects.c.id == project_id)).one_or_none()
    return _project(row) if row else None


def get_project_for(conn: Connection, project_id: UUID, caller: Caller) -> Project | None:
    """The same, for its owner, its active advisors, those it is offered to, and the platform."""
    row = conn.execute(_READABLE_PROJECT, {"project_id": project_id, **reach(caller)}).one_or_none()
    return _project(row) if row else None


def _project(row: Row[Any]) -> Project:
    return Project(
        id=row.id,
        owner_id=row.owner_id,
        name=row.name,
        tech_stack=tech_stack_from_json(row.technology_stack),
        project_complexity=complexity(row.project_complexity) or ProjectComplexity.MEDIUM,
        owner_timezone=row.timezone,
        owner_locale=row.locale,
    )


def owner_of(conn: Connection, project_id: UUID) -> UUID | None:
    """Whose project it is, ``None`` where there is none."""
    return conn.execute(select(projects.c.owner_id).where(projects.c.id == project_id)).scalar_one_or_none()


def is_active_advisor(conn: Connection, project_id: UUID, advisor_id: UUID) -> bool:
    """Whether the advisor has an active access row."""
    access = project_advisors.c
    return bool(
        conn.execute(
            select(
                select(literal(1))
                .where(
                    access.project_id == project_id,
                    access.advisor_id == advisor_id,
                    access.status == literal("active", literal_execute=True),
                )
                .exists()
            )
        ).scalar_one()
    )


def save_advisor(tx: Transaction, advisor: Advisor) -> None:
    """Creates or replaces an advisor's profile, unset optional fields aside; a new one is available."""
    _save_user(tx, advisor.id, {} if advisor.email is None else {"email": advisor.email})
    optional = {
        "timezone": advisor.timezone,
        "rating": advisor.rating,
        "avatar_url": advisor.avatar_url,
        "active": advisor.active,
    }
    values: dict[str, Any] = {
        "display_name": advisor.display_name,
        "skills": list(advisor.skills),
        "specialties": list(advisor.specialties),
        "languages": list(advisor.languages),
        "frameworks": list(advisor.frameworks),
        **{key: value for key, value in optional.items() if value is not None},
    }
    statement = insert(advisors).values(id=advisor.id, **values)
    tx.conn.execute(
        statement.on_conflict_do_update(
            index_elements=["id"], set_=values | {"updated_at": func.clock_timestamp()}
        )
    )
    tx.conn.execute(
        insert(advisor_availability)
        .values(
            advisor_id=advisor.id,
            availability_preferences={},
        )
        .on_conflict_do_nothing()
    )
    tx.effects.availability_changed.add(advisor.id)
    tx.effects.profiles_changed.add(advisor.id)
    tx.effects.capacity_freed = True


def deactivate_advisor(tx: Transaction, advisor_id: UUID) -> None:
    """Takes an advisor out of the pool; a trigger carries it into the row that decides claims."""
    tx.conn.execute(
        update(advisors)
        .where(advisors.c.id == advisor_id)
        .values(active=False, updated_at=func.clock_timestamp())
    )
    tx.effects.availability_changed.add(advisor_id)
    tx.effects.profiles_changed.add(advisor_id)


def get_advisor(conn: Connection, advisor_id: UUID) -> Advisor | None:
    """An advisor's profile."""
    row = conn.execute(_ADVISOR.where(advisors.c.id == advisor_id)).one_or_none()
    return _advisor(row) if row else None


def list_advisors(
    conn: Connection,
    *,
    skill: str | None,
    framework: str | None,
    available: bool | None,
    before: tuple[datetime, UUID] | None,
    limit: int,
) -> list[tuple[Advisor, datetime]]:
    """A page of the active advisors, newest first, each with when it was created."""
    query: Select[Any] = _ADVISOR.where(advisors.c.active)
    if skill is not None:
        query = query.where(or_(_has(advisors.c.skills, skill), _has(advisors.c.specialties, skill)))
    if framework is not None:
        query = query.where(_has(advisors.c.frameworks, framework))
    if available is not None:
        row = advisor_availability.c
        free = select(literal(1)).where(
            row.advisor_id == advisors.c.id,
            and_(row.has_slot, row.status == literal("available", literal_execute=True)),
        )
        query = query.where(free.exists() if available else ~free.exists())
    if before is not None:
        query = query.where(tuple_(advisors.c.created_at, advisors.c.id) < tuple_(*before))
    query = query.order_by(advisors.c.created_at.desc(), advisors.c.id.desc()).limit(limit)
    return [(_advisor(row), row.created_at) for row in conn.execute(query)]


def _has(words: Any, word: str) -> Any:
    """Whether an array column holds the word, in any case."""
    folded = func.lower(func.array_to_string(words, "\x1f"))
    return func.lower(word) == any_(func.string_to_array(folded, "\x1f"))


def _advisor(row: Row[Any]) -> Advisor:
    return Advisor(
        id=row.id,
        display_name=row.display_name,
        skills=words(row.skills),
        specialties=words(row.specialties),
        rating=row.rating,
        avatar_url=row.avatar_url,
        email=row.email,
        languages=words(row.languages),
        frameworks=words(row.frameworks),
        timezone=row.timezone,
        active=row.active,
    )
