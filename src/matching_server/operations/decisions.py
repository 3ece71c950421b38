"""The two sides' decisions."""

from __future__ import annotations

from matching_server.domain.calls import Call
from matching_server.domain.errors import EtagMismatch, MatchExpired, MatchNotFound
from matching_server.domain.model import (
    ClosedReason,
    Match,
    MatchStatus,
    RecordedDecision,
)
from matching_server.operations import approving, transitions
from matching_server.operations.commands import SubmitDecision
from matching_server.operations.policy import Policy
from matching_server.operations.runner import Runner
from matching_server.storage import matches
from matching_server.storage.database import Transaction
from matching_server.storage.event_log import lock_project_of


def submit_decision(runner: Runner, call: Call, command: SubmitDecision) -> Match:
    """Records what one side answers to an offered match; the second approval finalizes it.

    Checked in this order: a repeat of one's own decision, the etag, expiry, the transition.

    Raises:
        MatchNotFound: no such match, or the caller is not that side of it.
        EtagMismatch: the match changed since the etag was read.
        MatchExpired: its time had passed.
        InvalidTransition: its status does not allow the decision.
    """
    approved = approving.approve_at_once(runner, call, command)
    return approved or runner.run(_submit, call, command, runner.policy)


def _submit(tx: Transaction, call: Call, command: SubmitDecision, policy: Policy) -> Match | MatchExpired:
    with lock_project_of(tx, command.match_id) as log:
        # A decision is never made on another's behalf.
        match, owner = matches.lock_by_side(tx, command.match_id, command.side, call.caller)
        if log is None or match is None:
            raise MatchNotFound(command.match_id)
        earlier = match.decision_of(command.side)
        if earlier is not None and earlier.decision is command.decision:
            return transitions.expire(tx, log, match, ClosedReason.EXPIRED) if match.overdue else match
        if command.etag is not None and command.etag != match.etag:
            raise EtagMismatch(match.id)
        if match.overdue:
            transitions.expire(tx, log, match, ClosedReason.EXPIRED)
            return MatchExpired(match.id)
        if match.status is MatchStatus.EXPIRED and match.closed_reason is ClosedReason.EXPIRED:
            raise MatchExpired(match.id)
        decision = RecordedDecision(command.decision, command.reason, log.now)
        return transitions.decide(
            tx, log, match, command.side, decision, policy, actor=call.caller.user_id, owner=owner
        )
