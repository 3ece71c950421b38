"""What is within a caller's reach: ownership, and having a part in a project, as conditions of SQL.

A statement that reads or locks for a caller has one of these in its WHERE, so what is not theirs is not there. ``p``
is the project.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import Connection, text

from matching_server.domain.model import ActorType, Caller, Role
from matching_server.storage.tables import HELD

OWNED = "(:for_platform OR p.owner_id = :as_client)"
ADVISED = (
    "EXISTS (SELECT FROM project_advisors x"
    " WHERE x.project_id = p.id AND x.advisor_id = :as_advisor AND x.status = 'active')"
)
_OFFERS = (
    "SELECT m.id FROM advisor_match_requests m"
    f" WHERE m.project_id = p.id AND m.matched_advisor_id = :as_advisor AND ({HELD})"
)
READABLE = f"({OWNED} OR {ADVISED} OR EXISTS ({_OFFERS}))"
"""For its owner, its active advisors, those it is offered to, and the platform."""

_OWNED = text(f"SELECT EXISTS (SELECT FROM projects p WHERE p.id = :project_id AND {OWNED})")
_PLACE = text(
    f"""
    SELECT CASE WHEN p.owner_id = :as_client THEN '{ActorType.CLIENT}' WHEN {ADVISED} THEN '{ActorType.ADVISOR}'
        ELSE '{ActorType.ASSISTANT}' END
    FROM projects p
    WHERE p.id = :project_id AND (:for_service OR p.owner_id = :as_client OR {ADVISED})
    """
)
_PARTS = text(
    f"""
    SELECT {OWNED} AS owned, {ADVISED} AS advised, ARRAY({_OFFERS}) AS offered
    FROM projects p WHERE p.id = :project_id AND {READABLE}
    """
)

_OWNED_AMONG = text(
    """
    SELECT seen.place - 1
    FROM unnest(CAST(:project_ids AS uuid[]), CAST(:for_platform AS boolean[]), CAST(:as_client AS uuid[]))
        WITH ORDINALITY AS seen (project_id, for_platform, as_client, place)
    JOIN projects p ON p.id = seen.project_id AND (seen.for_platform OR p.owner_id = seen.as_client)
    """
)


def reach(caller: Caller) -> dict[str, object]:
    """The parameters of the conditions: as whom the caller reaches what they do, ``None`` where not in that role."""
    return {
        "for_platform": caller.acts_for_platform,
        "as_client": caller.user_id if Role.CLIENT in caller.roles else None,
        "as_advisor": caller.user_id if Role.ADVISOR in caller.roles else None,
    }


def owns(conn: Connection, caller: Caller, project_id: UUID) -> bool:
    """Whether the project is there, and the caller's or reached for the platform."""
    return bool(conn.execute(_OWNED, _of(caller, project_id)).scalar_one())


def owned_among(conn: Connection, reached: Sequence[tuple[UUID, Caller]]) -> set[int]:
    """The places in the list of those whose caller owns the project, or reaches it for the platform."""
    callers = [reach(caller) for _, caller in reached]
    params = {
        "project_ids": [project_id for project_id, _ in reached],
        "for_platform": [caller["for_platform"] for caller in callers],
        "as_client": [caller["as_client"] for caller in callers],
    }
    return set(conn.execute(_OWNED_AMONG, params).scalars())


def place_in_chat(conn: Connection, caller: Caller, project_id: UUID) -> ActorType | None:
    """As what the caller takes part in a project's chat: its owner, an active advisor, or else a service.

    ``None``: not at all, or there is no such project. An admin has no part in it.
    """
    params = _of(caller, project_id) | {"for_service": Role.SERVICE in caller.roles}
    word = conn.execute(_PLACE, params).scalar_one_or_none()
    return None if word is None else ActorType(word)


def parts(conn: Connection, caller: Caller, project_id: UUID) -> tuple[bool, bool, list[UUID]] | None:
    """How the caller has a part in a project; ``None``: in no way, or there is no such project.

    Returns:
        Whether as its owner or for the platform, whether as an active advisor, and the matches that they are offered,
        or that are theirs and have no access row yet.
    """
    row = conn.execute(_PARTS, _of(caller, project_id)).one_or_none()
    return None if row is None else (row.owned, row.advised, list(row.offered))


def _of(caller: Caller, project_id: UUID) -> dict[str, object]:
    return {"project_id": project_id, **reach(caller)}
