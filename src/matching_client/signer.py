"""What is signed is what is sent: a request as bytes, and the metadata that goes with it. No I/O."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from matching_client.signing import Claims, Credentials, needs_signature

if TYPE_CHECKING:
    import grpc

Metadata = tuple[tuple[str, str | bytes], ...]


class Signer:
    """Signs the attempts of one method, where it needs that."""

    def __init__(
        self, credentials: Credentials, method: str, serializer: Callable[[Any], bytes] | None, lifetime: int
    ) -> None:
        self._credentials = credentials
        self._method = method
        self._serializer = serializer
        self._lifetime = lifetime
        self._signs = needs_signature(method)

    def who(self) -> Claims | Awaitable[Claims] | None:
        """The claims to sign with now; None where the method goes unsigned."""
        return self._credentials.who() if self._signs else None

    def body(self, request: Any) -> bytes:
        """The request as it is sent, made by the stub's own serializer."""
        return request if self._serializer is None else self._serializer(request)

    def options(
        self, body: bytes, metadata: Metadata | None, options: dict[str, Any], who: Claims | None = None
    ) -> dict[str, Any]:
        """The options to send these bytes with: the caller's, and the headers among the metadata."""
        sent = tuple(metadata or ())
        if self._signs:
            sent += self._credentials.headers(self._method, body, who=who, lifetime=self._lifetime)
        return {"metadata": sent, **options}

    def __call__(
        self, request: Any, metadata: Metadata | None, options: dict[str, Any]
    ) -> tuple[bytes, dict[str, Any]]:
        """The bytes and the options to send. TypeError where the claims would have to be awaited."""
        body = self.body(request)
        return body, self.options(body, metadata, options)


def given(
    timeout: float | None,
    credentials: grpc.CallCredentials | None,
    wait_for_ready: bool | None,
    compression: grpc.Compression | None,
) -> dict[str, Any]:
    """Those options of a call that were given."""
    options = {
        "timeout": timeout,
        "credentials": credentials,
        "wait_for_ready": wait_for_ready,
        "compression": compression,
    }
    return {name: value for name, value in options.items() if value is not None}


def refuse_signed(method: str) -> None:
    """NotImplementedError for a method that would need a signature."""
    if needs_signature(method):
        raise NotImplementedError(
            f"{method} would need a signature over a stream of requests, which does not exist"
        )
