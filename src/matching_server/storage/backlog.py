"""The backlog of pending matches: whose turn it is, and who may serve it."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta
from uuid import UUID

from sqlalchemy import Connection, text

from matching_server.domain.model import Match
from matching_server.storage.eligibility import ELIGIBLE, MATCHES, WAITING

_FREE = "has_slot AND status = 'available'"

# Nobody is read twice: those who are free are kept as far as they had to be read, and where some are required
# only they are looked at.
_NEXT_SERVABLE = text(
    f"""
    WITH free AS MATERIALIZED (SELECT advisor_id FROM advisor_availability WHERE {_FREE})
    SELECT m.project_id, m.id
    FROM {MATCHES}
    WHERE {WAITING} AND m.id <> ALL (CAST(:tried AS uuid[])) AND EXISTS (SELECT 1 FROM free)
        AND CASE WHEN rules.required IS NULL
            THEN EXISTS (SELECT 1 FROM free a WHERE {ELIGIBLE.format(advisor="a.advisor_id")})
            ELSE EXISTS (
                SELECT 1 FROM advisor_availability a
                WHERE a.advisor_id = ANY (rules.required) AND {_FREE}
                    AND {ELIGIBLE.format(advisor="a.advisor_id")})
            END
    ORDER BY m.created_at, m.id LIMIT 1
    """
)
_OLDER_FOR = text(
    f"""
    SELECT m.id FROM {MATCHES}
    WHERE {WAITING} AND (m.created_at, m.id) < (:created_at, :match_id) AND m.id <> ALL (CAST(:but AS uuid[]))
        AND {ELIGIBLE.format(advisor="CAST(:advisor_id AS uuid)")}
    LIMIT 1
    """
)


def next_servable(
    conn: Connection, cooldown: timedelta, tried: Collection[UUID] = ()
) -> tuple[UUID, UUID] | None:
    """The oldest pending match for which an advisor is free, as (project, match); those ``tried`` aside."""
    row = conn.execute(_NEXT_SERVABLE, {"cooldown": cooldown, "tried": list(tried)}).one_or_none()
    return (row.project_id, row.id) if row else None


def older_for(
    conn: Connection, match: Match, advisor_id: UUID, cooldown: timedelta, but: Collection[UUID] = ()
) -> UUID | None:
    """A pending match, older than this one, for which the advisor comes into question; those in ``but`` aside."""
    params = {
        "match_id": match.id,
        "created_at": match.created_at,
        "advisor_id": advisor_id,
        "cooldown": cooldown,
        "but": list(but),
    }
    return conn.execute(_OLDER_FOR, params).scalar_one_or_none()


_TRY_TURN = text("SELECT pg_try_advisory_xact_lock(hashtext('advisor_matching.backlog'))")


def take_backlog_turn(conn: Connection) -> bool:
    """The right to serve the backlog until the transaction ends: one at a time for all servers."""
    return bool(conn.execute(_TRY_TURN).scalar_one())
