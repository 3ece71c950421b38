"""AvailabilityService: whether advisors take projects, and how many."""

from __future__ import annotations

from typing import Unpack

from advisor_matching.v1.availability_service_pb2 import GetAvailabilityRequest, UpdateAvailabilityRequest
from advisor_matching.v1.types_pb2 import Availability, AvailabilityPreferences, AvailabilityStatus
from matching_client.methods.base import Caller, CallOptions


class AvailabilityMethods(Caller):
    """The methods of AvailabilityService."""

    def update_availability(
        self,
        advisor_id: str = "",
        *,
        status: AvailabilityStatus | str | None = None,
        max_concurrent_projects: int | None = None,
        preferences: AvailabilityPreferences | None = None,
        decline_open_offers: bool = False,
        **options: Unpack[CallOptions],
    ) -> Availability:
        """Changes an advisor's status, slots or preferences; what is left out stays.

        Slots are 1 to 100; preferences are replaced whole. Without `advisor_id` the caller's own.
        `decline_open_offers` also declines every offer not yet finalized.
        Errors: AdvisorNotFound, and the common ones.
        """
        request = UpdateAvailabilityRequest(
            advisor_id=advisor_id,
            status=status,
            max_concurrent_projects=max_concurrent_projects,
            preferences=preferences,
            decline_open_offers=decline_open_offers,
        )
        return self._call(self.stubs.availability.UpdateAvailability, request, options).availability

    def get_availability(self, advisor_id: str = "", **options: Unpack[CallOptions]) -> Availability:
        """Returns an advisor's availability, without `advisor_id` the caller's own.

        Errors: AdvisorNotFound, and the common ones.
        """
        request = GetAvailabilityRequest(advisor_id=advisor_id)
        return self._call(self.stubs.availability.GetAvailability, request, options).availability
