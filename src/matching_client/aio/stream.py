"""One open stream of events after the other, on one event loop; those that fall silent are ended."""

from __future__ import annotations

import asyncio
import time
import weakref
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, cast

import grpc.aio

from matching_client.aio.failing import tell
from matching_client.errors import Cancelled, DeadlineExceeded, Unavailable
from matching_client.resume import SETTLE_SECONDS, start_of

if TYPE_CHECKING:
    from matching_client.contract import event

    _Call = grpc.aio.UnaryStreamCall[event.WatchProjectEventsRequest, event.WatchProjectEventsResponse]


class EventStream:
    """What a watch reads: opened with the request of the moment when there is none, and again after `drop`."""

    def __init__(
        self,
        method: grpc.aio.UnaryStreamMultiCallable[
            event.WatchProjectEventsRequest, event.WatchProjectEventsResponse
        ],
        request: Callable[[], event.WatchProjectEventsRequest],
        metadata: tuple[tuple[str, str], ...],
        name: str,
    ) -> None:
        self._method = method
        self._request = request
        self._metadata = metadata
        self._closed = asyncio.Event()
        self._call: _Call | None = None
        self._end: weakref.finalize[..., EventStream] | None = None

    @property
    def closed(self) -> bool:
        """Whether it has been closed, by whichever task."""
        return self._closed.is_set()

    async def establish(self, deadline: float) -> str:
        """Opens a stream and waits for its start: the id where it starts, empty where it is not said.

        Raises DeadlineExceeded at the deadline (of the monotonic clock), else the error of the stream.
        """
        stream, limit = self._open(), asyncio.timeout(max(deadline - time.monotonic(), 0.0))
        try:
            async with limit:
                start = start_of(await stream.initial_metadata())
        except TimeoutError:
            if not limit.expired():
                raise  # by whoever gives the claims
            stream.cancel()
            raise DeadlineExceeded("the watch was not established within the timeout") from None
        except (grpc.RpcError, asyncio.CancelledError) as error:
            tell(error)
        if not start:
            await self._settle(stream)
        return start

    async def receive(self, silence: float) -> event.WatchProjectEventsResponse:
        """The next message. Only the time spent waiting for it counts as silence, in seconds.

        Raises the error of the stream: Cancelled after too much silence, Unavailable at its end. Where the
        task is cancelled, so is the stream.
        """
        stream, limit = self._open(), asyncio.timeout(silence)
        try:
            async with limit:
                message = await stream.read()
        except TimeoutError:
            if not limit.expired():
                raise
            raise Cancelled("nothing was heard of the service for too long") from None
        except (grpc.RpcError, asyncio.CancelledError) as error:
            tell(error)
        if message is grpc.aio.EOF:
            raise Unavailable("the service ended the stream")
        return cast("event.WatchProjectEventsResponse", message)

    def drop(self) -> None:
        """Forgets the stream that is open; the next one begins with a new request."""
        if self._end is not None:
            self._end.detach()
        self._call = self._end = None

    async def wait(self, seconds: float) -> None:
        """Waits, at most until it is closed."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._closed.wait()

    async def close(self) -> None:
        """Ends the open stream, and whoever waits here. Repeatable."""
        self._closed.set()
        if self._call is not None:
            self._call.cancel()

    async def _settle(self, stream: _Call) -> None:
        """Raises the refusal where one follows at once."""
        with suppress(TimeoutError):
            async with asyncio.timeout(SETTLE_SECONDS):
                code = await stream.code()
            if code is not grpc.StatusCode.OK:
                try:
                    await stream.read()
                except (grpc.RpcError, asyncio.CancelledError) as error:
                    tell(error)

    def _open(self) -> _Call:
        if self._closed.is_set():
            raise Unavailable("the watch is closed")
        if self._call is None:
            self._call = self._method(self._request(), metadata=self._metadata)
            # A call that is under way is kept alive by grpc.aio itself, whoever lets go of it.
            self._end = weakref.finalize(self, _let_go, asyncio.get_running_loop(), self._call)
            self._end.atexit = False
        return self._call


def _let_go(loop: asyncio.AbstractEventLoop, call: _Call) -> None:
    """Cancels the call, in whichever thread its watch was collected."""
    if not loop.is_closed():
        loop.call_soon_threadsafe(call.cancel)
