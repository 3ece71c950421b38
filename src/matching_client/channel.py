"""A channel that signs: what is signed is what is sent.

It wraps a real channel. Each request is serialized first, with the stub's own serializer; those bytes are
signed, and those bytes are sent, with no serializer after the signature.
"""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

import grpc

from matching_client.signing import CALL_LIFETIME, STREAM_LIFETIME, Credentials, needs_signature

if TYPE_CHECKING:
    from grpc import _CallFuture, _CallIterator

    _UnaryUnary = grpc.UnaryUnaryMultiCallable[Any, Any]
    _UnaryStream = grpc.UnaryStreamMultiCallable[Any, Any]
else:  # generic for type checkers only
    _UnaryUnary = grpc.UnaryUnaryMultiCallable
    _UnaryStream = grpc.UnaryStreamMultiCallable

Request = TypeVar("Request")
Response = TypeVar("Response")
Metadata = tuple[tuple[str, str | bytes], ...]
Serializer = Callable[[Request], bytes]


class SigningChannel(grpc.Channel):
    """Signs every call of the contract; SystemService, health and reflection pass unsigned.

    Stubs built on it work as on any channel, and raise `grpc.RpcError`. Closing it closes the wrapped
    channel.
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
            self._channel.unary_unary(method, None, response_deserializer, **_registered(_registered_method)),
            _Signer(self._credentials, method, request_serializer, CALL_LIFETIME),
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
            self._channel.unary_stream(
                method, None, response_deserializer, **_registered(_registered_method)
            ),
            _Signer(self._credentials, method, request_serializer, STREAM_LIFETIME),
        )

    def stream_unary(
        self,
        method: str,
        request_serializer: Serializer[Request] | None = None,
        response_deserializer: Callable[[bytes], Response] | None = None,
        _registered_method: bool = False,
    ) -> grpc.StreamUnaryMultiCallable[Request, Response]:
        """Passed through: the contract has no method that streams requests."""
        _refuse_signed(method)
        return self._channel.stream_unary(
            method, request_serializer, response_deserializer, **_registered(_registered_method)
        )

    def stream_stream(
        self,
        method: str,
        request_serializer: Serializer[Request] | None = None,
        response_deserializer: Callable[[bytes], Response] | None = None,
        _registered_method: bool = False,
    ) -> grpc.StreamStreamMultiCallable[Request, Response]:
        """Passed through, as reflection needs it."""
        _refuse_signed(method)
        return self._channel.stream_stream(
            method, request_serializer, response_deserializer, **_registered(_registered_method)
        )

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


class _Signer:
    """Turns a request and the caller's metadata into the bytes and the metadata to send."""

    def __init__(
        self, credentials: Credentials, method: str, serializer: Callable[[Any], bytes] | None, lifetime: int
    ) -> None:
        self._credentials = credentials
        self._method = method
        self._serializer = serializer
        self._lifetime = lifetime
        self._signs = needs_signature(method)

    def __call__(
        self, request: Any, metadata: Metadata | None, options: dict[str, Any]
    ) -> tuple[Any, dict[str, Any]]:
        """The wrapped method's arguments. Options that were not given are left out."""
        body = request if self._serializer is None else self._serializer(request)
        sent = tuple(metadata or ())
        if self._signs:
            sent += self._credentials.headers(self._method, body, lifetime=self._lifetime)
        given = {name: value for name, value in options.items() if value is not None}
        return body, {"metadata": sent, **given}


class _SigningUnaryUnary(_UnaryUnary):
    def __init__(self, inner: grpc.UnaryUnaryMultiCallable[Any, Any], sign: _Signer) -> None:
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
            request, metadata, _options(timeout, credentials, wait_for_ready, compression)
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
            request, metadata, _options(timeout, credentials, wait_for_ready, compression)
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
            request, metadata, _options(timeout, credentials, wait_for_ready, compression)
        )
        return self._inner.future(body, **options)


class _SigningUnaryStream(_UnaryStream):
    def __init__(self, inner: grpc.UnaryStreamMultiCallable[Any, Any], sign: _Signer) -> None:
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
            request, metadata, _options(timeout, credentials, wait_for_ready, compression)
        )
        return self._inner(body, **options)


def _options(
    timeout: float | None,
    credentials: grpc.CallCredentials | None,
    wait_for_ready: bool | None,
    compression: grpc.Compression | None,
) -> dict[str, Any]:
    return {
        "timeout": timeout,
        "credentials": credentials,
        "wait_for_ready": wait_for_ready,
        "compression": compression,
    }


def _registered(registered: bool) -> dict[str, Any]:
    """How generated stubs tell grpcio that a method may be registered; left out where it is not."""
    return {"_registered_method": True} if registered else {}


def _refuse_signed(method: str) -> None:
    if needs_signature(method):
        raise NotImplementedError(
            f"{method} would need a signature over a stream of requests, which does not exist"
        )
