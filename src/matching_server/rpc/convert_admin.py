"""What admins are told, as messages of the contract."""

from __future__ import annotations

from advisor_matching.v1 import admin_service_pb2
from matching_server.domain import model, scoring
from matching_server.operations.commands import AssignedAdvisor
from matching_server.rpc import enums
from matching_server.rpc.convert import match_message
from matching_server.rpc.convert_explanation import pool_size_word


def assigned_advisor_message(assigned: AssignedAdvisor) -> admin_service_pb2.AssignAdvisorResponse:
    """The answer to AssignAdvisor."""
    match = match_message(assigned.match)
    return admin_service_pb2.AssignAdvisorResponse(
        assignment_id=str(assigned.assignment_id),
        match=match,
        workspace_provisioning=match.workspace_provisioning,
    )


def pool_status_message(pool: model.PoolStatus) -> admin_service_pb2.GetPoolStatusResponse:
    """The pool's counts, and what its size means for ranking."""
    return admin_service_pb2.GetPoolStatusResponse(
        total_advisors=pool.total,
        status_breakdown=admin_service_pb2.StatusBreakdown(
            available=pool.available, busy=pool.busy, offline=pool.offline
        ),
        workload_breakdown=admin_service_pb2.WorkloadBreakdown(
            idle=pool.idle, available=pool.with_slot, at_capacity=pool.at_capacity
        ),
        pool_size=enums.POOL_SIZE[pool_size_word(pool.total)],
        algorithm=enums.ALGORITHM_WORDS[scoring.algorithm_for(pool.total)],
    )
