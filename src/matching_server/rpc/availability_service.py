"""AvailabilityService: whether advisors take projects, and how many."""

from __future__ import annotations

from advisor_matching.v1 import availability_service_pb2 as pb
from matching_server.domain.calls import Call
from matching_server.operations import availability
from matching_server.operations.runner import Runner
from matching_server.rpc import convert
from matching_server.rpc.fields import read
from matching_server.rpc.inputs import GetAvailabilityInput, UpdateAvailabilityInput


class AvailabilityService:
    """The handlers of AvailabilityService."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    def update_availability(
        self, request: pb.UpdateAvailabilityRequest, call: Call
    ) -> pb.UpdateAvailabilityResponse:
        """Changes an advisor's status, slots or preferences."""
        command = read(UpdateAvailabilityInput, request).command(call.caller.user_id)
        updated = availability.update_availability(self._runner, call, command)
        return pb.UpdateAvailabilityResponse(availability=convert.availability_message(updated))

    def get_availability(self, request: pb.GetAvailabilityRequest, call: Call) -> pb.GetAvailabilityResponse:
        """Returns an advisor's availability."""
        advisor_id = read(GetAvailabilityInput, request).advisor(call.caller.user_id)
        found = availability.get_availability(self._runner, call, advisor_id)
        return pb.GetAvailabilityResponse(availability=convert.availability_message(found))
