"""The steps of a match with all that belongs to each: status, capacity, event, notifications, job.

Each function makes one step inside a transaction that holds the project's log, and returns the match as it
then is. Which steps are legal is ``domain.lifecycle``'s to say.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from matching_server.domain.effects import Selection
from matching_server.domain.events import EventType, MatchPayload
from matching_server.domain.lifecycle import Action, decision_action, next_status
from matching_server.domain.model import (
    ClosedReason,
    Decision,
    Match,
    MatchStatus,
    ProvisioningState,
    RecordedDecision,
    Side,
)
from matching_server.domain.notifications import NotificationType
from matching_server.operations.policy import Policy
from matching_server.storage import assignments, availability, directory, matches, outbox, provisioning
from matching_server.storage.database import Transaction
from matching_server.storage.event_log import ProjectLog

DECISION_EVENTS = {
    Action.CLIENT_APPROVE: (EventType.CLIENT_APPROVED, MatchStatus.CLIENT_APPROVED),
    Action.ADVISOR_ACCEPT: (EventType.ACCEPTED, MatchStatus.ADVISOR_ACCEPTED),
    Action.CLIENT_DECLINE: (EventType.MATCH_DECLINED, MatchStatus.CLIENT_DECLINED),
    Action.ADVISOR_DECLINE: (EventType.MATCH_DECLINED, MatchStatus.ADVISOR_DECLINED),
}
"""What watchers are told of a decision: where it finalizes, the finalizing is an event of its own."""


def create_pending(tx: Transaction, log: ProjectLog, match: Match, actor: UUID) -> Match:
    """A new match for which nobody is free."""
    next_status(None, Action.CREATE_PENDING)
    created = matches.add(tx, match)
    reason = match.pending_reason.value if match.pending_reason else None
    log.append(EventType.MATCH_PENDING, MatchPayload.of(created, created.status, None, reason), user_id=actor)
    return created


def create_matched(
    tx: Transaction,
    log: ProjectLog,
    match: Match,
    claim: matches.ClaimRecord,
    policy: Policy,
    *,
    auto_accept: bool,
    actor: UUID,
    waited: bool = False,
) -> Match:
    """A new match that has its advisor at once; an owner who has ``waited`` for one is told."""
    next_status(None, Action.CREATE_MATCHED)
    created = matches.add(tx, match, claim=claim)
    _selected(tx, created, claim)
    if waited:
        _notify_owner(tx, created, NotificationType.ADVISOR_FOUND)
    return _offered(tx, log, created, None, policy, auto_accept=auto_accept, actor=actor)


def serve_pending(
    tx: Transaction,
    log: ProjectLog,
    match: Match,
    claim: matches.ClaimRecord,
    policy: Policy,
    *,
    auto_accept: bool,
    actor: UUID | None = None,
) -> Match:
    """A waiting match gets its advisor; its owner has waited and is told. ``actor``: who took it themselves."""
    next_status(match.status, Action.ADVISOR_FOUND, match.id)
    served = matches.serve(tx, match, claim)
    _selected(tx, served, claim)
    _notify_owner(tx, served, NotificationType.ADVISOR_FOUND)
    return _offered(tx, log, served, match.status, policy, auto_accept=auto_accept, actor=actor)


def _selected(tx: Transaction, match: Match, claim: matches.ClaimRecord) -> None:
    tx.effects.selections.append(Selection(match.project_id, match.id, claim.features))


def _offered(
    tx: Transaction,
    log: ProjectLog,
    match: Match,
    previous: MatchStatus | None,
    policy: Policy,
    *,
    auto_accept: bool,
    actor: UUID | None,
) -> Match:
    log.append(EventType.MATCHED, MatchPayload.of(match, MatchStatus.MATCHED, previous), user_id=actor)
    assert match.matched_advisor_id is not None
    if previous is None or actor is None:
        # Who took a waiting match themselves knows of it.
        _notify_advisor(tx, match, NotificationType.MATCH_OFFERED)
    if not auto_accept:
        return match
    accepted = RecordedDecision(Decision.APPROVED, None, log.now)
    return decide(tx, log, match, Side.ADVISOR, accepted, policy, actor=match.matched_advisor_id)


def decide(
    tx: Transaction,
    log: ProjectLog,
    match: Match,
    side: Side,
    decision: RecordedDecision,
    policy: Policy,
    *,
    actor: UUID,
    owner: UUID | None = None,
) -> Match:
    """Records a side's decision and makes the step that it leads to. ``owner``: the project's, where it is known.

    Raises:
        InvalidTransition: the match is not in a status in which that side can decide so.
    """
    action = decision_action(side, decision.decision)
    target = next_status(match.status, action, match.id)
    queued = target is MatchStatus.FINALIZED and policy.auto_provision
    decided = matches.decide(
        tx, match, side, decision, target, provisioning_state=ProvisioningState.QUEUED if queued else None
    )
    event, told_as = DECISION_EVENTS[action]
    log.append(event, MatchPayload.of(decided, told_as, match.status, decision.reason), user_id=actor)
    if side is Side.ADVISOR:
        accepted = decision.decision is Decision.APPROVED
        answer = NotificationType.ADVISOR_ACCEPTED if accepted else NotificationType.ADVISOR_DECLINED
        _notify_owner(tx, decided, answer, reason=decision.reason, owner=owner)
    elif decision.decision is Decision.DECLINED:
        _notify_advisor(tx, decided, NotificationType.OFFER_ENDED, reason="client_declined")
    if target is MatchStatus.FINALIZED:
        _finalized(tx, log, decided, match.status, actor)
    if decision.decision is Decision.DECLINED:
        assignments.cancel_of_match(tx, match)
        if match.matched_advisor_id is not None:
            availability.give_back(tx, match.matched_advisor_id)
    return decided


def create_finalized(
    tx: Transaction,
    log: ProjectLog,
    match: Match,
    claim: matches.ClaimRecord,
    policy: Policy,
    *,
    waited: bool,
) -> Match:
    """A new match for which an admin, who asked for it, decides in place of both sides."""
    admin = match.requested_by
    created = create_matched(tx, log, match, claim, policy, auto_accept=False, actor=admin, waited=waited)
    target = next_status(created.status, Action.EMERGENCY_FINALIZE, created.id)
    state = ProvisioningState.QUEUED if policy.auto_provision else None
    finalized = matches.move(tx, created, target, provisioning_state=state)
    _finalized(tx, log, finalized, created.status, admin)
    return finalized


def _finalized(tx: Transaction, log: ProjectLog, match: Match, previous: MatchStatus, actor: UUID) -> None:
    log.append(EventType.FINALIZED, MatchPayload.of(match, match.status, previous), user_id=actor)
    if match.provisioning_state is ProvisioningState.QUEUED:
        provisioning.enqueue(tx, match)


def expire(
    tx: Transaction, log: ProjectLog, match: Match, why: ClosedReason, *, actor: UUID | None = None
) -> Match:
    """Closes an open match, or one whose workspace will never be made; its slot is free again."""
    if match.status is MatchStatus.FINALIZED:
        next_status(match.status, Action.RELEASE, match.id)
    else:
        next_status(match.status, Action.EXPIRE, match.id)
    expired = matches.move(tx, match, MatchStatus.EXPIRED, closed_reason=why)
    payload = MatchPayload.of(expired, MatchStatus.EXPIRED, match.status, why.value)
    log.append(EventType.MATCH_EXPIRED, payload, user_id=actor)
    assignments.cancel_of_match(tx, match)
    if match.holds_slot and match.matched_advisor_id is not None:
        availability.give_back(tx, match.matched_advisor_id)
        _notify_advisor(tx, expired, NotificationType.OFFER_ENDED, reason=why.value)
    _notify_owner(tx, expired, NotificationType.MATCH_EXPIRED, reason=why.value)
    return expired


def tell_closed(tx: Transaction, match: Match, why: ClosedReason) -> None:
    """A match that held its advisor's slot has closed without a workspace: both sides hear of it."""
    _notify_advisor(tx, match, NotificationType.OFFER_ENDED, reason=why.value)
    _notify_owner(tx, match, NotificationType.MATCH_EXPIRED, reason=why.value)


