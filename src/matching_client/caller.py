"""How every method calls: ids filled in, retried within the timeout, errors as exceptions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, TypeVar

import grpc

from matching_client.errors import Cancelled
from matching_client.retry import Attempts, rules
from matching_client.signing import Claims

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from matching_client.options import CallOptions
    from matching_client.stubs import Stubs
    from matching_client.watch import Watch

_Request = TypeVar("_Request", bound="Message")
_Response = TypeVar("_Response")
_Row = TypeVar("_Row")

Provided = Claims
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
    def _keep(self, watch: Watch) -> None:
        """Remembers a watch that ends with the client."""

    def _ensure_open(self) -> None:
        """Raises RuntimeError once the client is closed."""
        if self.closed:
            raise RuntimeError("the client is closed")

    def _call(
        self,
        method: grpc.UnaryUnaryMultiCallable[_Request, _Response],
        request: _Request,
        options: CallOptions,
    ) -> _Response:
        """The response, after as many attempts as the timeout allows. Raises MatchingError."""
        from tenacity import Retrying  # noqa: PLC0415 - slow to import, and not needed before the first call

        self._ensure_open()
        call = Attempts.of(request, options, self.timeout)

        def attempt() -> _Response:
            try:
                return method(call.request, timeout=call.time_left(), metadata=call.metadata)
            except grpc.RpcError as error:
                from matching_client.status_details import from_rpc_error  # noqa: PLC0415 - for errors alone

                raise from_rpc_error(error) from error
            except ValueError as error:
                # So grpc refuses to use a channel that has been closed meanwhile, by another thread say.
                if self.closed:
                    raise Cancelled("the client was closed") from error
                raise

        return Retrying(**rules(call.timeout, lambda: not self.closed))(attempt)

    def _pages(
        self,
        page: Callable[[str], _Response],
        parts: Callable[[_Response], tuple[Iterable[_Row], str]],
    ) -> Iterator[_Row]:
        """The rows of all pages, each asked for when it is reached.

        `page` calls with a token, first an empty one; `parts` gives a page's rows and the token of the next
        one, empty after the last.
        """
        following = ""
        while True:
            rows, following = parts(page(following))
            yield from rows
            if not following:
                return
