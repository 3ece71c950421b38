"""What ranking needs to know: the advisors of the pool, and how a project stands to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, select, text

from matching_server.domain.model import (
    AdvisorSummary,
    AvailabilityStatus,
    ProjectComplexity,
    TechStack,
)
from matching_server.domain.scoring import PoolAdvisor
from matching_server.storage.json_values import complexity, preferences_from_json, tech_stack_from_json
from matching_server.storage.tables import advisor_availability, advisors

_POOL = select(
    advisors,
    advisor_availability.c.status,
    advisor_availability.c.current_projects,
    advisor_availability.c.max_concurrent_projects,
    advisor_availability.c.last_assigned_at,
    advisor_availability.c.availability_preferences,
).join(advisor_availability, advisor_availability.c.advisor_id == advisors.c.id)


def load(conn: Connection, only: Sequence[UUID] | None = None) -> list[PoolAdvisor]:
    """Every advisor, inactive ones included, or those named."""
    query = _POOL if only is None else _POOL.where(advisors.c.id.in_(only))
    return [_advisor(row) for row in conn.execute(query)]


def _advisor(row: Row[Any]) -> PoolAdvisor:
    return PoolAdvisor(
        summary=AdvisorSummary(
            id=row.id,
            display_name=row.display_name,
            skills=tuple(row.skills),
            specialties=tuple(row.specialties),
            rating=row.rating,
            avatar_url=row.avatar_url,
        ),
        active=row.active,
        status=AvailabilityStatus(row.status),
        current_projects=row.current_projects,
        max_concurrent_projects=row.max_concurrent_projects,
        last_assigned_at=row.last_assigned_at,
        languages=tuple(row.languages),
        frameworks=tuple(row.frameworks),
        timezone=row.timezone,
        preferences=preferences_from_json(row.availability_preferences),
    )


@dataclass(frozen=True, slots=True)
class ProjectContext:
    """A project as matching sees it."""

    project_id: UUID
    owner_id: UUID
    tech_stack: TechStack
    complexity: ProjectComplexity
    owner_timezone: str | None
    owner_locale: str | None
    already_active: frozenset[UUID]
    """Advisors with an active access row, or finalized and yet without one."""
    cooling_down: frozenset[UUID]
    """Advisors who declined, or were declined by, this project within the cool-down."""
    others_wait: bool
    """Another project's match is pending."""


_CONTEXT = text(
    """
    SELECT p.owner_id, p.technology_stack, p.project_complexity, u.timezone, u.locale,
        ARRAY(SELECT advisor_id FROM project_advisors
              WHERE project_id = p.id AND status = 'active'
              UNION
              SELECT matched_advisor_id FROM advisor_match_requests
              WHERE project_id = p.id AND status = 'finalized'
                AND provisioning_state IS DISTINCT FROM 'ready') AS already_active,
        ARRAY(SELECT matched_advisor_id FROM advisor_match_requests
              WHERE project_id = p.id AND matched_advisor_id IS NOT NULL
                AND ((status = 'client_declined' AND client_decided_at > clock_timestamp() - :cooldown)
                  OR (status = 'advisor_declined' AND advisor_decided_at > clock_timestamp() - :cooldown))
             ) AS cooling_down,
        EXISTS(SELECT 1 FROM advisor_match_requests
               WHERE status = 'pending' AND project_id <> p.id) AS others_wait
    FROM projects p LEFT JOIN auth.users u ON u.id = p.owner_id
    WHERE p.id = :project_id
    """
)


def project_context(conn: Connection, project_id: UUID, cooldown: timedelta) -> ProjectContext | None:
    """How a project stands to the pool, ``None`` where there is no such project."""
    row = conn.execute(_CONTEXT, {"project_id": project_id, "cooldown": cooldown}).one_or_none()
    if row is None:
        return None
    return ProjectContext(
        project_id=project_id,
        owner_id=row.owner_id,
        tech_stack=tech_stack_from_json(row.technology_stack),
        complexity=complexity(row.project_complexity) or ProjectComplexity.MEDIUM,
        owner_timezone=row.timezone,
        owner_locale=row.locale,
        already_active=frozenset(row.already_active),
        cooling_down=frozenset(row.cooling_down),
        others_wait=row.others_wait,
    )


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
