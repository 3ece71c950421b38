"""Calls whose claims have to be awaited first.

They run in the task that awaits them, and leave no task of their own: what waits for the claims is cancelled
with that task.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from typing import Any, Generic, TypeVar

import grpc.aio

from matching_client.signing import Claims

_Call = TypeVar("_Call", bound=grpc.aio.Call)
Begin = Callable[[Claims | None, float | None], _Call]
"""Begins a call, given the claims to sign it with, None where it goes unsigned, and its timeout in seconds."""


class _Deferred(Generic[_Call]):
    """A call that begins once its claims are there, which are waited for when it is first awaited."""

    def __init__(
        self,
        who: Awaitable[Claims],
        begin: Begin[_Call],
        timeout: float | None,
    ) -> None:
        self._who = who
        self._begin = begin
        self._deadline = None if timeout is None else time.monotonic() + timeout
        self._lock = asyncio.Lock()
        self._call: _Call | None = None
        self._callbacks: list[Callable[[Any], None]] = []
        self._cancelled = False

    async def _begun(self) -> _Call:
        async with self._lock:
            if self._call is None:
                if self._cancelled:
                    raise asyncio.CancelledError
                who = await self._claims()
                if self._cancelled:
                    raise asyncio.CancelledError
                self._call = self._begin(who, self.time_remaining())
                for callback in self._callbacks:
                    self._call.add_done_callback(callback)
            return self._call

    async def _claims(self) -> Claims:
        """Raises DEADLINE_EXCEEDED where they do not come within the call's timeout."""
        limit = asyncio.timeout(self.time_remaining())
        try:
            async with limit:
                return await self._who
        except TimeoutError:
            if not limit.expired():
                raise
            raise grpc.aio.AioRpcError(
                grpc.StatusCode.DEADLINE_EXCEEDED,
                grpc.aio.Metadata(),
                grpc.aio.Metadata(),
                "the claims did not come within the timeout",
            ) from None

    def cancelled(self) -> bool:
        """Whether it was cancelled on this side."""
        return self._cancelled or (self._call is not None and self._call.cancelled())

    def done(self) -> bool:
        """Whether it is over."""
        return self._cancelled if self._call is None else self._call.done()

    def cancel(self) -> bool:
        """Ends it, or keeps it from beginning; false where it was over."""
        if self._call is not None:
            return self._call.cancel()
        if asyncio.iscoroutine(self._who) and not self._lock.locked():
            # Nobody will await it.
            self._who.close()
        was, self._cancelled = self._cancelled, True
        return not was

    def time_remaining(self) -> float | None:
        """Seconds until its deadline; None without one."""
        return None if self._deadline is None else max(self._deadline - time.monotonic(), 0.0)

    def add_done_callback(self, callback: Callable[[Any], None]) -> None:
        """Calls back once it is over, if it ever begins."""
        if self._call is None:
            self._callbacks.append(callback)
        else:
            self._call.add_done_callback(callback)

    async def initial_metadata(self) -> grpc.aio.Metadata:
        """What the service sends first."""
        return await (await self._begun()).initial_metadata()

    async def trailing_metadata(self) -> grpc.aio.Metadata:
        """What the service sends last."""
        return await (await self._begun()).trailing_metadata()

    async def code(self) -> grpc.StatusCode:
        """The status, once it is over."""
        return await (await self._begun()).code()

    async def details(self) -> str:
        """The message of the status."""
        return await (await self._begun()).details()

    async def wait_for_connection(self) -> None:
        """Waits until it is connected."""
        await (await self._begun()).wait_for_connection()


class DeferredUnaryUnary(_Deferred[grpc.aio.UnaryUnaryCall[Any, Any]], grpc.aio.UnaryUnaryCall[Any, Any]):
    """A call with one response."""

    def __await__(self) -> Generator[None, None, Any]:
        return self._answer().__await__()

    async def _answer(self) -> Any:
        return await (await self._begun())


class DeferredUnaryStream(_Deferred[grpc.aio.UnaryStreamCall[Any, Any]], grpc.aio.UnaryStreamCall[Any, Any]):
    """A call with a stream of responses."""

    async def __aiter__(self) -> AsyncIterator[Any]:
        async for message in await self._begun():
            yield message

    async def read(self) -> Any:
        """The next message, or EOF."""
        return await (await self._begun()).read()
