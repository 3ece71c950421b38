"""Advisors who take a waiting match themselves, ahead of the backlog: by that they accept it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy import Connection

from matching_server.domain.calls import Call
from matching_server.domain.errors import (
    AdvisorAtCapacity,
    AdvisorInactive,
    AdvisorNotFound,
    MatchExpired,
    MatchNotFound,
)
from matching_server.domain.events import EventType
from matching_server.domain.lifecycle import Action, next_status
from matching_server.domain.model import ClosedReason, Match, MatchStatus
from matching_server.operations import choosing, transitions
from matching_server.operations.commands import Page, PageOf
from matching_server.operations.policy import Policy
from matching_server.operations.runner import Runner
from matching_server.storage import assignments, availability, eligibility, event_log, matches, pool
from matching_server.storage.assignments import Assignment
from matching_server.storage.availability import Claim
from matching_server.storage.database import Transaction, asking
from matching_server.storage.event_log import ProjectLog, lock_project
from matching_server.storage.matches import ClaimRecord
from matching_server.storage.project_context import project_context

_CLAIM = "claim"
"""What the record of the choice says where the advisor came by themselves: it names no algorithm."""
_FROM_THE_FIRST = (datetime.min.replace(tzinfo=UTC), UUID(int=0))


def list_claimable_matches(runner: Runner, call: Call, page: Page) -> PageOf[Match]:
    """A page of the waiting matches that the calling advisor is eligible for, oldest first.

    Whatever their status and load, which they can change; there are none for one who was deactivated.

    Raises:
        AdvisorNotFound: the caller has no profile.
    """
    cooldown = runner.policy.decline_cooldown

    def read(conn: Connection, call: Call) -> list[Match]:
        advisor_id = call.caller.user_id
        own = availability.get(asking(conn), advisor_id)
        if own is None:
            raise AdvisorNotFound(advisor_id)
        if not own.advisor_active:
            return []
        after = page.before or _FROM_THE_FIRST
        return matches.list_claimable(conn, advisor_id, cooldown, after=after, limit=page.size + 1)

    return PageOf.cut(runner.read(read, call), page.size, lambda match: (match.created_at, match.id))


def claim_match(runner: Runner, call: Call, match_id: UUID) -> Match:
    """Takes a waiting match for the calling advisor, who thereby accepts it.

    Checked in this order: a repeat of one's own claim, whether the match is one that the caller could have
    seen, expiry, the transition, the advisor.

    Raises:
        AdvisorNotFound: the caller has no profile.
        MatchNotFound: no such match, or the caller is not eligible for it.
        MatchExpired: its time had passed.
        InvalidTransition: it waits no longer.
        AdvisorInactive, AdvisorAtCapacity: the caller cannot take it now.
    """
    return runner.run(_claim, call, match_id, runner.policy)


def _claim(tx: Transaction, call: Call, match_id: UUID, policy: Policy) -> Match | MatchExpired:
    advisor_id = call.caller.user_id
    if availability.get(asking(tx.conn), advisor_id) is None:
        raise AdvisorNotFound(advisor_id)
    project_id = matches.project_of(tx.conn, match_id)
    if project_id is None:
        raise MatchNotFound(match_id)
    with lock_project(tx, project_id) as log:
        match = matches.lock(tx, match_id)
        if log is None or match is None:
            raise MatchNotFound(match_id)
        if match.matched_advisor_id == advisor_id and _was_claimed(tx, match):
            return transitions.expire(tx, log, match, ClosedReason.EXPIRED) if match.overdue else match
        if not _could_see(tx, call, match, policy):
            raise MatchNotFound(match_id)
        if match.overdue:
            transitions.expire(tx, log, match, ClosedReason.EXPIRED)
            return MatchExpired(match.id)
        if match.status is MatchStatus.EXPIRED and match.closed_reason is ClosedReason.EXPIRED:
            raise MatchExpired(match.id)
        next_status(match.status, Action.ADVISOR_FOUND, match.id)
        assignment = _assignment(tx, match, advisor_id, policy)
        record = _record(tx, log, _take_slot(tx, advisor_id))
        if assignment is not None:
            assignments.link(tx, assignment.id, match.id)
            match = replace(match, assignment_type=assignment.assignment_type)
        return transitions.serve_pending(tx, log, match, record, policy, auto_accept=True, actor=advisor_id)


def _assignment(tx: Transaction, match: Match, advisor_id: UUID, policy: Policy) -> Assignment | None:
    """By which an admin had put the advisor on the project already."""
    context = project_context(asking(tx.conn), match.project_id, match.criteria, policy.decline_cooldown)
    found = choosing.assignment_of(tx.conn, context) if context is not None else None
    return found if found is not None and found.advisor_id == advisor_id else None


def _was_claimed(tx: Transaction, match: Match) -> bool:
    record = matches.scoring_features(tx.conn, match.id)
    return record is not None and record.get("decided_by") == _CLAIM


def _could_see(tx: Transaction, call: Call, match: Match, policy: Policy) -> bool:
    """Whether the match is, or once was, among those that the caller is shown.

    A match that found its advisor at once was never shown to others, so to them it does not exist.
    """
    if match.matched_advisor_id == call.caller.user_id:
        return True
    if match.status is not MatchStatus.PENDING and not event_log.tells(
        tx.conn, match.project_id, EventType.MATCH_PENDING, match.id
    ):
        return False
    return eligibility.is_eligible(tx.conn, match.id, call.caller.user_id, policy.decline_cooldown)


def _take_slot(tx: Transaction, advisor_id: UUID) -> Claim:
    own = availability.lock(tx, advisor_id)
    if own is None:
        raise AdvisorNotFound(advisor_id)
    if not own.advisor_active:
        raise AdvisorInactive(advisor_id)
    if own.current_projects >= own.max_concurrent_projects:
        raise AdvisorAtCapacity(advisor_id, own.max_concurrent_projects)
    return availability.take_slot(tx, advisor_id)


def _record(tx: Transaction, log: ProjectLog, claim: Claim) -> ClaimRecord:
    """What the claim adds to the match: as after a choice, as far as there was one."""
    (advisor,) = pool.some(tx.conn, [claim.advisor_id])
    chosen = {
        "advisor_id": str(advisor.id),
        "display_name": advisor.summary.display_name,
        "load": claim.load,
        "slots": claim.slots,
    }
    return ClaimRecord(
        advisor=advisor.summary,
        score=None,
        reason=f"Claimed by the advisor ({claim.load} of {claim.slots} slots taken).",
        load_at_claim=claim.load,
        slots_at_claim=claim.slots,
        features={
            "algorithm": None,
            "decided_by": _CLAIM,
            "decided_at": log.now.isoformat(),
            "chosen": chosen,
        },
    )
