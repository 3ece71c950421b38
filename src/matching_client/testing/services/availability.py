"""AvailabilityService."""

from __future__ import annotations

from advisor_matching.v1 import availability_service_pb2 as pb
from advisor_matching.v1.types_pb2 import Decision
from matching_client.testing import lifecycle
from matching_client.testing.caller import Caller
from matching_client.testing.entries import OFFERED, AdvisorEntry
from matching_client.testing.refusals import no_advisor
from matching_client.testing.values import now
from matching_client.testing.world import World


def get_availability(
    world: World, request: pb.GetAvailabilityRequest, caller: Caller
) -> pb.GetAvailabilityResponse:
    """An advisor's availability."""
    return pb.GetAvailabilityResponse(availability=world.availability(_theirs(world, request, caller)))


def update_availability(
    world: World, request: pb.UpdateAvailabilityRequest, caller: Caller
) -> pb.UpdateAvailabilityResponse:
    """Status, slots and preferences; what is not given stays."""
    advisor = _theirs(world, request, caller)
    advisor.status = request.status or advisor.status
    if request.HasField("max_concurrent_projects"):
        advisor.slots = request.max_concurrent_projects
    if request.HasField("preferences"):
        advisor.preferences.CopyFrom(request.preferences)
    advisor.updated_at = now()
    if caller.user_id == advisor.id:
        advisor.last_active = now()
    if request.decline_open_offers:
        for entry in list(world.matches.values()):
            if entry.advisor_id == advisor.id and entry.match.status in OFFERED:
                lifecycle.decide(world, entry, "advisor", Decision.DECISION_DECLINED, actor=caller.user_id)
    return pb.UpdateAvailabilityResponse(availability=world.availability(advisor))


def _theirs(
    world: World, request: pb.GetAvailabilityRequest | pb.UpdateAvailabilityRequest, caller: Caller
) -> AdvisorEntry:
    """Advisors see and change their own alone."""
    advisor_id = request.advisor_id or caller.user_id
    if not caller.acts_for_platform and caller.user_id != advisor_id:
        raise no_advisor(advisor_id)
    return world.advisor(advisor_id)
