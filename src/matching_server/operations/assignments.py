"""An admin's hand in matching: putting an advisor on a project, and taking one off it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

from matching_server.domain.calls import Call
from matching_server.domain.errors import (
    AdvisorAtCapacity,
    AdvisorInactive,
    AdvisorNotFound,
    AdvisorUnavailable,
    AlreadyAssigned,
    DomainError,
    InvalidArgument,
    ProjectNotFound,
)
from matching_server.domain.events import EventType, ReleasedPayload
from matching_server.domain.interventions import InterventionType
from matching_server.domain.lifecycle import Action, next_status
from matching_server.domain.model import (
    Advisor,
    AdvisorSummary,
    AssignmentType,
    Availability,
    AvailabilityStatus,
    ClosedReason,
    Match,
    MatchStatus,
)
from matching_server.operations import transitions
from matching_server.operations.commands import AssignAdvisor, AssignedAdvisor, ReleaseAdvisor
from matching_server.operations.policy import DEFAULT_EXPIRES_IN, Policy
from matching_server.operations.runner import Runner
from matching_server.storage import assignments, availability, directory, interventions, matches, workspace
from matching_server.storage.availability import Claim
from matching_server.storage.database import Transaction
from matching_server.storage.event_log import ProjectLog, lock_project
from matching_server.storage.matches import ClaimRecord


def assign_advisor(
    runner: Runner, call: Call, command: AssignAdvisor, encode: Callable[[AssignedAdvisor], bytes]
) -> AssignedAdvisor | bytes:
    """Puts an advisor on a project, in place of its open match: offered, or in an emergency finalized at once.

    Returns:
        The assignment with its match, or the bytes of the answer that the same request got before.

    Raises:
        ProjectNotFound, AdvisorNotFound: no such project or advisor.
        InvalidArgument: the advisor owns the project.
        AdvisorInactive: they were deactivated.
        InvalidTransition: the project's match is finalized and its workspace is being made.
        AlreadyAssigned: they work on the project already.
        AdvisorUnavailable, AdvisorAtCapacity: they cannot be offered it; no hindrance in an emergency.
    """
    return runner.run_once(_assign, call, encode, command, runner.policy)


def _assign(
    tx: Transaction, call: Call, command: AssignAdvisor, policy: Policy
) -> AssignedAdvisor | DomainError:
    with lock_project(tx, command.project_id) as log:
        advisor = _parties(tx, command)
        old = matches.lock_unsettled(tx, command.project_id)
        part = matches.lock_part(tx, command.project_id, command.advisor_id)
        current = _lock_availability(tx, command, old)
        if log is None or current is None:
            raise AdvisorNotFound(command.advisor_id)
        if old is not None and old.overdue:
            transitions.expire(tx, log, old, ClosedReason.EXPIRED)
        try:
            _check(tx, command, current, old, part)
        except DomainError as refused:
            # What had run out stays expired.
            return refused
        if old is not None and not old.overdue:
            transitions.expire(tx, log, old, ClosedReason.SUPERSEDED_BY_ADMIN, actor=call.caller.user_id)
        new = _new_match(log, call, command)
        choice = _choice(command, advisor, availability.take_slot(tx, advisor.id), new)
        waited = old is not None and old.status is MatchStatus.PENDING and not old.overdue
        if command.assignment_type is AssignmentType.EMERGENCY:
            match = transitions.create_finalized(tx, log, new, choice, policy, waited=waited)
        else:
            accepts = current.preferences.auto_accept
            match = transitions.create_matched(
                tx, log, new, choice, policy, auto_accept=accepts, actor=new.requested_by, waited=waited
            )
        return AssignedAdvisor(_record(tx, command, match), match)


def _parties(tx: Transaction, command: AssignAdvisor) -> Advisor:
    """The advisor, who is there and not the owner of the project."""
    owner = directory.owner_of(tx.conn, command.project_id)
    if owner is None:
        raise ProjectNotFound(command.project_id)
    if owner == command.advisor_id:
        raise InvalidArgument.of("advisor_id", "owns the project")
    advisor = directory.get_advisor(tx.conn, command.advisor_id)
    if advisor is None:
        raise AdvisorNotFound(command.advisor_id)
    return advisor


def _lock_availability(tx: Transaction, command: AssignAdvisor, old: Match | None) -> Availability | None:
    """The advisor's, locked together with that of whose slot comes free."""
    concerned = {command.advisor_id}
    if old is not None and old.matched_advisor_id is not None:
        concerned.add(old.matched_advisor_id)
    return availability.lock_in_order(tx, concerned).get(command.advisor_id)


