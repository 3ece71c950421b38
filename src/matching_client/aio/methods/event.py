"""EventService: what happens in a project, live and afterwards."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Unpack

from matching_client.aio.caller import Caller
from matching_client.arguments import settled
from matching_client.contract import event, types
from matching_client.defaults import HEARTBEAT_SECONDS
from matching_client.options import CallOptions

if TYPE_CHECKING:
    from matching_client.aio.watch import AsyncWatch


class EventMethods(Caller):
    """The methods of EventService."""

    async def list_project_events(
        self,
        project_id: str,
        *,
        after_event_id: str = "",
        page_size: int = 0,
        **options: Unpack[CallOptions],
    ) -> event.ListProjectEventsResponse:
        """Lists a project's retained events, oldest first.

        At most 50, unless `page_size` (up to 200) says otherwise. The response's `last_event_id` is the next
        `after_event_id`, or a watch's `last_event_id`.
        Errors: ProjectNotFound, EventIdInvalid, EventIdUnknown, EventsCompacted, and the common ones.
        """
        request = event.ListProjectEventsRequest(
            project_id=project_id, after_event_id=after_event_id, page_size=page_size
        )
        return await self._call(self.stubs.event.ListProjectEvents, request, options)

    def iter_project_events(
        self,
        project_id: str,
        *,
        after_event_id: str = "",
        page_size: int = 0,
        **options: Unpack[CallOptions],
    ) -> AsyncIterator[types.ProjectEvent]:
        """A project's retained events, oldest first, up to the last one there is when it is reached.

        Pages are asked for as they are needed; `timeout` is that of each.
        """
        return self._pages(
            lambda token: self.list_project_events(
                project_id, after_event_id=token or after_event_id, page_size=page_size, **options
            ),
            lambda page: (page.events, page.last_event_id if page.events else ""),
        )

    async def watch(
        self,
        project_id: str,
        *,
        last_event_id: str | None = None,
        from_start: bool = False,
        types: Sequence[str] = (),
        watch_id: str | None = None,
        heartbeat_interval: float = HEARTBEAT_SECONDS,
        **options: Unpack[CallOptions],
    ) -> AsyncWatch:
        """The project's events as they happen; what commits after this returned will be among them.

        It begins after `last_event_id`, or with the whole retained log (`from_start`), or with what comes
        next; `types` leaves only events of these names. It reconnects by itself under one `watch_id` (made
        where left out). 2.5 times `heartbeat_interval` (seconds, the server's setting) of silence count as a
        dead connection. `timeout` bounds this call, not the watch. Errors: ProjectNotFound, EventIdInvalid,
        EventIdUnknown, EventsCompacted, Unavailable, DeadlineExceeded, and the common ones; later on also
        StreamEvicted.
        """
        from matching_client.aio.watch import AsyncWatch  # noqa: PLC0415 - for those who watch
        from matching_client.resume import WatchCursor  # noqa: PLC0415 - for those who watch

        self._ensure_open()
        timeout, metadata = settled(options, self.timeout)
        cursor = WatchCursor(
            project_id, last_event_id=last_event_id, from_start=from_start, types=types, watch_id=watch_id
        )
        watch = AsyncWatch(
            self.stubs.event.WatchProjectEvents,
            cursor,
            heartbeat_interval=heartbeat_interval,
            metadata=metadata,
        )
        self._keep(watch)
        try:
            await watch.start(timeout)
        except BaseException:
            await watch.close()
            raise
        return watch
