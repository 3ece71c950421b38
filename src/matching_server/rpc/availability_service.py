"""AvailabilityService: whether advisors take projects, and how many."""

from __future__ import annotations

from advisor_matching.v1 import availability_service_pb2 as pb
from matching_server.domain.calls import Call
from matching_server.domain.model import Availability
from matching_server.operations import availability
from matching_server.operations.runner import Runner
from matching_server.rpc import convert
from matching_server.rpc.fields import read
from matching_server.rpc.inputs import GetAvailabilityInput, UpdateAvailabilityInput
from matching_server.storage.availability_cache import AvailabilityCache


class AvailabilityService:
    """The handlers of AvailabilityService."""

    def __init__(self, runner: Runner, cache: AvailabilityCache) -> None:
        self._runner = runner
        self._cache = cache

    def update_availability(
        self, request: pb.UpdateAvailabilityRequest, call: Call
    ) -> pb.UpdateAvailabilityResponse:
        """Changes an advisor's status, slots or preferences."""
        command = read(UpdateAvailabilityInput, request).command(call.caller.user_id)
        updated = availability.update_availability(self._runner, call, command)
        return pb.UpdateAvailabilityResponse(availability=convert.availability_message(updated))

    def get_availability(self, request: pb.GetAvailabilityRequest, call: Call) -> bytes:
        """Returns an advisor's availability."""
        advisor_id = read(GetAvailabilityInput, request).advisor(call.caller.user_id)
        return availability.get_answer(self._runner, self._cache, call, advisor_id, _encode)


def _encode(found: Availability) -> bytes:
    return pb.GetAvailabilityResponse(availability=convert.availability_message(found)).SerializeToString()
