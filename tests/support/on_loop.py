"""The asynchronous client in the clothes of the synchronous one, so that one test serves both."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, Self, cast

from matching_client import AsyncMatchingClient, AsyncWatch, MatchingClient

_SECONDS = 60.0
"""A call that takes longer than any test waits."""


Connect = Callable[..., MatchingClient]
"""What makes a client of the constructor's arguments: MatchingClient, or `on_loop`."""


def on_loop(address: str, **arguments: Any) -> MatchingClient:
    """An AsyncMatchingClient whose methods block: they run on an event loop in a thread of its own."""
    return cast(MatchingClient, _Blocking(AsyncMatchingClient(address, **arguments), _Loop()))


class _Loop:
    """An event loop in a thread."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="event-loop")
        self._thread.start()

    def run(self, what: Callable[[], Any]) -> Any:
        """What a function returns there, awaited where that is needed."""

        async def running() -> Any:
            result = what()
            return await result if isinstance(result, Awaitable) else result

        return asyncio.run_coroutine_threadsafe(running(), self._loop).result(_SECONDS)

    def end(self) -> None:
        """Stops the thread."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_SECONDS)
        self._loop.close()


class _Blocking:
    def __init__(self, client: AsyncMatchingClient, loop: _Loop, *, owner: bool = True) -> None:
        self._client = client
        self._loop = loop
        self._owner = owner
        # Makes the channel, and with it the thread that grpc.aio has for all of a process.
        loop.run(lambda: client.stubs.system)

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._client, name)
        return self._blocking(attribute) if callable(attribute) else attribute

    def as_user(self, **arguments: Any) -> _Blocking:
        return _Blocking(self._client.as_user(**arguments), self._loop, owner=False)

    def close(self) -> None:
        self._loop.run(self._client.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
        if self._owner:
            self._loop.end()

    def _blocking(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*positional: Any, **named: Any) -> Any:
            result = self._loop.run(lambda: method(*positional, **named))
            if isinstance(result, AsyncWatch):
                return _BlockingWatch(result, self._loop)
            return _BlockingIterator(result, self._loop) if isinstance(result, AsyncIterator) else result

        call.__doc__, call.__signature__ = method.__doc__, inspect.signature(method)  # type: ignore[attr-defined]
        return call


class _BlockingIterator(Iterator[Any]):
    def __init__(self, rows: AsyncIterator[Any], loop: _Loop) -> None:
        self._rows = rows
        self._loop = loop

    def __next__(self) -> Any:
        try:
            return self._loop.run(lambda: anext(self._rows))
        except StopAsyncIteration:
            raise StopIteration from None


class _BlockingWatch(_BlockingIterator):
    _rows: AsyncWatch

    @property
    def last_event_id(self) -> str:
        return self._rows.last_event_id

    @property
    def watch_id(self) -> str:
        return self._rows.watch_id

    def close(self) -> None:
        self._loop.run(self._rows.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
