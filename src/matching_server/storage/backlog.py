"""The backlog of pending matches: whose turn it is, and who may serve it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from sqlalchemy import Connection, text

_NEXT_SERVABLE = text(
    """
    SELECT m.project_id, m.id
    FROM advisor_match_requests m JOIN projects p ON p.id = m.project_id
    WHERE m.status = 'pending' AND m.expires_at > clock_timestamp() AND m.id <> ALL (CAST(:tried AS uuid[]))
      AND EXISTS (SELECT 1 FROM advisor_availability WHERE has_slot AND status = 'available')
      AND EXISTS (
        SELECT 1 FROM advisor_availability a
        WHERE a.has_slot AND a.status = 'available' AND a.advisor_id <> p.owner_id
          AND NOT COALESCE(m.match_criteria -> 'exclude_advisor_ids', '[]') ? a.advisor_id::text
          AND NOT EXISTS (SELECT 1 FROM project_advisors pa WHERE pa.project_id = m.project_id
                          AND pa.advisor_id = a.advisor_id AND pa.status = 'active')
          AND NOT EXISTS (SELECT 1 FROM advisor_match_requests f WHERE f.project_id = m.project_id
                          AND f.matched_advisor_id = a.advisor_id AND f.status = 'finalized'
                          AND f.provisioning_state IS DISTINCT FROM 'ready')
          AND (m.allow_previous OR NOT EXISTS (
                SELECT 1 FROM advisor_match_requests d
                WHERE d.project_id = m.project_id AND d.matched_advisor_id = a.advisor_id
                  AND ((d.status = 'client_declined' AND d.client_decided_at > clock_timestamp() - :cooldown)
                    OR (d.status = 'advisor_declined'
                        AND d.advisor_decided_at > clock_timestamp() - :cooldown)))))
    ORDER BY m.created_at, m.id LIMIT 1
    """
)


def next_servable(
    conn: Connection, cooldown: timedelta, tried: Sequence[UUID] = ()
) -> tuple[UUID, UUID] | None:
    """The oldest pending match for which an advisor is free, as (project, match); those ``tried`` aside."""
    row = conn.execute(_NEXT_SERVABLE, {"cooldown": cooldown, "tried": list(tried)}).one_or_none()
    return (row.project_id, row.id) if row else None


_TRY_TURN = text("SELECT pg_try_advisory_xact_lock(hashtext('advisor_matching.backlog'))")


def take_backlog_turn(conn: Connection) -> bool:
    """The right to serve the backlog until the transaction ends: one at a time for all servers."""
    return bool(conn.execute(_TRY_TURN).scalar_one())
