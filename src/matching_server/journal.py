"""What was committed, told to the log and to the metrics: a line for each choice of an advisor, and for each step.

A line holds ids, statuses, numbers and codes. What people wrote, and their names, stay in the database.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import structlog
from prometheus_client import Counter

from matching_server import metrics
from matching_server.domain.effects import Effects, Selection
from matching_server.domain.events import (
    EventType,
    MatchPayload,
    ProjectEvent,
    ProvisioningFailedPayload,
    ReleasedPayload,
)
from matching_server.domain.model import MatchStatus

_CODED_REASONS = frozenset({EventType.MATCH_PENDING, EventType.MATCH_EXPIRED})
"""Their reason is one of the contract's; that of other events may be in somebody's own words."""

_log = structlog.get_logger(__name__)


def tell(effects: Effects) -> None:
    """Tells of what a transaction has done; called once it has committed."""
    for selection in effects.selections:
        _tell_selection(selection)
    for event in effects.events:
        _tell_event(event)


def _tell_selection(selection: Selection) -> None:
    record = selection.record
    chosen = record["chosen"]
    runner_up = next(iter(record.get("runners_up", ())), None)
    algorithm = record["algorithm"] or ("claimed" if record.get("decided_by") else "assigned")
    _selections(algorithm).inc()
    _log.info(
        "selection",
        match_id=str(selection.match_id),
        project_id=str(selection.project_id),
        algorithm=algorithm,
        pool_size=record.get("pool_size"),
        candidates=record.get("candidates"),
        advisor_id=chosen["advisor_id"],
        score=_score(chosen),
        runner_up_id=runner_up["advisor_id"] if runner_up else None,
        runner_up_score=_score(runner_up) if runner_up else None,
        exclusions=record.get("exclusions"),
    )


def _score(candidate: dict[str, Any]) -> float | None:
    hundredths = candidate.get("score_hundredths")
    return None if hundredths is None else hundredths / 100


def _tell_event(event: ProjectEvent) -> None:
    payload = event.payload
    if isinstance(payload, MatchPayload):
        reason = payload.reason if event.type in _CODED_REASONS else None
        if payload.previous_status is None:
            _created(payload.status).inc()
        _tell_transition(event, payload.previous_status, payload.status, reason)
    elif isinstance(payload, ProvisioningFailedPayload):
        _tell_transition(event, MatchStatus.FINALIZED, payload.reverted_to, None)
    elif isinstance(payload, ReleasedPayload):
        _log.info("advisor_released", advisor_id=str(payload.advisor_id), **_of(event))


def _tell_transition(
    event: ProjectEvent, previous: MatchStatus | None, status: MatchStatus, reason: str | None
) -> None:
    _transitions(status).inc()
    _log.info(
        "transition",
        previous_status=previous.value if previous else None,
        status=status.value,
        reason=reason,
        **_of(event),
    )


def _of(event: ProjectEvent) -> dict[str, str | None]:
    """What is told of every event. One of a background step without an id of its own goes by that of the step."""
    told = {
        "match_id": str(event.match_id) if event.match_id else None,
        "project_id": str(event.project_id),
        "event_type": event.type.value,
        "actor_id": str(event.user_id) if event.user_id else None,
    }
    return told | {"correlation_id": event.correlation_id} if event.correlation_id else told


@cache
def _selections(algorithm: str) -> Counter:
    return metrics.SELECTIONS.labels(algorithm)


@cache
def _created(status: MatchStatus) -> Counter:
    return metrics.MATCHES_CREATED.labels(status.value)


@cache
def _transitions(status: MatchStatus) -> Counter:
    return metrics.TRANSITIONS.labels(status.value)
