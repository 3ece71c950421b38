"""A channel that signs: what is signed is what is sent.

It wraps a real channel. Each request is serialized first, with the stub's own serializer; those bytes are
signed, and those bytes are sent, with no serializer after the signature.
"""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Any, TypeVar

import grpc.aio

from matching_client.aio.deferred import Begin, DeferredUnaryStream, DeferredUnaryUnary
from matching_client.signer import Metadata, Signer, given, refuse_signed
from matching_client.signing import CALL_LIFETIME, STREAM_LIFETIME, Claims, Credentials

Request = TypeVar("Request")
Response = TypeVar("Response")
_Call = TypeVar("_Call", bound=grpc.aio.Call)
Serializer = Callable[[Request], bytes]


class SigningChannel(grpc.aio.Channel):
    """Signs every call of the contract; SystemService, health and reflection pass unsigned.

    Stubs built on it work as on any channel, and raise `grpc.RpcError`. Where the claims have to be awaited, a
    call begins when it is first awaited or read. As on the synchronous one, methods are not registered with
    the core. Closing it closes the wrapped channel.
    """

    def __init__(self, channel: grpc.aio.Channel, credentials: Credentials) -> None:
        self._channel = channel
        self._credentials = credentials

    def unary_unary(
        self,
        method: str,
        request_serializer: Serializer[Request] | None = None,
        response_deserializer: Callable[[bytes], Response] | None = None,
        _registered_method: bool = False,
    ) -> grpc.aio.UnaryUnaryMultiCallable[Request, Response]:
        """A method of one request and one response, signed where the contract asks for it."""
        return _SigningUnaryUnary(
            self._channel.unary_unary(method, None, response_deserializer),
            Signer(self._credentials, method, request_serializer, CALL_LIFETIME),
        )

    def unary_stream(
        self,
        method: str,
        request_serializer: Serializer[Request] | None = None,
        response_deserializer: Callable[[bytes], Response] | None = None,
        _registered_method: bool = False,
    ) -> grpc.aio.UnaryStreamMultiCallable[Request, Response]:
        """A method of one request and a stream of responses, signed where the contract asks for it."""
        return _SigningUnaryStream(
            self._channel.unary_stream(method, None, response_deserializer),
            Signer(self._credentials, method, request_serializer, STREAM_LIFETIME),
        )

    def stream_unary(
        self,
        method: str,
        request_serializer: Serializer[Request] | None = None,
        response_deserializer: Callable[[bytes], Response] | None = None,
        _registered_method: bool = False,
    ) -> grpc.aio.StreamUnaryMultiCallable[Request, Response]:
        """Passed through: the contract has no method that streams requests."""
        refuse_signed(method)
        return self._channel.stream_unary(method, request_serializer, response_deserializer)

    def stream_stream(
        self,
        method: str,
        request_serializer: Serializer[Request] | None = None,
        response_deserializer: Callable[[bytes], Response] | None = None,
        _registered_method: bool = False,
    ) -> grpc.aio.StreamStreamMultiCallable[Request, Response]:
        """Passed through, as reflection needs it."""
        refuse_signed(method)
        return self._channel.stream_stream(method, request_serializer, response_deserializer)

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:
        """The wrapped channel's connectivity."""
        return self._channel.get_state(try_to_connect)

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        """Waits until the wrapped channel's connectivity is another one."""
        await self._channel.wait_for_state_change(last_observed_state)

    async def channel_ready(self) -> None:
        """Waits until the wrapped channel is connected."""
        await self._channel.channel_ready()

    async def close(self, grace: float | None = None) -> None:
        """Closes the wrapped channel."""
        await self._channel.close(grace)

    async def __aenter__(self) -> SigningChannel:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()


class _SigningUnaryUnary(grpc.aio.UnaryUnaryMultiCallable[Any, Any]):
    def __init__(self, inner: grpc.aio.UnaryUnaryMultiCallable[Any, Any], sign: Signer) -> None:
        self._inner = inner
        self._sign = sign

    def __call__(
        self,
        request: Any,
        *,
        timeout: float | None = None,
        metadata: Any = None,
        credentials: grpc.CallCredentials | None = None,
        wait_for_ready: bool | None = None,
        compression: grpc.Compression | None = None,
    ) -> grpc.aio.UnaryUnaryCall[Any, Any]:
        options = given(None, credentials, wait_for_ready, compression)
        begin: Begin[grpc.aio.UnaryUnaryCall[Any, Any]]
        begin = _beginning(self._inner, self._sign, request, metadata, options)
        who = self._sign.who()
        if who is None or isinstance(who, Claims):
            return begin(who, timeout)
        return DeferredUnaryUnary(who, begin, timeout)


class _SigningUnaryStream(grpc.aio.UnaryStreamMultiCallable[Any, Any]):
    def __init__(self, inner: grpc.aio.UnaryStreamMultiCallable[Any, Any], sign: Signer) -> None:
        self._inner = inner
        self._sign = sign

    def __call__(
        self,
        request: Any,
        *,
        timeout: float | None = None,
        metadata: Any = None,
        credentials: grpc.CallCredentials | None = None,
        wait_for_ready: bool | None = None,
        compression: grpc.Compression | None = None,
    ) -> grpc.aio.UnaryStreamCall[Any, Any]:
        options = given(None, credentials, wait_for_ready, compression)
        begin: Begin[grpc.aio.UnaryStreamCall[Any, Any]]
        begin = _beginning(self._inner, self._sign, request, metadata, options)
        who = self._sign.who()
        if who is None or isinstance(who, Claims):
            return begin(who, timeout)
        return DeferredUnaryStream(who, begin, timeout)


def _beginning(
    inner: Callable[..., _Call],
    sign: Signer,
    request: Any,
    metadata: Metadata | None,
    options: dict[str, Any],
) -> Begin[_Call]:
    """Begins the call, given its claims and its timeout. The request is serialized now, whatever happens to it."""
    body = sign.body(request)
    return lambda who, timeout: inner(body, timeout=timeout, **sign.options(body, metadata, options, who))
