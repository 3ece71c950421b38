"""The steps of a match, each with its event, as the service's transition table has them."""

from __future__ import annotations

from collections.abc import Mapping

from advisor_matching.v1.types_pb2 import (
    AdvisorReleasedEvent,
    AdvisorSummary,
    ClosedReason,
    Decision,
    DecisionRecord,
    MatchEvent,
    MatchStatus,
    PendingReason,
    WorkspaceProvisioning,
)
from matching_client.testing import provisioning
from matching_client.testing.choosing import first_free
from matching_client.testing.entries import OFFERED, OPEN, AdvisorEntry, MatchEntry, Side
from matching_client.testing.refusals import no_step
from matching_client.testing.values import now, word_of
from matching_client.testing.world import World

_S = MatchStatus

Action = tuple[Side, int]
"""A side and its decision."""

DECISIONS: Mapping[tuple[int, Action], MatchStatus] = {
    (_S.MATCH_STATUS_MATCHED, ("client", Decision.DECISION_APPROVED)): _S.MATCH_STATUS_CLIENT_APPROVED,
    (_S.MATCH_STATUS_MATCHED, ("advisor", Decision.DECISION_APPROVED)): _S.MATCH_STATUS_ADVISOR_ACCEPTED,
    (_S.MATCH_STATUS_CLIENT_APPROVED, ("advisor", Decision.DECISION_APPROVED)): _S.MATCH_STATUS_FINALIZED,
    (_S.MATCH_STATUS_ADVISOR_ACCEPTED, ("client", Decision.DECISION_APPROVED)): _S.MATCH_STATUS_FINALIZED,
    **{(status, ("client", Decision.DECISION_DECLINED)): _S.MATCH_STATUS_CLIENT_DECLINED for status in OPEN},
    **{
        (status, ("advisor", Decision.DECISION_DECLINED)): _S.MATCH_STATUS_ADVISOR_DECLINED
        for status in OFFERED
    },
}
"""Where a side's decision leads to from each status; nothing else is possible."""

_ASKED: Mapping[Action, tuple[str, MatchStatus]] = {
    ("client", Decision.DECISION_APPROVED): ("advisor.client_approved", _S.MATCH_STATUS_CLIENT_APPROVED),
    ("advisor", Decision.DECISION_APPROVED): ("advisor.accepted", _S.MATCH_STATUS_ADVISOR_ACCEPTED),
    ("client", Decision.DECISION_DECLINED): ("advisor.match_declined", _S.MATCH_STATUS_CLIENT_DECLINED),
    ("advisor", Decision.DECISION_DECLINED): ("advisor.match_declined", _S.MATCH_STATUS_ADVISOR_DECLINED),
}
"""The event of a decision, and the status that it asks for by itself."""


def tell(
    world: World, entry: MatchEntry, type_: str, status: int, previous: int, actor: str = "", reason: str = ""
) -> None:
    """Appends the event of a step."""
    match = entry.match
    event = MatchEvent(
        match_id=match.id,
        status=MatchStatus.Name(status),
        previous_status=MatchStatus.Name(previous),
        reason=reason,
        expires_at=match.expires_at,
        score=match.score if match.HasField("score") else None,
    )
    if entry.advisor_id:
        event.advisor_id, event.advisor_name = entry.advisor_id, match.matched_advisor.display_name
    world.append(match.project_id, type_, actor, match=event)


def move(entry: MatchEntry, status: MatchStatus) -> None:
    """To another status."""
    entry.match.previous_status, entry.match.status = entry.match.status, status
    entry.match.pending_reason = PendingReason.PENDING_REASON_UNSPECIFIED
    entry.touch()


def begin_pending(world: World, entry: MatchEntry, why: PendingReason, actor: str) -> None:
    """A new match waits."""
    entry.was_pending = True
    entry.match.status, entry.match.pending_reason = _S.MATCH_STATUS_PENDING, why
    tell(
        world,
        entry,
        "advisor.match_pending",
        entry.match.status,
        _S.MATCH_STATUS_UNSPECIFIED,
        actor,
        word_of(why, PendingReason),
    )


def offer(
    world: World,
    entry: MatchEntry,
    advisor: AdvisorEntry,
    *,
    actor: str = "",
    score: float | None = None,
    reason: str = "",
    accepts: bool | None = None,
) -> None:
    """A match, new or waiting, gets its advisor. `accepts` None: as they prefer."""
    waited = entry.match.status == _S.MATCH_STATUS_PENDING
    load = world.load(advisor.id)
    match = entry.match
    match.matched_advisor.CopyFrom(advisor.summary)
    match.match_reason = reason or f"First free advisor ({load} of {advisor.slots} slots taken)."
    if score is not None:
        match.score = score
    previous = match.status
    if waited:
        move(entry, _S.MATCH_STATUS_MATCHED)
        world.notify(world.project(match.project_id).owner_id, "advisor_found", entry)
    match.status = _S.MATCH_STATUS_MATCHED
    tell(world, entry, "advisor.matched", _S.MATCH_STATUS_MATCHED, previous, actor)
    if not waited or not actor:
        world.notify(advisor.id, "match_offered", entry)
    if advisor.preferences.auto_accept if accepts is None else accepts:
        decide(world, entry, "advisor", Decision.DECISION_APPROVED, actor=advisor.id)


