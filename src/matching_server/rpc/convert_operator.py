"""What operators are told, as messages of the contract."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from google.protobuf.struct_pb2 import Struct

from advisor_matching.v1 import admin_service_pb2, types_pb2
from matching_server.domain.interventions import Intervention
from matching_server.domain.provisioning import ProvisioningAttempt, ProvisioningJob, ProvisioningStats
from matching_server.operations.auditing import EVERY_INVARIANT, RepairedInvariants
from matching_server.operations.commands import PageOf, RetriedProvisioning
from matching_server.rpc import enums
from matching_server.rpc.convert import match_message
from matching_server.rpc.paging import encode_page_token
from matching_server.storage.invariants import Violation


def stats_message(stats: ProvisioningStats) -> admin_service_pb2.GetProvisioningStatsResponse:
    """What became of the provisioning jobs."""
    return admin_service_pb2.GetProvisioningStatsResponse(
        counts=[
            admin_service_pb2.ProvisioningStatusCount(status=enums.JOB_STATUS.to_wire(status), count=count)
            for status, count in stats.counts.items()
        ],
        success_rate=stats.success_rate,
        average_attempts=stats.average_attempts,
        oldest_pending_age=stats.oldest_pending_age,
        failure_reasons=[
            admin_service_pb2.FailureReasonCount(reason=reason, count=count)
            for reason, count in stats.failure_reasons
        ],
    )


def job_message(job: ProvisioningJob) -> types_pb2.ProvisioningJob:
    """A provisioning job with its attempts."""
    return types_pb2.ProvisioningJob(
        id=str(job.id),
        match_id=str(job.match_id),
        status=enums.JOB_STATUS.to_wire(job.status),
        attempt_count=job.attempt_count,
        next_retry_at=job.next_retry_at,
        last_error=job.last_error,
        attempts=[_attempt_message(attempt) for attempt in job.attempts],
        created_at=job.created_at,
        updated_at=job.updated_at,
    )


def _attempt_message(attempt: ProvisioningAttempt) -> types_pb2.ProvisioningAttempt:
    return types_pb2.ProvisioningAttempt(
        number=attempt.number,
        started_at=attempt.started_at,
        ended_at=attempt.ended_at,
        error=attempt.error,
        permanent=attempt.permanent,
    )


def job_page_message(page: PageOf[ProvisioningJob]) -> admin_service_pb2.ListProvisioningJobsResponse:
    """A page of the provisioning jobs."""
    return admin_service_pb2.ListProvisioningJobsResponse(
        jobs=[job_message(job) for job in page.items], next_page_token=encode_page_token(page.next)
    )


def retried_message(retried: RetriedProvisioning) -> admin_service_pb2.RetryProvisioningResponse:
    """The answer to RetryProvisioning."""
    return admin_service_pb2.RetryProvisioningResponse(
        match=match_message(retried.match), job=job_message(retried.job)
    )


def intervention_message(intervention: Intervention) -> types_pb2.Intervention:
    """An intervention."""
    return types_pb2.Intervention(
        id=str(intervention.id),
        match_id=str(intervention.match_id) if intervention.match_id else None,
        project_id=str(intervention.project_id) if intervention.project_id else None,
        intervention_type=intervention.intervention_type,
        reason=intervention.reason,
        metadata=_struct(intervention.metadata),
        created_by=str(intervention.created_by) if intervention.created_by else None,
        created_at=intervention.created_at,
    )


def intervention_page_message(page: PageOf[Intervention]) -> admin_service_pb2.ListInterventionsResponse:
    """A page of the interventions."""
    return admin_service_pb2.ListInterventionsResponse(
        interventions=[intervention_message(one) for one in page.items],
        next_page_token=encode_page_token(page.next),
    )


def audit_message(violations: list[Violation]) -> admin_service_pb2.AuditInvariantsResponse:
    """The answer to AuditInvariants."""
    return admin_service_pb2.AuditInvariantsResponse(
        violations=[_violation_message(violation) for violation in violations], checked=EVERY_INVARIANT
    )


def repaired_message(repaired: RepairedInvariants) -> admin_service_pb2.RepairInvariantsResponse:
    """The answer to RepairInvariants."""
    return admin_service_pb2.RepairInvariantsResponse(
        repaired=list(repaired.repaired),
        violations=[_violation_message(violation) for violation in repaired.violations],
    )


def _violation_message(violation: Violation) -> admin_service_pb2.InvariantViolation:
    return admin_service_pb2.InvariantViolation(
        invariant=violation.invariant,
        description=violation.description,
        rows=[_struct(row) for row in violation.rows],
    )


def _struct(values: Mapping[str, Any]) -> Struct:
    struct = Struct()
    struct.update(values)
    return struct
