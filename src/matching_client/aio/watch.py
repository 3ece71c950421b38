"""The live events of a project, as an iterator that survives broken streams."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from types import TracebackType
from typing import TYPE_CHECKING

from matching_client.aio.stream import EventStream
from matching_client.contract import types
from matching_client.defaults import HEARTBEAT_SECONDS
from matching_client.errors import DeadlineExceeded, MatchingError
from matching_client.resume import silence_of

if TYPE_CHECKING:
    import grpc.aio

    from matching_client.contract import event
    from matching_client.resume import WatchCursor

    _Method = grpc.aio.UnaryStreamMultiCallable[
        event.WatchProjectEventsRequest, event.WatchProjectEventsResponse
    ]


class AsyncWatch(AsyncIterator["types.ProjectEvent"]):
    """The events of a project, each once and in order. Made by `AsyncMatchingClient.watch`.

    Iterate in one task; `close()` may be called from any, and ends the iteration. Broken streams are
    resumed after the last event or heartbeat received, for as long as it takes. Errors that reconnecting
    cannot cure are raised once (StreamEvicted, ProjectNotFound, EventsCompacted and so on), and the watch is
    closed then.
    """

    def __init__(
        self,
        method: _Method,
        cursor: WatchCursor,
        *,
        heartbeat_interval: float = HEARTBEAT_SECONDS,
        metadata: tuple[tuple[str, str], ...] = (),
    ) -> None:
        """`heartbeat_interval` is in seconds."""
        self._cursor = cursor
        self._silence = silence_of(heartbeat_interval)
        self._stream = EventStream(method, cursor.request, metadata, cursor.watch_id)

    @property
    def last_event_id(self) -> str:
        """Id to resume after, here or elsewhere: of the last event or heartbeat. Empty: none yet.

        It never runs ahead of the events that have been handed out: stored once an event is dealt with, and
        given to a later watch, nothing is missed.
        """
        return self._cursor.last_event_id

    @property
    def watch_id(self) -> str:
        """The watch's name, the same through all reconnects."""
        return self._cursor.watch_id

    async def start(self, timeout: float) -> None:
        """Connects, and returns once the service has fixed the start; what commits later is delivered.

        A service out of reach is tried again within `timeout` seconds. Raises the error that is left then,
        and any that reconnecting cannot cure. A refusal that arrives late is raised by the iteration.
        """
        deadline = time.monotonic() + timeout
        refused: MatchingError | None = None
        while not self._stream.closed:
            try:
                self._cursor.establish(await self._stream.establish(deadline))
            except DeadlineExceeded as error:
                # The last attempt was cut off: why those before it failed says more.
                await self._pause(refused or error, deadline)
            except MatchingError as error:
                await self._pause(error, deadline)
                refused = error
            else:
                break

    async def __anext__(self) -> types.ProjectEvent:
        """The next event, as soon as there is one. Ends the iteration once the watch is closed."""
        while not self._stream.closed:
            try:
                event = self._cursor.accept(await self._stream.receive(self._silence))
            except MatchingError as error:
                await self._pause(error)
            else:
                if event is not None:
                    return event
        raise StopAsyncIteration

    async def close(self) -> None:
        """Ends the stream, the iteration, and what runs for them. Repeating it does nothing."""
        await self._stream.close()

    async def __aenter__(self) -> AsyncWatch:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def _pause(self, error: MatchingError, deadline: float | None = None) -> None:
        """Waits until it is time to reconnect. Raises the error where it ends the watch."""
        if self._stream.closed:
            return
        self._stream.drop()
        try:
            delay = self._cursor.retry_delay(error)
            if deadline is not None and time.monotonic() + delay >= deadline:
                raise error
        except MatchingError:
            await self.close()
            raise
        await self._stream.wait(delay)
