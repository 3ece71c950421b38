"""What ranking needs to know of the advisors, whole or what has changed since a moment.

Every change of an availability row, and of the profile beside it, leaves the number of its transaction in
``changed_xid``. Whoever looked at a snapshot whose oldest running transaction was ``horizon`` has seen
everything that older transactions did; so what they have not seen is among the rows from that number on. No
clock is asked, and no order of commits assumed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, TextClause, text

from matching_server.domain.model import AdvisorSummary, AvailabilityStatus
from matching_server.domain.scoring import PoolAdvisor
from matching_server.storage.json_values import preferences_from_json, words

_PAGE = 2_000
_COLUMNS = """
    SELECT a.advisor_id, a.status, a.current_projects, a.max_concurrent_projects, a.last_assigned_at,
        a.availability_preferences, a.version, a.profile_version,
        p.display_name, p.skills, p.specialties, p.languages, p.frameworks, p.timezone, p.rating,
        p.avatar_url, p.active
    FROM advisor_availability a JOIN advisors p ON p.id = a.advisor_id
"""
_SOME = text(f"{_COLUMNS} WHERE a.advisor_id = ANY (CAST(:ids AS uuid[]))")
_CHANGED = text(
    f"""
    {_COLUMNS} WHERE a.changed_xid >= :since AND a.advisor_id > CAST(:after AS uuid)
    ORDER BY a.advisor_id LIMIT {_PAGE}
    """
)
_LOOK = text(
    """
    SELECT CAST(CAST(pg_snapshot_xmin(pg_current_snapshot()) AS text) AS bigint) AS horizon,
        count(*) AS advisors, count(*) FILTER (WHERE changed_xid >= :since) AS changed
    FROM advisor_availability
    """
)
_IDS = text("SELECT advisor_id FROM advisor_availability")


@dataclass(frozen=True, slots=True)
class Look:
    """One look at the whole pool.

    ``horizon`` is from where the next look has to begin; ``advisors`` are all there are, ``changed`` those
    that have to be read.
    """

    horizon: int
    advisors: int
    changed: int


def look(conn: Connection, since: int) -> Look:
    """How much has changed since the horizon of an earlier look; 0 is the beginning."""
    row = conn.execute(_LOOK, {"since": since}).one()
    return Look(row.horizon, row.advisors, row.changed)


def changed(conn: Connection, since: int) -> Iterator[list[PoolAdvisor]]:
    """The advisors who have changed since, inactive ones included, a page at a time."""
    after = UUID(int=0)
    while page := _advisors(conn, _CHANGED, since=since, after=after):
        yield page
        after = page[-1].id


def some(conn: Connection, advisor_ids: Sequence[UUID]) -> list[PoolAdvisor]:
    """Those of the named who are stored."""
    return _advisors(conn, _SOME, ids=list(advisor_ids))


def ids(conn: Connection) -> set[UUID]:
    """Everybody's id."""
    return set(conn.execute(_IDS).scalars())


def _advisors(conn: Connection, query: TextClause, **params: Any) -> list[PoolAdvisor]:
    return [_advisor(row) for row in conn.execute(query, params)]


def _advisor(row: Row[Any]) -> PoolAdvisor:
    return PoolAdvisor(
        summary=AdvisorSummary(
            id=row.advisor_id,
            display_name=row.display_name,
            skills=words(row.skills),
            specialties=words(row.specialties),
            rating=row.rating,
            avatar_url=row.avatar_url,
        ),
        active=row.active,
        status=AvailabilityStatus(row.status),
        current_projects=row.current_projects,
        max_concurrent_projects=row.max_concurrent_projects,
        last_assigned_at=row.last_assigned_at,
        languages=words(row.languages),
        frameworks=words(row.frameworks),
        timezone=row.timezone,
        preferences=preferences_from_json(row.availability_preferences),
        version=row.version,
        profile_version=row.profile_version,
    )
