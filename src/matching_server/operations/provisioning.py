"""Making the workspace of a finalized match, trying again, and giving up in order."""

from __future__ import annotations

import random
from collections.abc import Collection
from dataclasses import dataclass, replace
from enum import StrEnum
from uuid import UUID

from matching_server.domain.events import (
    EventType,
    ProvisioningFailedPayload,
    WorkspaceReadyPayload,
)
from matching_server.domain.lifecycle import rollback_status
from matching_server.domain.model import (
    ClosedReason,
    JobStatus,
    Match,
    MatchStatus,
    ProvisioningState,
    Side,
    WorkspaceRole,
)
from matching_server.domain.provisioning import (
    LeasedJob,
    LeaseLost,
    PermanentFault,
    backoff,
)
from matching_server.operations import failures, transitions, workspaces
from matching_server.operations.runner import Runner
from matching_server.operations.transitions import notification_payload
from matching_server.storage import (
    assignments,
    availability,
    directory,
    matches,
    provisioning,
    workspace,
)
from matching_server.storage.database import Transaction, fault_text
from matching_server.storage.event_log import ProjectLog, lock_project
from matching_server.storage.provisioning import Parties
from matching_server.storage.workspace import Workspace


class AttemptResult(StrEnum):
    """How an attempt ended."""

    COMPLETED = "completed"
    RETRIED = "retried"
    ROLLED_BACK = "rolled_back"
    LEASE_LOST = "lease_lost"


@dataclass(frozen=True, slots=True)
class Fault:
    """Why an attempt failed. ``told`` is for watchers, ``error`` for operators alone."""

    error: str
    told: str
    closed_reason: ClosedReason | None = None

    @property
    def permanent(self) -> bool:
        """Whether no further attempt can succeed."""
        return self.closed_reason is not None


def take_jobs(runner: Runner, count: int) -> list[LeasedJob]:
    """Leases up to ``count`` due jobs to this worker."""
    return provisioning.take(runner.database.ask_all, count, runner.policy.provision_lease)


def extend_leases(runner: Runner, jobs: Collection[LeasedJob]) -> None:
    """Keeps jobs that take long this worker's; who is dead or frozen does not."""
    runner.system(lambda tx: provisioning.extend_leases(tx, jobs, runner.policy.provision_lease))


def hand_back(runner: Runner, jobs: Collection[LeasedJob]) -> int:
    """Gives up jobs that have no time left here: another worker takes them at once. Returns how many."""
    return runner.system(lambda tx: provisioning.hand_back(tx, jobs))


def return_expired_leases(runner: Runner) -> int:
    """Gives back the jobs of workers that died or froze. Returns how many."""
    return runner.system(lambda tx: provisioning.return_expired(tx, runner.policy.provision_max_attempts))


def attempt(runner: Runner, job: LeasedJob) -> AttemptResult:
    """One attempt at a leased job: done, due again later, or rolled back for good.

    Raises:
        StorageUnavailable: even the failure could not be written; the lease's end brings the job back.
    """
    if job.status is JobStatus.ROLLBACK_NEEDED:
        return _in_steps(runner, job)
    try:
        made = workspaces.make_at_once(runner, job)
    except Exception as error:
        return _failed(runner, job, Fault(fault_text(error), _OUT_OF_ATTEMPTS))
    if made is True:
        return AttemptResult.COMPLETED
    result = _in_steps(runner, job)
    if result is AttemptResult.LEASE_LOST and made and workspaces.made_after_all(runner, made):
        return AttemptResult.COMPLETED
    return result


def _in_steps(runner: Runner, job: LeasedJob) -> AttemptResult:
    """What is not the usual case, in transactions that know every case."""
    try:
        if job.status is JobStatus.ROLLBACK_NEEDED:
            return _roll_back(runner, job, Fault(job.last_error or "out of attempts", _OUT_OF_ATTEMPTS))
        runner.system(lambda tx: _provision(tx, job), job.correlation_id)
    except LeaseLost:
        return AttemptResult.LEASE_LOST
    except PermanentFault as fault:
        return _failed(runner, job, Fault(str(fault), str(fault), fault.closed_reason))
    except Exception as error:
        return _failed(runner, job, Fault(fault_text(error), _OUT_OF_ATTEMPTS))
    return AttemptResult.COMPLETED


_OUT_OF_ATTEMPTS = "the workspace could not be set up"


def _provision(tx: Transaction, job: LeasedJob) -> None:
    """The whole workspace in one transaction; run twice, the effect is one."""
    with lock_project(tx, job.project_id) as log:
        match = matches.lock(tx, job.match_id)
        if log is None or match is None or not _is_queued(match):
            raise LeaseLost
        advisor_id = match.matched_advisor_id
        assert advisor_id is not None
        owner_id, locale = _owner(provisioning.hold_with_parties(tx, job, advisor_id))
        welcome = workspaces.welcome_message(match.project_id, match.id, advisor_id, log.next_seq, log.now)
        workspace.make(
            tx,
            Workspace(
                match_id=match.id,
                advisor_id=advisor_id,
                role=_role(tx, match),
                owner_id=owner_id,
                locale=locale,
                welcome=welcome,
                notification=notification_payload(match, None),
            ),
        )
        provisioning.complete(tx, job)
        log.append(EventType.MESSAGE_NEW, welcome)
        log.append(
            EventType.WORKSPACE_READY,
            WorkspaceReadyPayload(match.id, advisor_id, match.project_id, log.now),
        )