def decide(
    world: World, entry: MatchEntry, side: Side, decision: int, *, reason: str = "", actor: str
) -> None:
    """A side's decision. Raises InvalidTransition."""
    match, action = entry.match, (side, decision)
    previous = match.status
    event, asked = _ASKED[action]
    target = DECISIONS.get((previous, action))
    if target is None:
        raise no_step(word_of(previous, _S), word_of(asked, _S), match.id)
    record = DecisionRecord(decision=Decision.Name(decision), reason=reason, decided_at=now())
    (match.client_decision if side == "client" else match.advisor_decision).CopyFrom(record)
    move(entry, target)
    match.workspace_provisioning = WorkspaceProvisioning.WORKSPACE_PROVISIONING_UNSPECIFIED
    tell(world, entry, event, asked, previous, actor, reason)
    owner = world.project(match.project_id).owner_id
    approved = decision == Decision.DECISION_APPROVED
    if side == "advisor":
        world.notify(owner, "advisor_accepted" if approved else "advisor_declined", entry, reason)
    elif not approved and entry.advisor_id:
        world.notify(entry.advisor_id, "offer_ended", entry, "client_declined")
    if target == _S.MATCH_STATUS_FINALIZED:
        finalized(world, entry, previous, actor)


def finalized(world: World, entry: MatchEntry, previous: int, actor: str) -> None:
    """Both sides have approved, or an admin has in their place."""
    entry.was_finalized = True
    tell(world, entry, "advisor.finalized", _S.MATCH_STATUS_FINALIZED, previous, actor)
    if world.provisioning != "off":
        provisioning.queue(world, entry)


def expire(world: World, entry: MatchEntry, why: ClosedReason, actor: str = "") -> None:
    """Closes a match whose workspace was not made; its slot is free again."""
    held, previous, reason = entry.holds_slot, entry.match.status, word_of(why, ClosedReason)
    move(entry, _S.MATCH_STATUS_EXPIRED)
    entry.match.closed_reason = why
    tell(world, entry, "advisor.match_expired", _S.MATCH_STATUS_EXPIRED, previous, actor, reason)
    if held:
        world.notify(entry.advisor_id, "offer_ended", entry, reason)
    world.notify(world.project(entry.match.project_id).owner_id, "match_expired", entry, reason)


def expire_overdue(world: World) -> None:
    """Whatever is open past its time."""
    moment = now().ToNanoseconds()
    for entry in world.matches.values():
        if entry.is_open and entry.match.expires_at.ToNanoseconds() <= moment:
            expire(world, entry, ClosedReason.CLOSED_REASON_EXPIRED)


def serve_waiting(world: World) -> None:
    """Waiting matches for which somebody is free now get their advisor, oldest first."""
    for entry in world.matches.values():
        if entry.match.status != _S.MATCH_STATUS_PENDING or entry.held:
            continue
        advisor = first_free(
            world,
            world.project(entry.match.project_id),
            entry.match.criteria,
            allow_previous=entry.allow_previous,
        )
        if advisor is not None:
            offer(world, entry, advisor)


def release(world: World, project_id: str, advisor: AdvisorSummary, reason: str, actor: str) -> bool:
    """Ends an advisor's part in a project; false where they hold nothing there."""
    theirs = [entry for entry in world.matches_of(project_id) if entry.advisor_id == advisor.id]
    held = next((entry for entry in theirs if entry.holds_slot), None)
    brought_by = world.workspaces.pop((project_id, advisor.id), None)
    if held is None and brought_by is None:
        return False
    match_id = held.match.id if held is not None else brought_by
    event = AdvisorReleasedEvent(advisor_id=advisor.id, match_id=match_id, reason=reason)
    world.append(project_id, "advisor.released", actor, released=event)
    if held is not None:
        provisioning.cancel(world, held, "the advisor was released")
        expire(world, held, ClosedReason.CLOSED_REASON_RELEASED, actor)
    elif brought_by in world.matches:
        world.notify(advisor.id, "offer_ended", world.matches[brought_by], "released")
    more = {"match_id": match_id, "project_id": project_id, "advisorId": advisor.id}
    world.intervene("advisor_released", reason, actor, **more)
    return True
