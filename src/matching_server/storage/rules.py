"""Preference rules, and which of them apply to a project."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg
from sqlalchemy import Connection, Row, func, insert, select, tuple_, update
from sqlalchemy.exc import IntegrityError

from matching_server.domain.errors import AdvisorNotFound, ProjectNotFound
from matching_server.domain.model import ProjectComplexity
from matching_server.domain.rules import PreferenceRule, RuleEffect, RuleTerms
from matching_server.storage.database import Transaction
from matching_server.storage.tables import admin_preference_rules

_rules = admin_preference_rules.c

APPLIES = """
    r.deleted_at IS NULL
    AND r.applies_to = ANY (ARRAY[
        'all',
        'project:' || {project_id}::text,
        'framework:' || lower({framework}),
        'complexity:' || {complexity}
    ])
    AND (r.active_from IS NULL OR r.active_from <= statement_timestamp())
    AND (r.active_until IS NULL OR r.active_until > statement_timestamp())
"""
"""Whether the rule ``r`` applies now, to a project of that id, framework (null: none) and complexity: SQL
expressions. A match has the framework and complexity of its criteria, where they are given."""


def add(tx: Transaction, terms: RuleTerms, created_by: UUID) -> PreferenceRule:
    """Stores a new rule.

    Raises:
        AdvisorNotFound: no such advisor.
        ProjectNotFound: no such project.
    """
    values = {
        "advisor_id": terms.advisor_id,
        "effect": terms.effect.value,
        "boost": terms.boost if terms.effect is RuleEffect.BOOST else None,
        "project_id": terms.project_id,
        "framework": terms.framework,
        "complexity": terms.complexity.value if terms.complexity else None,
        "active_from": terms.active_from,
        "active_until": terms.active_until,
        "reason": terms.reason,
        "created_by": created_by,
    }
    try:
        row = tx.conn.execute(
            insert(admin_preference_rules).values(values).returning(admin_preference_rules)
        ).one()
    except IntegrityError as error:
        # Not looked for beforehand: the platform may delete them in between.
        match _missing(error):
            case "fk_admin_preference_rules_advisor_id":
                raise AdvisorNotFound(terms.advisor_id) from None
            case "fk_admin_preference_rules_project_id" if terms.project_id is not None:
                raise ProjectNotFound(terms.project_id) from None
        raise
    return _rule(row)


def _missing(error: IntegrityError) -> str | None:
    """The reference that leads nowhere, by the name of its constraint."""
    fault = error.orig
    return fault.diag.constraint_name if isinstance(fault, psycopg.errors.ForeignKeyViolation) else None


def delete(tx: Transaction, rule_id: UUID) -> bool:
    """Ends a rule, or leaves one that has ended as it is. Returns whether there ever was such a rule."""
    statement = (
        update(admin_preference_rules)
        .where(_rules.id == rule_id)
        .values(deleted_at=func.coalesce(_rules.deleted_at, func.clock_timestamp()))
    )
    return tx.conn.execute(statement).rowcount > 0


def list_page(conn: Connection, *, before: tuple[datetime, UUID] | None, limit: int) -> list[PreferenceRule]:
    """A page of the rules that are not deleted, newest first, those after the ``before`` position."""
    query = select(admin_preference_rules).where(_rules.deleted_at.is_(None))
    if before is not None:
        query = query.where(tuple_(_rules.created_at, _rules.id) < tuple_(*before))
    query = query.order_by(_rules.created_at.desc(), _rules.id.desc()).limit(limit)
    return [_rule(row) for row in conn.execute(query)]


def _rule(row: Row[Any]) -> PreferenceRule:
    return PreferenceRule(
        id=row.id,
        advisor_id=row.advisor_id,
        effect=RuleEffect(row.effect),
        boost=row.boost or 0.0,
        project_id=row.project_id,
        framework=row.framework,
        complexity=ProjectComplexity(row.complexity) if row.complexity else None,
        active_from=row.active_from,
        active_until=row.active_until,
        reason=row.reason,
        created_by=row.created_by,
        created_at=row.created_at,
    )