def _owner(parties: Parties) -> tuple[UUID, str | None]:
    """Whose project it is, and their locale.

    Raises:
        PermanentFault: advisor or project are out of reach.
    """
    if parties.advisor_active is None:
        raise PermanentFault("the advisor no longer exists", ClosedReason.ADVISOR_GONE)
    if not parties.advisor_active:
        raise PermanentFault("the advisor was deactivated", ClosedReason.ADVISOR_DEACTIVATED)
    if parties.owner_id is None:
        raise PermanentFault("the project no longer exists", ClosedReason.PROJECT_GONE)
    return parties.owner_id, parties.owner_locale


def _is_queued(match: Match) -> bool:
    return match.status is MatchStatus.FINALIZED and match.provisioning_state is ProvisioningState.QUEUED


def _role(tx: Transaction, match: Match) -> WorkspaceRole:
    """Only an admin's assignment says another one than advisor."""
    return assignments.role_of(tx.conn, match) if match.assignment_type else WorkspaceRole.ADVISOR


def _failed(runner: Runner, job: LeasedJob, fault: Fault) -> AttemptResult:
    policy = runner.policy
    if fault.permanent or job.attempt >= policy.provision_max_attempts:
        return _roll_back(runner, job, fault)
    delay = backoff(job.attempt, policy.provision_backoff, random.random())
    try:
        runner.system(lambda tx: provisioning.retry(tx, job, fault.error, delay), job.correlation_id)
    except LeaseLost:
        return AttemptResult.LEASE_LOST
    return AttemptResult.RETRIED


def _roll_back(runner: Runner, job: LeasedJob, fault: Fault) -> AttemptResult:
    try:
        runner.system(lambda tx: _undo(tx, job, fault), job.correlation_id)
    except LeaseLost:
        return AttemptResult.LEASE_LOST
    return AttemptResult.ROLLED_BACK


def _undo(tx: Transaction, job: LeasedJob, fault: Fault) -> None:
    """Everything that a failure for good has to leave behind, in one transaction."""
    with lock_project(tx, job.project_id) as log:
        match = matches.lock(tx, job.match_id)
        provisioning.hold(tx, job)
        if log is None or match is None or not _is_queued(match):
            raise LeaseLost
        if fault.closed_reason is None:
            fault = replace(fault, closed_reason=_out_of_reach(tx, match))
        provisioning.fail(tx, job, fault.error, permanent=fault.permanent)
        reverted = _reverted(tx, log, match, fault)
        details = {
            "attempts": job.attempt,
            "revertedTo": reverted.status.value,
            "withdrawn": failures.withdrawn(match, reverted),
        }
        failures.log(tx, match, fault.error, log.now, details)
        failures.alert(tx, match, fault.error, log.now)
        log.append(
            EventType.PROVISIONING_FAILED,
            ProvisioningFailedPayload(
                match.id, match.matched_advisor_id, reverted.status, fault.told, job.attempt
            ),
        )


def _out_of_reach(tx: Transaction, match: Match) -> ClosedReason | None:
    """Why nobody can decide on the match again, though the attempts failed for another reason.

    The advisor's row stays locked: a deactivation has come before this, or finds the match open.
    """
    assert match.matched_advisor_id is not None
    advisor = availability.lock(tx, match.matched_advisor_id)
    if advisor is None:
        return ClosedReason.ADVISOR_GONE
    if not advisor.advisor_active:
        return ClosedReason.ADVISOR_DEACTIVATED
    return ClosedReason.PROJECT_GONE if directory.owner_of(tx.conn, match.project_id) is None else None


def _reverted(tx: Transaction, log: ProjectLog, match: Match, fault: Fault) -> Match:
    """The match as it was before it was finalized; closed where advisor or project are out of reach."""
    if fault.closed_reason is not None:
        closed = matches.move(
            tx,
            match,
            MatchStatus.EXPIRED,
            closed_reason=fault.closed_reason,
            provisioning_state=ProvisioningState.FAILED,
        )
        assignments.cancel_of_match(tx, match)
        if match.matched_advisor_id is not None:
            availability.give_back(tx, match.matched_advisor_id)
        transitions.tell_closed(tx, closed, fault.closed_reason)
        return closed
    status = rollback_status(match.previous_status)
    reverted = matches.move(
        tx,
        match,
        status,
        provisioning_state=ProvisioningState.FAILED,
        expires_at=log.now + match.expires_in,
    )
    # The side whose decision finalized it has to decide again.
    for side, kept_at in (
        (Side.CLIENT, MatchStatus.CLIENT_APPROVED),
        (Side.ADVISOR, MatchStatus.ADVISOR_ACCEPTED),
    ):
        if status is not kept_at and reverted.decision_of(side) is not None:
            reverted = matches.withdraw_decision(tx, reverted, side)
    return reverted
