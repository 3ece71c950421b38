"""A channel that signs: what is signed is what is sent.

It wraps a real channel. Each request is serialized first, with the stub's own serializer; those bytes are
signed, and those bytes are sent, with no serializer after the signature.
"""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

import grpc

from matching_client.signer import Metadata, Signer, given, refuse_signed
from matching_client.signing import CALL_LIFETIME, STREAM_LIFETIME, Credentials

if TYPE_CHECKING:
    from grpc import _CallFuture, _CallIterator

    _UnaryUnary = grpc.UnaryUnaryMultiCallable[Any, Any]
    _UnaryStream = grpc.UnaryStreamMultiCallable[Any, Any]
else:  # generic for type checkers only
    _UnaryUnary = grpc.UnaryUnaryMultiCallable
    _UnaryStream = grpc.UnaryStreamMultiCallable

Request = TypeVar("Request")
Response = TypeVar("Response")
Serializer = Callable[[Request], bytes]


class SigningChannel(grpc.Channel):
    """Signs every call of the contract; SystemService, health and reflection pass unsigned.

    Stubs built on it work as on any channel, and raise `grpc.RpcError`. Their methods are not registered with
    the core: registering with a channel that another thread has closed ends the process. Closing it closes
    the wrapped channel.
    """

    def __init__(self, channel: grpc.Channel, credentials: Credentials) -> None:
        self._channel = channel
        self._credentials = credentials

    def unary_unary(
        self,
        method: str,
        request_serializer: Serializer[Request] | None = None,
        response_deserializer: Callable[[bytes], Response] | None = None,
        _registered_method: bool = False,
    ) -> grpc.UnaryUnaryMultiCallable[Request, Response]:
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
    ) -> grpc.UnaryStreamMultiCallable[Request, Response]:
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
    ) -> grpc.StreamUnaryMultiCallable[Request, Response]:
        """Passed through: the contract has no method that streams requests."""
        refuse_signed(method)
        return self._channel.stream_unary(method, request_serializer, response_deserializer)

    def stream_stream(
        self,
        method: str,
        request_serializer: Serializer[Request] | None = None,
        response_deserializer: Callable[[bytes], Response] | None = None,
        _registered_method: bool = False,
    ) -> grpc.StreamStreamMultiCallable[Request, Response]:
        """Passed through, as reflection needs it."""
        refuse_signed(method)
        return self._channel.stream_stream(method, request_serializer, response_deserializer)

    def subscribe(
        self, callback: Callable[[grpc.ChannelConnectivity], None], try_to_connect: bool | None = False
    ) -> None:
        """Watches the wrapped channel's connectivity."""
        self._channel.subscribe(callback, try_to_connect=bool(try_to_connect))

    def unsubscribe(self, callback: Callable[[grpc.ChannelConnectivity], None]) -> None:
        """Ends what `subscribe` began."""
        self._channel.unsubscribe(callback)

    def close(self) -> None:
        """Closes the wrapped channel."""
        self._channel.close()

    def __enter__(self) -> SigningChannel:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


class _SigningUnaryUnary(_UnaryUnary):
    def __init__(self, inner: grpc.UnaryUnaryMultiCallable[Any, Any], sign: Signer) -> None:
        self._inner = inner
        self._sign = sign

    def __call__(
        self,
        request: Any,
        timeout: float | None = None,
        metadata: Metadata | None = None,
        credentials: grpc.CallCredentials | None = None,
        wait_for_ready: bool | None = None,
        compression: grpc.Compression | None = None,
    ) -> Any:
        body, options = self._sign(
            request, metadata, given(timeout, credentials, wait_for_ready, compression)
        )
        return self._inner(body, **options)

    def with_call(
        self,
        request: Any,
        timeout: float | None = None,
        metadata: Metadata | None = None,
        credentials: grpc.CallCredentials | None = None,
        wait_for_ready: bool | None = None,
        compression: grpc.Compression | None = None,
    ) -> tuple[Any, grpc.Call]:
        body, options = self._sign(
            request, metadata, given(timeout, credentials, wait_for_ready, compression)
        )
        return self._inner.with_call(body, **options)

    def future(
        self,
        request: Any,
        timeout: float | None = None,
        metadata: Metadata | None = None,
        credentials: grpc.CallCredentials | None = None,
        wait_for_ready: bool | None = None,
        compression: grpc.Compression | None = None,
    ) -> _CallFuture[Any]:
        body, options = self._sign(
            request, metadata, given(timeout, credentials, wait_for_ready, compression)
        )
        return self._inner.future(body, **options)


class _SigningUnaryStream(_UnaryStream):
    def __init__(self, inner: grpc.UnaryStreamMultiCallable[Any, Any], sign: Signer) -> None:
        self._inner = inner
        self._sign = sign

    def __call__(
        self,
        request: Any,
        timeout: float | None = None,
        metadata: Metadata | None = None,
        credentials: grpc.CallCredentials | None = None,
        wait_for_ready: bool | None = None,
        compression: grpc.Compression | None = None,
    ) -> _CallIterator[Any]:
        body, options = self._sign(
            request, metadata, given(timeout, credentials, wait_for_ready, compression)
        )
        return self._inner(body, **options)
