"""The usual approval, in two statements: look at the match, then record the decision with all that goes with it.

Whatever is not usual (a repeat, an etag, a match past its time or in another status, a decline, another transaction on
the project) is left to the transaction of ``operations.decisions``, which knows every case.
"""

from __future__ import annotations

from dataclasses import replace

from matching_server.domain.calls import Call
from matching_server.domain.effects import Effects
from matching_server.domain.errors import InvalidTransition
from matching_server.domain.events import EventType, MatchPayload, ProjectEvent
from matching_server.domain.lifecycle import decision_action, next_status
from matching_server.domain.model import (
    Decision,
    Match,
    MatchStatus,
    ProvisioningState,
    RecordedDecision,
    Side,
)
from matching_server.domain.trace import TRACEPARENT
from matching_server.operations.commands import SubmitDecision
from matching_server.operations.runner import Runner
from matching_server.operations.transitions import DECISION_EVENTS, notification_payload
from matching_server.storage import approvals
from matching_server.storage.approvals import Approval, Looked


def approve_at_once(runner: Runner, call: Call, command: SubmitDecision) -> Match | None:
    """Records the approval, or changes nothing and returns ``None`` where the case is not the usual one."""
    if command.decision is not Decision.APPROVED:
        return None
    seen = approvals.look(runner.database, command.match_id, command.side, call)
    if seen is None or seen.match.overdue or command.etag not in (None, seen.match.etag):
        return None
    try:
        target = next_status(
            seen.match.status, decision_action(command.side, command.decision), command.match_id
        )
    except InvalidTransition:
        return None
    approval = _approval(call, command, seen, target, auto_provision=runner.policy.auto_provision)
    approved = approvals.make(runner.database, approval)
    if approved is not None:
        runner.committed(_effects(approval))
    return approved


def _approval(
    call: Call, command: SubmitDecision, seen: Looked, target: MatchStatus, *, auto_provision: bool
) -> Approval:
    decision = RecordedDecision(Decision.APPROVED, command.reason, seen.now)
    queued = target is MatchStatus.FINALIZED and auto_provision
    approved = replace(
        seen.match.with_decision(command.side, decision),
        status=target,
        previous_status=seen.match.status,
        provisioning_state=ProvisioningState.QUEUED if queued else None,
    )
    by_advisor = command.side is Side.ADVISOR
    return Approval(
        call=call,
        side=command.side,
        seen=seen.match,
        decision=decision,
        approved=approved,
        events=_events(call, command, seen, approved),
        notification=notification_payload(approved, command.reason) if by_advisor else None,
    )


def _events(call: Call, command: SubmitDecision, seen: Looked, approved: Match) -> tuple[ProjectEvent, ...]:
    type_, told_as = DECISION_EVENTS[decision_action(command.side, command.decision)]
    previous = seen.match.status
    steps = [(type_, MatchPayload.of(approved, told_as, previous, command.reason))]
    if approved.status is MatchStatus.FINALIZED:
        steps.append((EventType.FINALIZED, MatchPayload.of(approved, approved.status, previous)))
    return tuple(
        ProjectEvent(
            approved.project_id,
            seen.last_seq + place,
            step,
            payload,
            call.caller.user_id,
            call.correlation_id,
            seen.now,
            TRACEPARENT.get(),
        )
        for place, (step, payload) in enumerate(steps, start=1)
    )


def _effects(approval: Approval) -> Effects:
    return Effects(
        events=list(approval.events),
        notification_queued=approval.notification is not None,
        job_queued=approval.approved.provisioning_state is ProvisioningState.QUEUED,
    )
