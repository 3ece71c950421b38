"""What admins are told, as messages of the contract."""

from __future__ import annotations

from advisor_matching.v1 import admin_service_pb2, types_pb2
from matching_server.domain import model, scoring
from matching_server.domain.rules import PreferenceRule
from matching_server.operations.commands import AssignedAdvisor, PageOf
from matching_server.rpc import enums
from matching_server.rpc.convert import match_message
from matching_server.rpc.convert_explanation import pool_size_word
from matching_server.rpc.paging import encode_page_token


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


def rule_message(rule: PreferenceRule) -> types_pb2.PreferenceRule:
    """A preference rule."""
    return types_pb2.PreferenceRule(
        id=str(rule.id),
        advisor_id=str(rule.advisor_id),
        effect=enums.RULE_EFFECT.to_wire(rule.effect),
        boost=rule.boost,
        project_id=str(rule.project_id) if rule.project_id else None,
        framework=rule.framework,
        complexity=enums.PROJECT_COMPLEXITY.to_wire(rule.complexity) if rule.complexity else None,
        active_from=rule.active_from,
        active_until=rule.active_until,
        reason=rule.reason,
        created_by=str(rule.created_by),
        created_at=rule.created_at,
    )


def rule_page_message(page: PageOf[PreferenceRule]) -> admin_service_pb2.ListPreferenceRulesResponse:
    """A page of the preference rules."""
    return admin_service_pb2.ListPreferenceRulesResponse(
        rules=[rule_message(rule) for rule in page.items], next_page_token=encode_page_token(page.next)
    )
