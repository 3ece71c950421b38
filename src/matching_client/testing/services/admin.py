"""AdminService: steering and explaining."""

from __future__ import annotations

from collections import Counter

from advisor_matching.v1 import admin_service_pb2 as pb
from advisor_matching.v1.types_pb2 import (
    AssignmentType,
    AvailabilityStatus,
    Candidate,
    CandidateFeatures,
    ClosedReason,
    ExclusionReason,
    Explanation,
    MatchingAlgorithm,
    MatchStatus,
    PoolSize,
    WorkspaceRole,
)
from matching_client.errors import (
    AdvisorInactive,
    AdvisorUnavailable,
    AlreadyAssigned,
    MatchingError,
    RuleNotFound,
)
from matching_client.testing import lifecycle
from matching_client.testing.caller import Caller
from matching_client.testing.choosing import exclusion
from matching_client.testing.entries import AdvisorEntry, MatchEntry
from matching_client.testing.paging import page
from matching_client.testing.refusals import error_of, invalid, no_step
from matching_client.testing.services.match import at_capacity, new_entry
from matching_client.testing.values import copy_of, new_id, now, word_of
from matching_client.testing.world import World

DEFAULT_SIMULATED = 50
_EMERGENCY = AssignmentType.ASSIGNMENT_TYPE_EMERGENCY


def assign_advisor(
    world: World, request: pb.AssignAdvisorRequest, caller: Caller
) -> pb.AssignAdvisorResponse:
    """Puts an advisor on a project, in place of its open match."""
    project = world.project(request.project_id)
    if project.owner_id == request.advisor_id:
        raise invalid("advisor_id", "owns the project")
    advisor = world.advisor(request.advisor_id)
    old = world.unsettled(project.id)
    hindrance = _hindrance(world, request, advisor, old)
    if hindrance is not None:
        raise hindrance
    if old is not None:
        lifecycle.expire(world, old, ClosedReason.CLOSED_REASON_SUPERSEDED_BY_ADMIN, caller.user_id)
    entry = new_entry(world, project.id, caller)
    match = entry.match
    match.assignment_type = request.assignment_type or AssignmentType.ASSIGNMENT_TYPE_MANUAL
    emergency = match.assignment_type == _EMERGENCY
    accepts = False if emergency else None
    lifecycle.offer(
        world, entry, advisor, actor=caller.user_id, reason=_reason(world, request, advisor), accepts=accepts
    )
    if emergency:
        lifecycle.move(entry, MatchStatus.MATCH_STATUS_FINALIZED)
        lifecycle.finalized(world, entry, MatchStatus.MATCH_STATUS_MATCHED, caller.user_id)
    return pb.AssignAdvisorResponse(
        assignment_id=_note(world, request, entry, caller),
        match=match,
        workspace_provisioning=match.workspace_provisioning,
    )


def _hindrance(
    world: World, request: pb.AssignAdvisorRequest, advisor: AdvisorEntry, old: MatchEntry | None
) -> MatchingError | None:
    """Why the advisor cannot be put on the project now."""
    if not advisor.profile.active:
        return error_of(AdvisorInactive, f"advisor {advisor.id} is deactivated")
    if old is not None and not old.is_open:
        return no_step("finalized", "expired", old.match.id)
    works = any(
        entry.holds_slot and not entry.is_open and entry.advisor_id == advisor.id
        for entry in world.matches_of(request.project_id)
    )
    if works or (request.project_id, advisor.id) in world.workspaces:
        told = f"advisor {advisor.id} is already active on project {request.project_id}"
        return error_of(AlreadyAssigned, told)
    if request.assignment_type == _EMERGENCY:
        return None
    if advisor.status != AvailabilityStatus.AVAILABILITY_STATUS_AVAILABLE:
        told = f"advisor {advisor.id} is {word_of(advisor.status, AvailabilityStatus)}"
        return error_of(AdvisorUnavailable, told)
    freed = old is not None and old.advisor_id == advisor.id
    return at_capacity(advisor) if world.load(advisor.id) - freed >= advisor.slots else None


def _reason(world: World, request: pb.AssignAdvisorRequest, advisor: AdvisorEntry) -> str:
    how = " in an emergency" if request.assignment_type == _EMERGENCY else ""
    why = f": {request.reason}" if request.reason else "."
    load = world.load(advisor.id)
    return f"Assigned by an admin{how} ({load} of {advisor.slots} slots taken){why}"


def _note(world: World, request: pb.AssignAdvisorRequest, entry: MatchEntry, caller: Caller) -> str:
    assignment_id = new_id()
    world.intervene(
        "advisor_assigned",
        request.reason,
        caller.user_id,
        match_id=entry.match.id,
        project_id=request.project_id,
        advisorId=request.advisor_id,
        assignmentId=assignment_id,
        assignmentType=f"{word_of(entry.match.assignment_type, AssignmentType)}_assignment",
        role=word_of(request.role or WorkspaceRole.WORKSPACE_ROLE_ADVISOR, WorkspaceRole),
    )
    return assignment_id


