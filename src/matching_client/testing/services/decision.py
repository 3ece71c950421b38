"""DecisionService."""

from __future__ import annotations

from advisor_matching.v1 import decision_service_pb2 as pb
from matching_client.errors import EtagMismatch
from matching_client.testing import lifecycle
from matching_client.testing.caller import Caller
from matching_client.testing.entries import MatchEntry, Side
from matching_client.testing.refusals import error_of, no_match
from matching_client.testing.services.match import refuse_expired
from matching_client.testing.world import World


def submit_client_decision(
    world: World, request: pb.SubmitClientDecisionRequest, caller: Caller
) -> pb.SubmitClientDecisionResponse:
    """The client's decision."""
    entry = world.match(request.match_id)
    if not caller.owns(world.project(entry.match.project_id).owner_id):
        raise no_match(request.match_id)
    match = _decide(world, entry, "client", request, caller).match
    return pb.SubmitClientDecisionResponse(
        status=match.status, workspace_provisioning=match.workspace_provisioning, match=match
    )


def submit_advisor_decision(
    world: World, request: pb.SubmitAdvisorDecisionRequest, caller: Caller
) -> pb.SubmitAdvisorDecisionResponse:
    """The decision of the advisor to whom the match is offered."""
    entry = world.match(request.match_id)
    if entry.advisor_id != caller.user_id:
        raise no_match(request.match_id)
    match = _decide(world, entry, "advisor", request, caller).match
    return pb.SubmitAdvisorDecisionResponse(
        status=match.status, workspace_provisioning=match.workspace_provisioning, match=match
    )


def _decide(
    world: World,
    entry: MatchEntry,
    side: Side,
    request: pb.SubmitClientDecisionRequest | pb.SubmitAdvisorDecisionRequest,
    caller: Caller,
) -> MatchEntry:
    match = entry.match
    earlier = match.client_decision if side == "client" else match.advisor_decision
    if earlier.decision == request.decision:
        return entry
    if request.etag and request.etag != match.etag:
        told = f"match {match.id} has changed since that etag was read; read it again"
        raise error_of(EtagMismatch, told, match_id=match.id)
    refuse_expired(entry)
    lifecycle.decide(world, entry, side, request.decision, reason=request.reason, actor=caller.user_id)
    return entry
