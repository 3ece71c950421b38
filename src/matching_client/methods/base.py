"""How every method calls: ids filled in, retried within the timeout, errors as exceptions."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from typing import TypedDict, TypeVar

import grpc
from google.protobuf.message import Message
from tenacity import Retrying

from matching_client.retry import rules, with_own_ids
from matching_client.signing import correlation_metadata
from matching_client.status_details import from_rpc_error
from matching_client.stubs import Stubs

_Request = TypeVar("_Request", bound=Message)
_Response = TypeVar("_Response")


class CallOptions(TypedDict, total=False):
    """What every method takes besides its own arguments."""

    timeout: float
    """Seconds for all attempts together. Default: the client's."""
    correlation_id: str
    """Names the call in the service's logs; 1 to 128 of `[A-Za-z0-9._-]`. Default: made by the service."""


class Caller(ABC):
    """What the methods stand on."""

    stubs: Stubs
    """The raw typed stubs."""
    timeout: float
    """Default of the methods' `timeout`, in seconds."""

    @abstractmethod
    def _ensure_open(self) -> None:
        """Raises RuntimeError once the client is closed."""

    def _call(
        self,
        method: grpc.UnaryUnaryMultiCallable[_Request, _Response],
        request: _Request,
        options: CallOptions,
    ) -> _Response:
        """The response, after as many attempts as the timeout allows. Raises MatchingError."""
        self._ensure_open()
        timeout = options.get("timeout", self.timeout)
        metadata = correlation_metadata(options.get("correlation_id"))
        request = with_own_ids(request)
        deadline = time.monotonic() + timeout

        def attempt() -> _Response:
            try:
                return method(request, timeout=max(deadline - time.monotonic(), 0.0), metadata=metadata)
            except grpc.RpcError as error:
                raise from_rpc_error(error) from error

        return Retrying(**rules(timeout))(attempt)