def release(tx: Transaction, log: ProjectLog, match: Match, *, actor: UUID) -> Match:
    """Closes the match of an advisor who is taken off the project before the workspace was made."""
    if match.provisioning_state is ProvisioningState.QUEUED:
        provisioning.cancel(tx, match, "the advisor was released")
        match = matches.cancel_workspace(tx, match)
    return expire(tx, log, match, ClosedReason.RELEASED, actor=actor)


def tell_released(tx: Transaction, project_id: UUID, advisor_id: UUID, match: Match | None) -> None:
    """The advisor's work on a project is over; ``match`` had brought them to it."""
    payload = (
        notification_payload(match, ClosedReason.RELEASED.value)
        if match is not None
        else {
            "projectId": str(project_id),
            "advisorId": str(advisor_id),
            "reason": ClosedReason.RELEASED.value,
        }
    )
    outbox.enqueue(tx, NotificationType.OFFER_ENDED, [advisor_id], payload)


def _notify_advisor(
    tx: Transaction, match: Match, type_: NotificationType, *, reason: str | None = None
) -> None:
    if match.matched_advisor_id is not None:
        outbox.enqueue(tx, type_, [match.matched_advisor_id], notification_payload(match, reason))


def _notify_owner(
    tx: Transaction,
    match: Match,
    type_: NotificationType,
    *,
    reason: str | None = None,
    owner: UUID | None = None,
) -> None:
    owner = owner or directory.owner_of(tx.conn, match.project_id)
    if owner is not None:
        outbox.enqueue(tx, type_, [owner], notification_payload(match, reason))


def notification_payload(match: Match, reason: str | None) -> dict[str, Any]:
    """What a notification says of a match, in the platform's camel case; what is unknown is left out."""
    advisor = match.matched_advisor
    return match_notification(
        match_id=match.id,
        project_id=match.project_id,
        status=match.status,
        advisor_id=match.matched_advisor_id,
        advisor_name=advisor.display_name if advisor else None,
        expires_at=match.expires_at,
        reason=reason,
    )


def match_notification(
    *,
    match_id: UUID,
    project_id: UUID,
    status: MatchStatus,
    advisor_id: UUID | None,
    advisor_name: str | None,
    expires_at: datetime,
    reason: str | None,
) -> dict[str, Any]:
    """The same of a match of which no more than this is known."""
    values = {
        "matchId": str(match_id),
        "projectId": str(project_id),
        "status": status.value,
        "advisorId": str(advisor_id) if advisor_id else None,
        "advisorName": advisor_name,
        "expiresAt": expires_at.isoformat(),
        "reason": reason,
    }
    return {key: value for key, value in values.items() if value is not None}
