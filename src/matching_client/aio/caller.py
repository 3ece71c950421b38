"""How every method calls: ids filled in, retried within the timeout, errors as exceptions."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, TypeVar

import grpc.aio

from matching_client.aio.failing import tell
from matching_client.errors import Cancelled
from matching_client.retry import Attempts, rules
from matching_client.signing import Claims

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from matching_client.aio.stubs import Stubs
    from matching_client.aio.watch import AsyncWatch
    from matching_client.options import CallOptions

_Request = TypeVar("_Request", bound="Message")
_Response = TypeVar("_Response")
_Row = TypeVar("_Row")

Provided = Claims | Awaitable[Claims]
"""What a claims provider of this client returns."""


class Caller(ABC):
    """What the methods stand on."""

    stubs: Stubs
    """The raw typed stubs."""
    timeout: float
    """Default of the methods' `timeout`, in seconds."""

    @property
    @abstractmethod
    def closed(self) -> bool:
        """Whether the client, or the one whose connection it shares, has been closed."""

    @abstractmethod
    def _keep(self, watch: AsyncWatch) -> None:
        """Remembers a watch that ends with the client."""

    def _ensure_open(self) -> None:
        """Raises RuntimeError once the client is closed."""
        if self.closed:
            raise RuntimeError("the client is closed")

    async def _call(
        self,
        method: grpc.aio.UnaryUnaryMultiCallable[_Request, _Response],
        request: _Request,
        options: CallOptions,
    ) -> _Response:
        """The response, after as many attempts as the timeout allows. Raises MatchingError."""
        from tenacity import AsyncRetrying  # noqa: PLC0415 - slow to import, and not needed before the first call

        self._ensure_open()
        call = Attempts.of(request, options, self.timeout)

        async def attempt() -> _Response:
            try:
                return await method(call.request, timeout=call.time_left(), metadata=call.metadata)
            except (grpc.RpcError, asyncio.CancelledError) as error:
                tell(error)
            except grpc.aio.UsageError as error:
                # So grpc.aio refuses to use a channel that has been closed, while claims were awaited say.
                if self.closed:
                    raise Cancelled("the client was closed") from error
                raise

        return await AsyncRetrying(**rules(call.timeout, lambda: not self.closed))(attempt)

    async def _pages(
        self,
        page: Callable[[str], Awaitable[_Response]],
        parts: Callable[[_Response], tuple[Iterable[_Row], str]],
    ) -> AsyncIterator[_Row]:
        """The rows of all pages, each asked for when it is reached.

        `page` calls with a token, first an empty one; `parts` gives a page's rows and the token of the next
        one, empty after the last.
        """
        following = ""
        while True:
            rows, following = parts(await page(following))
            for row in rows:
                yield row
            if not following:
                return
