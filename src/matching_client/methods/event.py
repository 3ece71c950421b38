"""EventService: what happens in a project, afterwards; live, see `MatchingClient.watch`."""

from __future__ import annotations

from typing import Unpack

from advisor_matching.v1.event_service_pb2 import ListProjectEventsRequest, ListProjectEventsResponse
from matching_client.methods.base import Caller, CallOptions


class EventMethods(Caller):
    """The unary method of EventService."""

    def list_project_events(
        self,
        project_id: str,
        *,
        after_event_id: str = "",
        page_size: int = 0,
        **options: Unpack[CallOptions],
    ) -> ListProjectEventsResponse:
        """Lists a project's retained events, oldest first.

        At most 50, unless `page_size` (up to 200) says otherwise. The response's `last_event_id` is the next
        `after_event_id`, or a watch's `last_event_id`.
        Errors: ProjectNotFound, EventIdInvalid, EventIdUnknown, EventsCompacted, and the common ones.
        """
        request = ListProjectEventsRequest(
            project_id=project_id, after_event_id=after_event_id, page_size=page_size
        )
        return self._call(self.stubs.event.ListProjectEvents, request, options)
