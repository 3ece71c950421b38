"""Interventions: what an admin did to matching by hand, and what the service had to do beyond its ordinary course."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID


class InterventionType(StrEnum):
    """The kinds of interventions."""

    ADVISOR_ASSIGNED = "advisor_assigned"
    ADVISOR_RELEASED = "advisor_released"
    ADVISOR_DEACTIVATED = "advisor_deactivated"
    PROVISIONING_FAILURE = "workspace_provisioning_failure"
    PROVISIONING_RETRIED = "provisioning_retried"
    INVARIANT_REPAIR = "invariant_repair"


@dataclass(frozen=True, slots=True)
class Intervention:
    """An intervention as it was logged. ``created_by`` of ``None``: the service itself."""

    id: UUID
    match_id: UUID | None
    project_id: UUID | None
    intervention_type: str
    """A member of ``InterventionType``, unless the platform's own SQL has put it in."""
    reason: str | None
    metadata: Mapping[str, Any]
    created_by: UUID | None
    created_at: datetime