def release_advisor(
    world: World, request: pb.ReleaseAdvisorRequest, caller: Caller
) -> pb.ReleaseAdvisorResponse:
    """Ends an advisor's part in a project."""
    world.project(request.project_id)
    summary = world.advisor(request.advisor_id).summary
    released = lifecycle.release(world, request.project_id, summary, request.reason, caller.user_id)
    return pb.ReleaseAdvisorResponse(released=released)


def get_pool_status(
    world: World, request: pb.GetPoolStatusRequest, caller: Caller
) -> pb.GetPoolStatusResponse:
    """The active advisors by status and by load."""
    active = [entry for entry in world.advisors.values() if entry.profile.active]
    statuses = Counter(word_of(entry.status, AvailabilityStatus) for entry in active)
    loads: Counter[str] = Counter()
    for entry in active:
        if entry.status == AvailabilityStatus.AVAILABILITY_STATUS_AVAILABLE:
            load = world.load(entry.id)
            loads["at_capacity" if load >= entry.slots else "available" if load else "idle"] += 1
    return pb.GetPoolStatusResponse(
        total_advisors=len(active),
        status_breakdown=pb.StatusBreakdown(**statuses),
        workload_breakdown=pb.WorkloadBreakdown(**loads),
        pool_size=pool_size(world),
        algorithm=MatchingAlgorithm.MATCHING_ALGORITHM_SIMPLE_AVAILABILITY,
    )


def pool_size(world: World) -> PoolSize:
    """By the number of active advisors."""
    active = sum(entry.profile.active for entry in world.advisors.values())
    if active < 10:
        return PoolSize.POOL_SIZE_SMALL
    return PoolSize.POOL_SIZE_MEDIUM if active < 50 else PoolSize.POOL_SIZE_LARGE


def simulate_match(
    world: World, request: pb.SimulateMatchRequest, caller: Caller
) -> pb.SimulateMatchResponse:
    """Who could be offered the project, in the fake's own order, and who could not. Scripts do not count."""
    project = world.project(request.project_id)
    limit = request.limit or DEFAULT_SIMULATED
    reasons = {
        entry.id: exclusion(world, project, request.criteria, entry, allow_previous=False)
        for entry in world.advisors.values()
    }
    free = [world.advisors[id_] for id_, reason in reasons.items() if reason is None]
    excluded = sorted((id_, reason) for id_, reason in reasons.items() if reason is not None)
    return pb.SimulateMatchResponse(
        candidates=[_candidate(world, entry, rank) for rank, entry in enumerate(free[:limit], 1)],
        excluded=[
            pb.ExcludedAdvisor(advisor=world.advisors[id_].summary, reason=ExclusionReason.Name(reason))
            for id_, reason in excluded[:limit]
        ],
        algorithm=MatchingAlgorithm.MATCHING_ALGORITHM_SIMPLE_AVAILABILITY,
        pool_size=pool_size(world),
    )


def _candidate(world: World, entry: AdvisorEntry, rank: int) -> Candidate:
    features = CandidateFeatures(load=world.load(entry.id), slots=entry.slots)
    return Candidate(advisor=entry.summary, features=features, rank=rank)


def explain_match(world: World, request: pb.ExplainMatchRequest, caller: Caller) -> pb.ExplainMatchResponse:
    """That a fake has chosen, and whom; it keeps no inputs."""
    match = world.match(request.match_id).match
    explanation = Explanation(algorithm_version="fake", pool_size=pool_size(world))
    if match.HasField("matched_advisor"):
        explanation.decided_at.CopyFrom(match.created_at)
        explanation.chosen.advisor.CopyFrom(match.matched_advisor)
        explanation.chosen.rank = 1
        if match.HasField("score"):
            explanation.chosen.score = match.score
    return pb.ExplainMatchResponse(explanation=explanation, replay_matches=True)


def create_preference_rule(
    world: World, request: pb.CreatePreferenceRuleRequest, caller: Caller
) -> pb.CreatePreferenceRuleResponse:
    """Adds a rule. EXCLUDE and REQUIRE are obeyed, BOOST is kept."""
    rule = copy_of(request.rule)
    world.advisor(rule.advisor_id)
    if rule.WhichOneof("scope") == "project_id":
        world.project(rule.project_id)
    rule.id, rule.created_by = new_id(), caller.user_id
    rule.created_at.CopyFrom(now())
    world.rules[rule.id] = (world.serial(), rule)
    return pb.CreatePreferenceRuleResponse(rule=rule)


def list_preference_rules(
    world: World, request: pb.ListPreferenceRulesRequest, caller: Caller
) -> pb.ListPreferenceRulesResponse:
    """The rules, newest first."""
    rules, token = page([(serial, rule) for serial, rule in world.rules.values() if rule], request)
    return pb.ListPreferenceRulesResponse(rules=rules, next_page_token=token)


def delete_preference_rule(
    world: World, request: pb.DeletePreferenceRuleRequest, caller: Caller
) -> pb.DeletePreferenceRuleResponse:
    """Deletes a rule; one that is deleted stays so."""
    if request.rule_id not in world.rules:
        raise error_of(RuleNotFound, f"no rule with id {request.rule_id}")
    serial, _ = world.rules[request.rule_id]
    world.rules[request.rule_id] = (serial, None)
    return pb.DeletePreferenceRuleResponse()
