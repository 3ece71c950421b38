"""How each invariant that can be repaired is: out of other rows, one breach in a transaction of its own.

What has no repair here is a person's to decide: which of two contradicting rows is right cannot be derived, and
the history (events, claims, decisions) is never written anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from matching_server.domain.interventions import InterventionType
from matching_server.domain.model import ClosedReason, Match, MatchStatus, ProvisioningState
from matching_server.operations import failures, transitions
from matching_server.operations.policy import Policy
from matching_server.storage import (
    directory,
    interventions,
    jobs,
    matches,
    provisioning,
    repairs,
    workspace,
)
from matching_server.storage.database import Transaction
from matching_server.storage.event_log import ProjectLog, lock_project
from matching_server.storage.invariants import breaches_of_match

Breach = Mapping[str, str]
"""One row of a violation."""


@dataclass(frozen=True, slots=True)
class Change:
    """What a repair has changed, for the intervention that tells of it."""

    before: Mapping[str, Any]
    after: Mapping[str, Any]
    match_id: UUID | None = None
    project_id: UUID | None = None


Repair = Callable[[Transaction, Breach, Policy], Change | None]
"""Judges a breach anew under the locks that it needs; ``None`` where there is nothing that it may write."""


def repair(tx: Transaction, name: str, breach: Breach, policy: Policy) -> bool:
    """Repairs one breach of the invariant of that name, and logs it. Returns whether anything was changed."""
    change = REPAIRS[name](tx, breach, policy)
    if change is None:
        return False
    interventions.log(
        tx,
        InterventionType.INVARIANT_REPAIR,
        match_id=change.match_id,
        project_id=change.project_id,
        reason=name,
        details={"invariant": name, "before": dict(change.before), "after": dict(change.after)},
    )
    return True


def _recount(tx: Transaction, breach: Breach, _policy: Policy) -> Change | None:
    if "counted" not in breach and int(breach["load"]) >= 0:
        # A match that was given beyond its advisor's slots is what happened.
        return None
    counted = repairs.recount(tx, UUID(breach["advisor_id"]))
    if counted is None:
        return None
    before, after = ({"advisorId": breach["advisor_id"], "currentProjects": load} for load in counted)
    return Change(before, after)


def _fit_job_to_match(tx: Transaction, breach: Breach, policy: Policy) -> Change | None:
    """A queued match without a job gets one; a job of a match that is closed or open again is cancelled."""
    match_id = UUID(breach["match_id"])
    with _locked(tx, match_id) as (match, _):
        found = _breaches(tx, "finalized_was_decided", match_id, policy)
        if match is None or not found:
            return None
        live, done = found[0]["live_jobs"], found[0]["completed_jobs"]
        if live == done == 0 and match.provisioning_state is ProvisioningState.QUEUED:
            provisioning.enqueue(tx, match)
        elif live and match.status is not MatchStatus.FINALIZED:
            _cancel(tx, match)
        else:
            return None
        return Change({"liveJobs": live}, {"liveJobs": 0 if live else 1}, match.id, match.project_id)


_UNWANTED = "its match is not finalized"


def _cancel(tx: Transaction, match: Match) -> None:
    provisioning.cancel(tx, match, _UNWANTED)
    if match.closed_reason is not ClosedReason.RELEASED:
        job = jobs.newest_of(tx.conn, match.id)
        assert job is not None
        failures.log(tx, match, _UNWANTED, job.updated_at, {"attempts": job.attempt_count})
        failures.alert(tx, match, _UNWANTED, job.updated_at)


def _complete_workspace(tx: Transaction, breach: Breach, _policy: Policy) -> Change | None:
    """The chat session follows from the access row, the welcome from the event that tells of it."""
    match_id, project_id, advisor_id = (UUID(breach[key]) for key in ("match_id", "project_id", "advisor_id"))
    with lock_project(tx, project_id):
        before = repairs.workspace_parts(tx, project_id, advisor_id, match_id)
        project = directory.get_project(tx.conn, project_id)
        if project is not None and before.access is not None and not before.has_session:
            workspace.open_session(tx, project_id, advisor_id, project.owner_locale)
            if before.access != "active":
                workspace.end_session(tx, project_id, advisor_id)
        welcome = None if before.has_welcome else repairs.told_welcome(tx, project_id, match_id)
        if welcome is not None:
            workspace.add_message(tx, welcome)
        after = repairs.workspace_parts(tx, project_id, advisor_id, match_id)
        if after == before:
            return None
        return Change(_parts(before), _parts(after), match_id, project_id)


def _parts(parts: repairs.WorkspaceParts) -> dict[str, bool]:
    return {"chatSession": parts.has_session, "welcomeMessage": parts.has_welcome}


def _tell_failure(tx: Transaction, breach: Breach, policy: Policy) -> Change | None:
    """The intervention and the alert follow from the failed job."""
    match_id, job_id = UUID(breach["match_id"]), UUID(breach["job_id"])
    with _locked(tx, match_id) as (match, _):
        found = _breaches(tx, "failures_are_told", match_id, policy)
        untold = [row for row in found if row["job_id"] == job_id and row["logged"] is not None]
        if match is None or not untold:
            return None
        job = jobs.get(tx.conn, job_id)
        newest = jobs.newest_of(tx.conn, match_id)
        before = {"logged": untold[0]["logged"], "alerted": untold[0]["alerted"]}
        error = job.last_error or "unknown"
        if not before["logged"]:
            failures.log(tx, match, error, job.updated_at, {"attempts": job.attempt_count})
        # Of a job that another one has followed, an alert would come too late.
        late = not before["alerted"] and newest == job
        if late:
            failures.alert(tx, match, error, job.updated_at)
        after = {"logged": True, "alerted": before["alerted"] or late}
        return Change(before, after, match.id, match.project_id) if after != before else None


def _return_lease(tx: Transaction, breach: Breach, policy: Policy) -> Change | None:
    job_id = breach["job_id"]
    returned = repairs.return_lease(tx, UUID(job_id), policy.provision_max_attempts)
    if returned is None:
        return None
    before = {"jobId": job_id, "status": "processing", "leaseExpiresAt": returned["lease_expires_at"]}
    after = {"jobId": job_id, "status": returned["status"], "leaseExpiresAt": None}
    return Change(before, after, returned["match_id"], returned["project_id"])


def _make_due(tx: Transaction, breach: Breach, _policy: Policy) -> Change | None:
    notification_id = breach["notification_id"]
    made_due = repairs.make_due(tx, UUID(notification_id))
    if made_due is None:
        return None
    before, after = ({"notificationId": notification_id, "nextAttemptAt": at} for at in made_due)
    return Change(before, after)


def _expire(tx: Transaction, breach: Breach, _policy: Policy) -> Change | None:
    with _locked(tx, UUID(breach["match_id"])) as (match, log):
        if match is None or log is None or not match.overdue:
            return None
        expired = transitions.expire(tx, log, match, ClosedReason.EXPIRED)
        before, after = {"status": match.status.value}, {"status": expired.status.value}
        return Change(before, after, match.id, match.project_id)


@contextmanager
def _locked(tx: Transaction, match_id: UUID) -> Iterator[tuple[Match | None, ProjectLog | None]]:
    """A match and the head of its project's log, both locked; ``None`` where there is no such thing."""
    project_id = matches.project_of(tx.conn, match_id)
    if project_id is None:
        yield None, None
        return
    with lock_project(tx, project_id) as log:
        yield matches.lock(tx, match_id), log


def _breaches(tx: Transaction, name: str, match_id: UUID, policy: Policy) -> Sequence[Mapping[Any, Any]]:
    return breaches_of_match(tx, name, match_id, max_attempts=policy.provision_max_attempts)


REPAIRS: Mapping[str, Repair] = {
    "load_is_counted": _recount,
    "capacity_is_respected": _recount,
    "failures_are_told": _tell_failure,
    "finalized_was_decided": _fit_job_to_match,
    "completed_is_provisioned": _complete_workspace,
    "leases_are_swept": _return_lease,
    "outbox_moves": _make_due,
    "expired_is_closed": _expire,
}
"""By the names of the invariants; the others are a person's to decide.

In the order in which they are made: a failure is told before another job takes the failed one's place.
"""
