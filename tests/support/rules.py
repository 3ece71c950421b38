"""Which preference rules apply, asked with the condition that the service's queries are made of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, text

from matching_server.domain.model import ProjectComplexity
from matching_server.storage.rules import APPLIES

_APPLYING = text(
    "SELECT r.id, r.advisor_id, r.effect FROM admin_preference_rules r WHERE"
    + APPLIES.format(
        project_id="CAST(:project_id AS uuid)",
        framework="CAST(:framework AS text)",
        complexity="CAST(:complexity AS text)",
    )
)


def applying(
    conn: Connection, project_id: UUID, framework: str | None, complexity: ProjectComplexity
) -> Sequence[Row[Any]]:
    """The rules that apply now to a project, or to a match of it with that framework and complexity."""
    values = {"project_id": project_id, "framework": framework, "complexity": complexity.value}
    return conn.execute(_APPLYING, values).all()
