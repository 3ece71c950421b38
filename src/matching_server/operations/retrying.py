"""An admin has the workspace of a match tried again, or made by hand where nothing has queued it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from matching_server.domain.calls import Call
from matching_server.domain.errors import (
    AdvisorInactive,
    InvalidTransition,
    JobNotFound,
    MatchExpired,
    MatchNotFound,
)
from matching_server.domain.events import EventType, MatchPayload
from matching_server.domain.interventions import InterventionType
from matching_server.domain.lifecycle import Action, next_status
from matching_server.domain.model import (
    AssignmentType,
    ClosedReason,
    Decision,
    Match,
    MatchStatus,
    ProvisioningState,
    RecordedDecision,
    Side,
)
from matching_server.operations import failures, transitions
from matching_server.operations.commands import RetriedProvisioning
from matching_server.operations.runner import Runner
from matching_server.storage import availability, interventions, jobs, matches, provisioning
from matching_server.storage.database import Transaction
from matching_server.storage.event_log import ProjectLog, lock_project


def retry_provisioning(
    runner: Runner, call: Call, match_id: UUID, encode: Callable[[RetriedProvisioning], bytes]
) -> RetriedProvisioning | bytes:
    """Queues a new job for a match that was rolled back, which is finalized again, or finalized without a job.

    Whether workspaces are made by themselves does not matter here.

    Returns:
        The match with its job, or the bytes of the answer that the same request got before.

    Raises:
        MatchNotFound: no such match.
        MatchExpired: its time had passed.
        JobNotFound: it was never finalized.
        InvalidTransition: it has closed, its workspace is being made or is there, or its project has moved on.
        AdvisorInactive: its advisor was deactivated, or is gone.
    """
    return runner.run_once(_retry, call, encode, match_id)


def _retry(tx: Transaction, call: Call, match_id: UUID) -> RetriedProvisioning | MatchExpired:
    project_id = matches.project_of(tx.conn, match_id)
    if project_id is None:
        raise MatchNotFound(match_id)
    with lock_project(tx, project_id) as log:
        match = matches.lock(tx, match_id)
        if log is None or match is None:
            raise MatchNotFound(match_id)
        if match.overdue:
            transitions.expire(tx, log, match, ClosedReason.EXPIRED)
            return MatchExpired(match_id)
        _check(tx, match)
        queued = _queue(tx, log, match, call.caller.user_id)
        job = jobs.newest_of(tx.conn, match_id)
        assert job is not None
        return RetriedProvisioning(queued, job)


def _check(tx: Transaction, match: Match) -> None:
    if match.status is MatchStatus.EXPIRED and match.closed_reason is ClosedReason.EXPIRED:
        raise MatchExpired(match.id)
    if not _was_finalized(tx, match):
        raise JobNotFound(match.id)
    if match.status is not MatchStatus.FINALIZED:
        next_status(match.status, Action.RETRY_PROVISIONING, match.id)
    elif match.provisioning_state is ProvisioningState.QUEUED:
        raise _refused(match, "its workspace is being made")
    elif match.provisioning_state is ProvisioningState.READY:
        raise _refused(match, "its workspace is ready")
    elif matches.lock_unsettled(tx, match.project_id) is not None:
        # Settled without a workspace, it did not keep the project from asking again.
        raise _refused(match, "its project has another match that is not settled")
    advisor_id = match.matched_advisor_id
    assert advisor_id is not None
    # Locked: a deactivation comes either before, or after the job that it lets fail.
    advisor = availability.lock(tx, advisor_id)
    if advisor is None or not advisor.advisor_active:
        raise AdvisorInactive(advisor_id)


def _was_finalized(tx: Transaction, match: Match) -> bool:
    return (
        MatchStatus.FINALIZED in (match.status, match.previous_status)
        or jobs.newest_of(tx.conn, match.id) is not None
    )


def _refused(match: Match, because: str) -> InvalidTransition:
    return InvalidTransition(match.status, MatchStatus.FINALIZED, match.id, because=because)


def _queue(tx: Transaction, log: ProjectLog, match: Match, admin: UUID) -> Match:
    restored = _restored(tx, log, match)
    queued = matches.queue_again(tx, match, restored)
    if match.status is not MatchStatus.FINALIZED:
        log.append(EventType.FINALIZED, MatchPayload.of(queued, queued.status, match.status), user_id=admin)
    provisioning.enqueue(tx, queued)
    interventions.log(
        tx,
        InterventionType.PROVISIONING_RETRIED,
        match_id=match.id,
        project_id=match.project_id,
        reason=None,
        details={"from": match.status.value, "restored": [side.value for side in restored]},
    )
    return queued


def _restored(tx: Transaction, log: ProjectLog, match: Match) -> dict[Side, RecordedDecision]:
    """The decisions that the rollback withdrew, as they were given; in an emergency nobody may have decided."""
    failure = interventions.newest(tx.conn, match.id, InterventionType.PROVISIONING_FAILURE)
    details: Any = failure.metadata if failure is not None else {}
    restored = {}
    for side in Side:
        decision = failures.withdrawn_decision(details, side)
        if decision is None and match.assignment_type is not AssignmentType.EMERGENCY:
            # That it approved is certain: the match was finalized.
            decision = RecordedDecision(Decision.APPROVED, None, log.now)
        if decision is not None and match.decision_of(side) is None:
            restored[side] = decision
    return restored
