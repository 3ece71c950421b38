# Made from aio/methods/availability.py by scripts/make_sync.py; never edited.
"""AvailabilityService: whether advisors take projects, and how many."""

from __future__ import annotations

from typing import Unpack

from matching_client.caller import Caller
from matching_client.contract import availability, types
from matching_client.options import CallOptions
from matching_client.words import value_of


class AvailabilityMethods(Caller):
    """The methods of AvailabilityService."""

    def update_availability(
        self,
        advisor_id: str = "",
        *,
        status: types.AvailabilityStatus | str | None = None,
        max_concurrent_projects: int | None = None,
        preferences: types.AvailabilityPreferences | None = None,
        decline_open_offers: bool = False,
        **options: Unpack[CallOptions],
    ) -> types.Availability:
        """Changes an advisor's status, slots or preferences; what is left out stays.

        `status` is "available", "busy" or "offline".

        Slots are 1 to 100; preferences are replaced whole. Without `advisor_id` the caller's own.
        `decline_open_offers` also declines every offer not yet finalized.
        Errors: AdvisorNotFound, and the common ones.
        """
        request = availability.UpdateAvailabilityRequest(
            advisor_id=advisor_id,
            status=value_of(types.AvailabilityStatus, status),
            max_concurrent_projects=max_concurrent_projects,
            preferences=preferences,
            decline_open_offers=decline_open_offers,
        )
        response = self._call(self.stubs.availability.UpdateAvailability, request, options)
        return response.availability

    def get_availability(self, advisor_id: str = "", **options: Unpack[CallOptions]) -> types.Availability:
        """Returns an advisor's availability, without `advisor_id` the caller's own.

        Errors: AdvisorNotFound, and the common ones.
        """
        request = availability.GetAvailabilityRequest(advisor_id=advisor_id)
        response = self._call(self.stubs.availability.GetAvailability, request, options)
        return response.availability
