"""AdminService: provisioning, interventions, notifications and repairs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from google.protobuf.duration_pb2 import Duration

from advisor_matching.v1 import admin_service_pb2 as pb
from advisor_matching.v1.types_pb2 import (
    AssignmentType,
    Decision,
    DecisionRecord,
    MatchStatus,
    ProvisioningJob,
    ProvisioningJobStatus,
    WorkspaceProvisioning,
)
from matching_client.errors import AdvisorInactive, JobNotFound, NotificationNotFound
from matching_client.testing import lifecycle, provisioning
from matching_client.testing.caller import Caller
from matching_client.testing.entries import OFFERED, MatchEntry
from matching_client.testing.paging import page
from matching_client.testing.refusals import error_of, no_step
from matching_client.testing.services.match import refuse_expired
from matching_client.testing.values import now, word_of
from matching_client.testing.world import World

_J = ProvisioningJobStatus
_LIVE = (_J.PROVISIONING_JOB_STATUS_PENDING, _J.PROVISIONING_JOB_STATUS_PROCESSING)
_DEFAULT_WINDOW = 24 * 3600
_MOST_REASONS = 20


def get_provisioning_stats(
    world: World, request: pb.GetProvisioningStatsRequest, caller: Caller
) -> pb.GetProvisioningStatsResponse:
    """The jobs that were queued within the window."""
    window = request.window.ToNanoseconds() or _DEFAULT_WINDOW * 10**9
    since = now().ToNanoseconds() - window
    jobs = [entry.job for entry in world.jobs.values()]
    recent = [job for job in jobs if job.created_at.ToNanoseconds() >= since]
    counts = Counter[int](job.status for job in recent)
    completed, failed = (
        [job for job in recent if job.status == status]
        for status in (_J.PROVISIONING_JOB_STATUS_COMPLETED, _J.PROVISIONING_JOB_STATUS_FAILED)
    )
    ended = [*completed, *failed]
    reasons = Counter(job.last_error for job in failed).most_common(_MOST_REASONS)
    return pb.GetProvisioningStatsResponse(
        counts=[
            pb.ProvisioningStatusCount(status=_J.Name(status), count=counts[status])
            for status in _J.values()[1:]
        ],
        success_rate=len(completed) / len(ended) if ended else None,
        average_attempts=sum(job.attempt_count for job in ended) / len(ended) if ended else None,
        oldest_pending_age=_oldest_age(job for job in jobs if job.status in _LIVE),
        failure_reasons=[pb.FailureReasonCount(reason=reason, count=count) for reason, count in reasons],
    )


def _oldest_age(waiting: Iterable[ProvisioningJob]) -> Duration | None:
    began = [job.created_at.ToNanoseconds() for job in waiting]
    if not began:
        return None
    age = Duration()
    age.FromNanoseconds(max(now().ToNanoseconds() - min(began), 0))
    return age


def list_provisioning_jobs(
    world: World, request: pb.ListProvisioningJobsRequest, caller: Caller
) -> pb.ListProvisioningJobsResponse:
    """The jobs, newest first."""
    rows = [
        (entry.serial, entry.job)
        for entry in world.jobs.values()
        if not request.statuses or entry.job.status in request.statuses
    ]
    jobs, token = page(rows, request)
    return pb.ListProvisioningJobsResponse(jobs=jobs, next_page_token=token)


def retry_provisioning(
    world: World, request: pb.RetryProvisioningRequest, caller: Caller
) -> pb.RetryProvisioningResponse:
    """Queues a new job for a match that was rolled back, or finalized without one."""
    entry = world.match(request.match_id)
    match, previous = entry.match, entry.match.status
    _check_retry(world, entry)
    _restore(entry)
    if previous != MatchStatus.MATCH_STATUS_FINALIZED:
        lifecycle.move(entry, MatchStatus.MATCH_STATUS_FINALIZED)
        lifecycle.tell(world, entry, "advisor.finalized", match.status, previous, caller.user_id)
    job = provisioning.queue(world, entry).job
    more = {"match_id": match.id, "project_id": match.project_id, "from": word_of(previous, MatchStatus)}
    world.intervene("provisioning_retried", "", caller.user_id, **more)
    return pb.RetryProvisioningResponse(match=match, job=job)


def _check_retry(world: World, entry: MatchEntry) -> None:
    match = entry.match
    refuse_expired(entry)
    if not entry.was_finalized:
        told = f"match {match.id} was never finalized: it has no job to try again"
        raise error_of(JobNotFound, told)
    if match.status not in OFFERED:
        made_or_other = match.workspace_provisioning in (
            WorkspaceProvisioning.WORKSPACE_PROVISIONING_QUEUED,
            WorkspaceProvisioning.WORKSPACE_PROVISIONING_READY,
        ) or world.unsettled(match.project_id)
        if match.status != MatchStatus.MATCH_STATUS_FINALIZED or made_or_other:
            raise no_step(word_of(match.status, MatchStatus), "finalized", match.id)
    if not world.advisor(entry.advisor_id).profile.active:
        raise error_of(AdvisorInactive, f"advisor {entry.advisor_id} is deactivated")


def _restore(entry: MatchEntry) -> None:
    """The decisions that the rollback withdrew, as they were given."""
    match = entry.match
    for side, name in (("client", "client_decision"), ("advisor", "advisor_decision")):
        withdrawn = entry.withdrawn.get("client" if side == "client" else "advisor")
        if withdrawn is None and match.assignment_type != AssignmentType.ASSIGNMENT_TYPE_EMERGENCY:
            withdrawn = DecisionRecord(decision=Decision.DECISION_APPROVED, decided_at=now())
        if withdrawn is not None and not match.HasField(name):
            getattr(match, name).CopyFrom(withdrawn)


def list_interventions(
    world: World, request: pb.ListInterventionsRequest, caller: Caller
) -> pb.ListInterventionsResponse:
    """The interventions that meet every filter, newest first."""
    rows = [
        (serial, found)
        for serial, found in world.interventions
        if request.project_id in ("", found.project_id)
        and request.match_id in ("", found.match_id)
        and request.intervention_type in ("", found.intervention_type)
    ]
    interventions, token = page(rows, request)
    return pb.ListInterventionsResponse(interventions=interventions, next_page_token=token)


def list_notifications(
    world: World, request: pb.ListNotificationsRequest, caller: Caller
) -> pb.ListNotificationsResponse:
    """The notifications that meet every filter, newest first."""
    rows = [
        (serial, found)
        for serial, found in world.notifications
        if (not request.statuses or found.status in request.statuses)
        and request.type in ("", found.type)
        and request.recipient_id in ("", found.recipient_id)
    ]
    notifications, token = page(rows, request)
    return pb.ListNotificationsResponse(notifications=notifications, next_page_token=token)


def resend_notification(
    world: World, request: pb.ResendNotificationRequest, caller: Caller
) -> pb.ResendNotificationResponse:
    """The fake delivers everything at once, so none is ever dead: it is returned unchanged."""
    for _, notification in world.notifications:
        if notification.id == request.notification_id:
            return pb.ResendNotificationResponse(notification=notification)
    raise error_of(NotificationNotFound, f"no notification with id {request.notification_id}")


def audit_invariants(
    world: World, request: pb.AuditInvariantsRequest, caller: Caller
) -> pb.AuditInvariantsResponse:
    """The fake has no database to check: no violations, and nothing checked."""
    return pb.AuditInvariantsResponse()


def repair_invariants(
    world: World, request: pb.RepairInvariantsRequest, caller: Caller
) -> pb.RepairInvariantsResponse:
    """There is nothing to repair."""
    return pb.RepairInvariantsResponse()
