"""What a provisioning that failed for good leaves: an intervention, an alert, and what is needed to try again."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from matching_server.domain.interventions import InterventionType
from matching_server.domain.model import Decision, Match, RecordedDecision, Side
from matching_server.domain.notifications import NotificationType
from matching_server.storage import interventions, outbox
from matching_server.storage.database import Transaction


def log(tx: Transaction, match: Match, error: str, failed_at: datetime, details: dict[str, Any]) -> None:
    """The intervention that a failure for good leaves; ``details`` beyond what the alert says."""
    interventions.log(
        tx,
        InterventionType.PROVISIONING_FAILURE,
        match_id=match.id,
        project_id=match.project_id,
        reason=error,
        details={**_failure(match, error, failed_at), **details},
        happened_at=failed_at,
    )


def alert(tx: Transaction, match: Match, error: str, failed_at: datetime) -> None:
    """Tells every admin of a failure for good."""
    payload = _failure(match, error, failed_at)
    outbox.enqueue(tx, NotificationType.PROVISIONING_FAILURE, outbox.admins(tx), payload, high_priority=True)


def _failure(match: Match, error: str, failed_at: datetime) -> dict[str, Any]:
    return {
        "matchId": str(match.id),
        "projectId": str(match.project_id),
        "reason": error,
        "timestamp": failed_at.isoformat(),
    }


def withdrawn(match: Match, reverted: Match) -> dict[str, Any]:
    """The decisions that a rollback took back, by side: RetryProvisioning restores them."""
    return {
        side.value: {"reason": given.reason, "decidedAt": given.decided_at.isoformat()}
        for side in Side
        if (given := match.decision_of(side)) is not None and reverted.decision_of(side) is None
    }


def withdrawn_decision(details: Mapping[str, Any], side: Side) -> RecordedDecision | None:
    """A side's approval out of what ``log`` has kept of a rollback."""
    kept = details.get("withdrawn", {}).get(side.value)
    if kept is None:
        return None
    return RecordedDecision(Decision.APPROVED, kept["reason"], datetime.fromisoformat(kept["decidedAt"]))