def _check(
    tx: Transaction, command: AssignAdvisor, current: Availability, old: Match | None, part: Match | None
) -> None:
    """Whether the advisor may be put on the project in place of its ``old`` match.

    ``current`` is their locked row as it was before that match closed; ``part`` what they have of the project.
    """
    if not current.advisor_active:
        raise AdvisorInactive(command.advisor_id)
    if old is not None:
        next_status(old.status, Action.EXPIRE, old.id)
    finalized = part is not None and part.status is MatchStatus.FINALIZED and part.holds_slot
    if finalized or directory.is_active_advisor(tx.conn, command.project_id, command.advisor_id):
        raise AlreadyAssigned(command.project_id, command.advisor_id)
    if command.assignment_type is AssignmentType.EMERGENCY:
        return
    if current.status is not AvailabilityStatus.AVAILABLE:
        raise AdvisorUnavailable(command.advisor_id, current.status)
    # The slot of the match that closes comes free first, also where it is theirs.
    freed = old is not None and old.matched_advisor_id == command.advisor_id
    if current.current_projects - freed >= current.max_concurrent_projects:
        raise AdvisorAtCapacity(command.advisor_id, current.max_concurrent_projects)


def _new_match(log: ProjectLog, call: Call, command: AssignAdvisor) -> Match:
    return Match(
        id=uuid4(),
        project_id=command.project_id,
        requested_by=call.caller.user_id,
        status=MatchStatus.MATCHED,
        expires_at=log.now + DEFAULT_EXPIRES_IN,
        expires_in=DEFAULT_EXPIRES_IN,
        created_at=log.now,
        updated_at=log.now,
        version=1,
        assignment_type=command.assignment_type,
    )


def _choice(command: AssignAdvisor, advisor: Advisor, claim: Claim, match: Match) -> ClaimRecord:
    how = " in an emergency" if command.assignment_type is AssignmentType.EMERGENCY else ""
    why = f": {command.reason}" if command.reason else "."
    return ClaimRecord(
        advisor=AdvisorSummary(
            id=advisor.id,
            display_name=advisor.display_name,
            skills=advisor.skills,
            specialties=advisor.specialties,
            rating=advisor.rating,
            avatar_url=advisor.avatar_url,
        ),
        score=None,
        reason=f"Assigned by an admin{how} ({claim.load} of {claim.slots} slots taken){why}",
        load_at_claim=claim.load,
        slots_at_claim=claim.slots,
        features=_features(advisor, claim, match),
    )


def _features(advisor: Advisor, claim: Claim, match: Match) -> dict[str, Any]:
    """The record of a choice that no algorithm made, in the shape of ``scoring.explain``."""
    return {
        "algorithm": None,
        "decided_at": match.created_at.isoformat(),
        "chosen": {
            "advisor_id": str(advisor.id),
            "display_name": advisor.display_name,
            "load": claim.load,
            "slots": claim.slots,
            "score_hundredths": None,
        },
        "runners_up": [],
        "exclusions": {},
    }


def _record(tx: Transaction, command: AssignAdvisor, match: Match) -> UUID:
    """The assignment, which lasts as long as its match, and the intervention, which stays."""
    assignment_id = assignments.add(
        tx,
        match,
        advisor_id=command.advisor_id,
        assignment_type=command.assignment_type,
        role=command.role,
        reason=command.reason,
    )
    interventions.log(
        tx,
        InterventionType.ADVISOR_ASSIGNED,
        match_id=match.id,
        project_id=match.project_id,
        reason=command.reason,
        details={
            "advisorId": str(command.advisor_id),
            "assignmentId": str(assignment_id),
            "assignmentType": command.assignment_type.value,
            "role": command.role.value,
        },
    )
    return assignment_id


def release_advisor(runner: Runner, call: Call, command: ReleaseAdvisor) -> bool:
    """Ends an advisor's part in a project: an offer, work that waits for its workspace, or the workspace.

    Returns whether there was anything to end.

    Raises:
        ProjectNotFound, AdvisorNotFound: no such project or advisor.
    """
    return runner.run(_release, call, command)


def _release(tx: Transaction, call: Call, command: ReleaseAdvisor) -> bool:
    project_id, advisor_id, admin = command.project_id, command.advisor_id, call.caller.user_id
    with lock_project(tx, project_id) as log:
        if log is None or directory.owner_of(tx.conn, project_id) is None:
            raise ProjectNotFound(project_id)
        if directory.get_advisor(tx.conn, advisor_id) is None:
            raise AdvisorNotFound(advisor_id)
        match = matches.lock_part(tx, project_id, advisor_id)
        if match is not None and match.overdue:
            match = transitions.expire(tx, log, match, ClosedReason.EXPIRED)
        held = match if match is not None and match.holds_slot else None
        had_access = workspace.end_access(tx, project_id, advisor_id)
        had_session = workspace.end_session(tx, project_id, advisor_id)
        was_assigned = assignments.cancel_of_advisor(tx, project_id, advisor_id)
        if not (held or had_access or had_session or was_assigned):
            return False
        match_id = match.id if match else None
        log.append(EventType.RELEASED, ReleasedPayload(match_id, advisor_id, command.reason), user_id=admin)
        # The project counts once: where the match holds the slot, the access row holds no other.
        if held is not None:
            transitions.release(tx, log, held, actor=admin)
        elif had_access:
            availability.give_back(tx, advisor_id)
            transitions.tell_released(tx, project_id, advisor_id, match)
        interventions.log(
            tx,
            InterventionType.ADVISOR_RELEASED,
            match_id=match_id,
            project_id=project_id,
            reason=command.reason,
            details={"advisorId": str(advisor_id)},
        )
        return True
