"""How a project stands to the pool, and how far its log is, in one query."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from matching_server.domain.model import Caller, MatchCriteria, ProjectComplexity, TechStack
from matching_server.domain.rules import RuleEffect, RulesInForce
from matching_server.storage.assignments import UNSERVED
from matching_server.storage.database import Ask
from matching_server.storage.json_values import complexity, tech_stack_from_json
from matching_server.storage.reach import reach
from matching_server.storage.rules import APPLIES
from matching_server.storage.tables import OPEN, UNSETTLED


@dataclass(frozen=True, slots=True)
class ProjectContext:
    """A project as matching sees it, for one request's criteria."""

    project_id: UUID
    owner_id: UUID
    tech_stack: TechStack
    complexity: ProjectComplexity
    owner_timezone: str | None
    already_active: frozenset[UUID]
    """Advisors with an active access row, or finalized and yet without one."""
    cooling_down: frozenset[UUID]
    """Advisors who declined, or were declined by, this project within the cool-down."""
    others_wait: bool
    """Another project's match is pending."""
    unsettled: bool
    """The project has a match that is open or being provisioned."""
    overdue: UUID | None
    """The project's match that is open past its time."""
    last_seq: int | None
    """Where the project's log ends, ``None`` where it has none: unchanged, it says that no match of the project has
    changed."""
    now: datetime
    """The database's clock."""
    rules: RulesInForce
    assignment_id: UUID | None
    """The admin's assignment that waits for its match."""


# Given criteria replace the project's; whatever is odd counts as unsaid, as in ``json_values``.
_FRAMEWORK = """
    CASE WHEN %(stack_given)s THEN CAST(%(framework)s AS text)
        WHEN jsonb_typeof(p.technology_stack -> 'framework') = 'string'
            THEN nullif(p.technology_stack ->> 'framework', '') END
"""
_COMPLEXITY = f"""
    CASE WHEN CAST(%(complexity)s AS text) IS NOT NULL THEN %(complexity)s
        WHEN p.project_complexity::text IN ({", ".join(f"'{word}'" for word in ProjectComplexity)})
            THEN p.project_complexity::text
        ELSE '{ProjectComplexity.MEDIUM}' END
"""
_CONTEXT = f"""
SELECT p.owner_id, p.technology_stack, p.project_complexity, u.timezone, clock_timestamp() AS now,
    ({UNSERVED.format(column="id", project_id="p.id", owner_id="p.owner_id")}) AS assignment_id,
    (SELECT json_agg(json_build_array(r.advisor_id, r.effect, r.boost))
     FROM admin_preference_rules r
     WHERE {APPLIES.format(project_id="p.id", framework=_FRAMEWORK, complexity=_COMPLEXITY)}) AS rules,
    (SELECT last_seq FROM project_event_heads WHERE project_id = p.id) AS last_seq,
    ARRAY(SELECT advisor_id FROM project_advisors
          WHERE project_id = p.id AND status = 'active'
          UNION ALL
          SELECT matched_advisor_id FROM advisor_match_requests
          WHERE project_id = p.id AND status = 'finalized'
            AND provisioning_state IS DISTINCT FROM 'ready') AS already_active,
    ARRAY(SELECT matched_advisor_id FROM advisor_match_requests
          WHERE project_id = p.id AND matched_advisor_id IS NOT NULL
            AND ((status = 'client_declined' AND client_decided_at > clock_timestamp() - %(cooldown)s)
              OR (status = 'advisor_declined' AND advisor_decided_at > clock_timestamp() - %(cooldown)s))
         ) AS cooling_down,
    EXISTS(SELECT FROM advisor_match_requests WHERE project_id = p.id AND ({UNSETTLED})) AS unsettled,
    (SELECT id FROM advisor_match_requests
     WHERE project_id = p.id AND {OPEN} AND expires_at <= clock_timestamp()) AS overdue,
    EXISTS(SELECT FROM advisor_match_requests
           WHERE status = 'pending' AND project_id <> p.id) AS others_wait
FROM projects p LEFT JOIN auth.users u ON u.id = p.owner_id
WHERE p.id = %(project_id)s AND (%(for_anybody)s OR p.owner_id = %(as_client)s)
"""


def project_context(
    ask: Ask,
    project_id: UUID,
    criteria: MatchCriteria,
    cooldown: timedelta,
    *,
    caller: Caller | None = None,
) -> ProjectContext | None:
    """How a project stands to the pool, ``None`` where there is no such project, or not for the caller.

    ``ask`` is ``Database.ask``, or in a transaction ``asking`` its connection. Without a caller it is any project.
    """
    reached = reach(caller) if caller is not None else {"for_platform": True, "as_client": None}
    stack = criteria.tech_stack
    params = {
        "project_id": project_id,
        "for_anybody": reached["for_platform"],
        "as_client": reached["as_client"],
        "cooldown": cooldown,
        "stack_given": stack is not None,
        "framework": stack.framework if stack else None,
        "complexity": criteria.project_complexity.value if criteria.project_complexity else None,
    }
    row = ask(_CONTEXT, params)
    if row is None:
        return None
    owner_id, stored_stack, stored_complexity, timezone, now, assignment_id, rules, last_seq, *held = row
    already_active, cooling_down, unsettled, overdue, others_wait = held
    return ProjectContext(
        project_id=project_id,
        owner_id=owner_id,
        tech_stack=stack or tech_stack_from_json(stored_stack),
        complexity=criteria.project_complexity or complexity(stored_complexity) or ProjectComplexity.MEDIUM,
        owner_timezone=timezone,
        already_active=frozenset(already_active),
        cooling_down=frozenset(cooling_down),
        others_wait=others_wait,
        unsettled=unsettled,
        overdue=overdue,
        last_seq=last_seq,
        now=now,
        assignment_id=assignment_id,
        rules=RulesInForce.of((UUID(id_), RuleEffect(effect), boost) for id_, effect, boost in rules or ()),
    )
