"""Calls by hand: the very bytes and headers, to be sent once more, or without a signature."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf.message import Message

from matching_client import Claims
from matching_client.signing import Credentials, Headers
from matching_client.status_details import from_rpc_error
from tests.support.processes import Endpoint

Metadata = tuple[tuple[str, str], ...]
_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class SignedCall:
    """A call as it goes over the wire."""

    path: str
    body: bytes
    headers: Metadata

    def send(self, channel: grpc.Channel) -> bytes:
        """The answer's bytes. Raises MatchingError."""
        return answer(channel, self.path, self.body, self.headers)[0]

    def open(self, channel: grpc.Channel) -> bytes:
        """The first message of the stream that the call opens. Raises MatchingError."""
        stream = open_stream(channel, self.path, self.body, self.headers)
        try:
            return bytes(next(stream))
        except grpc.RpcError as error:
            raise from_rpc_error(error) from error
        finally:
            stream.cancel()


def sign(endpoint: Endpoint, claims: Claims, path: str, request: Message | bytes) -> SignedCall:
    """The call, signed now."""
    body = request if isinstance(request, bytes) else request.SerializeToString()
    credentials = Credentials(endpoint.key_id, endpoint.secret, claims)
    headers: Headers = credentials.headers(path, body)
    return SignedCall(path, body, headers)


def answer(
    channel: grpc.Channel, path: str, body: bytes, headers: Metadata = ()
) -> tuple[bytes, dict[str, str | bytes]]:
    """The answer's bytes and its initial metadata. Raises MatchingError."""
    try:
        method: Any = channel.unary_unary(path)
        said, call = method.with_call(body, metadata=headers, timeout=_SECONDS)
    except grpc.RpcError as error:
        raise from_rpc_error(error) from error
    return bytes(said), dict(call.initial_metadata())


def open_stream(
    channel: grpc.Channel, path: str, body: bytes, headers: Metadata = (), *, seconds: float = _SECONDS
) -> Any:
    """A stream of bytes that has been opened; what comes of it is its reader's."""
    method: Any = channel.unary_stream(path)
    return method(body, metadata=headers, timeout=seconds)
