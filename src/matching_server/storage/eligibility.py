"""Which advisors come into question for a match, in SQL: the one definition for the backlog and for claims.

It says nothing of whether they are free. ``domain.scoring`` says the same of one project's whole pool, with
the reason for each who is left out.
"""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from sqlalchemy import Connection, text

from matching_server.domain.model import ProjectComplexity
from matching_server.storage.assignments import UNSERVED
from matching_server.storage.rules import APPLIES

_FRAMEWORK = """
    CASE WHEN jsonb_typeof(p.stack -> 'framework') = 'string' THEN nullif(p.stack ->> 'framework', '') END
"""
_COMPLEXITIES = ", ".join(f"'{word}'" for word in ProjectComplexity)

# Given criteria replace the project's; whatever is odd counts as unsaid, as in ``json_values``.
_STACK = """
    CASE WHEN m.match_criteria ? 'tech_stack' THEN m.match_criteria -> 'tech_stack'
        ELSE project.technology_stack END
"""
_COMPLEXITY = f"""
    CASE WHEN m.match_criteria ->> 'project_complexity' IN ({_COMPLEXITIES})
            THEN m.match_criteria ->> 'project_complexity'
        WHEN project.project_complexity::text IN ({_COMPLEXITIES}) THEN project.project_complexity::text
        ELSE '{ProjectComplexity.MEDIUM}' END
"""

# OFFSET 0: looked up match by match, however few the planner expects to look at before it has found one.
MATCHES = f"""
    advisor_match_requests m
    CROSS JOIN LATERAL (
        SELECT project.owner_id, {_STACK} AS stack, {_COMPLEXITY} AS complexity
        FROM projects project WHERE project.id = m.project_id OFFSET 0
    ) p
    LEFT JOIN LATERAL (
        {UNSERVED.format(column="advisor_id", project_id="m.project_id", owner_id="p.owner_id")}
    ) assigned ON true
    CROSS JOIN LATERAL (
        SELECT coalesce(array_agg(r.advisor_id) FILTER (WHERE r.effect = 'exclude'), '{{}}') AS excluded,
            CASE WHEN assigned.advisor_id IS NULL
                THEN array_agg(r.advisor_id) FILTER (WHERE r.effect = 'require')
                ELSE ARRAY[assigned.advisor_id] END AS required
        FROM admin_preference_rules r
        WHERE {APPLIES.format(project_id="m.project_id", framework=_FRAMEWORK, complexity="p.complexity")}
    ) rules
"""
"""Matches ``m`` with their projects ``p``, whom an admin has ``assigned``, and, as ``rules``, whom the rules that apply
name: ``excluded``, and ``required``, which is null where nobody is. An assignment requires, over all rules."""

ELIGIBLE = """
    {advisor} IS DISTINCT FROM p.owner_id
    AND (rules.required IS NULL OR {advisor} = ANY (rules.required))
    AND NOT EXISTS (SELECT 1 FROM project_advisors pa WHERE pa.project_id = m.project_id
                    AND pa.advisor_id = {advisor} AND pa.status = 'active')
    AND NOT EXISTS (SELECT 1 FROM advisor_match_requests f WHERE f.project_id = m.project_id
                    AND f.matched_advisor_id = {advisor} AND f.status = 'finalized'
                    AND f.provisioning_state IS DISTINCT FROM 'ready')
    AND (assigned.advisor_id IS NOT NULL OR (
        {advisor} <> ALL (rules.excluded)
        AND NOT coalesce(m.match_criteria -> 'exclude_advisor_ids', '[]') ? {advisor}::text
        AND (m.allow_previous OR NOT EXISTS (
            SELECT 1 FROM advisor_match_requests d
            WHERE d.project_id = m.project_id AND d.matched_advisor_id = {advisor}
                AND ((d.status = 'client_declined' AND d.client_decided_at > clock_timestamp() - :cooldown)
                    OR (d.status = 'advisor_declined'
                        AND d.advisor_decided_at > clock_timestamp() - :cooldown))))))
"""
"""Whether an advisor, a uuid expression, comes into question for a match of ``MATCHES``; ``:cooldown`` is how
long one who declined, or was declined, does not."""

WAITING = "m.status = 'pending' AND m.expires_at > clock_timestamp()"
"""Literal, as the predicate of the index is; a match past its time waits for nobody."""

_CALLER = "CAST(:advisor_id AS uuid)"
_IS_ELIGIBLE = text(
    f"SELECT EXISTS (SELECT 1 FROM {MATCHES} WHERE m.id = :match_id AND {ELIGIBLE.format(advisor=_CALLER)})"
)

CLAIMABLE = f"""
    SELECT m.id FROM {MATCHES}
    WHERE {WAITING} AND (m.created_at, m.id) > (:after_time, :after_id) AND {ELIGIBLE.format(advisor=_CALLER)}
    ORDER BY m.created_at, m.id LIMIT :limit
"""
"""The ids of a page of the matches that ``:advisor_id`` may claim, the oldest first."""


def is_eligible(conn: Connection, match_id: UUID, advisor_id: UUID, cooldown: timedelta) -> bool:
    """Whether an advisor comes into question for a match, whatever has become of it."""
    values = {"match_id": match_id, "advisor_id": advisor_id, "cooldown": cooldown}
    return bool(conn.execute(_IS_ELIGIBLE, values).scalar_one())
