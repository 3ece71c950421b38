"""What every call goes through: bytes, authentication, roles, parsing, the handler, bytes or a rich status.

A handler takes a parsed request and the verified call, and returns the response or raises a domain error; it
never sees a header, a status or gRPC's context. This is the one place where errors become statuses.
"""

from __future__ import annotations

import hashlib
import random
import re
import time
from collections.abc import Callable, Collection
from typing import Any, NoReturn
from uuid import UUID, uuid4

import grpc
import structlog
from google.protobuf.message import DecodeError, Message

from matching_server.domain.calls import Call, RequestKey
from matching_server.domain.errors import (
    InvalidArgument,
    MalformedRequest,
    PermissionDenied,
    Reason,
    TooManyRequests,
)
from matching_server.domain.model import Caller, Role
from matching_server.rpc import admission, calls, errors
from matching_server.rpc.access import METHODS, Method
from matching_server.rpc.admission import PastDeadline, Turns
from matching_server.rpc.auth import authenticate
from matching_server.rpc.fields import parse_id
from matching_server.rpc.keys import KeyRing
from matching_server.rpc.stream_context import CORRELATION_HEADER, SendResponse, StreamContext

Handler = Callable[[Any, Call], Message | bytes]
"""Answers a parsed request with a response message, or with the bytes of one that was given before."""
StreamHandler = Callable[[Any, Call, StreamContext], None]
"""Takes a stream over and returns; whoever has something to say uses the context from then on."""
UnaryBehaviour = Callable[[bytes, grpc.ServicerContext], bytes]

ANONYMOUS = Caller(user_id=UUID(int=0), email="", roles=frozenset())
"""The caller of a method that needs no signature."""

_CORRELATION_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")

_log = structlog.get_logger(__name__)


class Exchange:
    """One call on its way: what is told of it at its end."""

    __slots__ = ("caller", "correlation_id", "kid", "method", "span", "started")

    def __init__(self, method: Method, context: grpc.ServicerContext) -> None:
        self.started = time.perf_counter()
        self.method = method
        self.caller: Caller | None = None
        self.kid: str | None = None
        self.correlation_id = correlation_id(context)
        # gRPC runs each call in a context of its own, so nothing has to be unbound.
        structlog.contextvars.bind_contextvars(correlation_id=self.correlation_id)
        self.span = calls.begin(method, context, self.correlation_id)

    def log(self, code: grpc.StatusCode, reason: Reason | None) -> None:
        """Counts the call and writes the one line about it; a stream's comes at its end."""
        seconds = time.perf_counter() - self.started
        calls.ended(self.method, self.span, code, reason, seconds)
        _log.info(
            "call",
            method=self.method.path,
            caller=str(self.caller.user_id) if self.caller else None,
            kid=self.kid,
            code=code.name,
            reason=reason.value if reason else None,
            duration_ms=round(seconds * 1000, 2),
            correlation_id=self.correlation_id,
        )


class Pipeline:
    """Makes gRPC behaviours out of handlers.

    Args:
        keys: the keys that callers sign with.
        turns: how many calls are worked on at once.
        count_call: counts a user's call; where it is one too many, returns the seconds to wait.
        clock: the time, in Unix seconds.
    """

    def __init__(
        self,
        keys: KeyRing,
        turns: Turns,
        count_call: Callable[[UUID], float | None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._keys = keys
        self._turns = turns
        self._count_call = count_call
        self._clock = clock

    def unary(self, method: Method, handler: Handler) -> UnaryBehaviour:
        """The behaviour of a method with one response."""

        def behaviour(body: bytes, context: grpc.ServicerContext) -> bytes:
            exchange = Exchange(method, context)
            try:
                self._turns.take(context)
                try:
                    request, call = self.admit(method, exchange, body, context)
                    response = handler(request, call)
                    answer = response if isinstance(response, bytes) else response.SerializeToString()
                finally:
                    self._turns.give_back()
            except PastDeadline:
                exchange.log(grpc.StatusCode.DEADLINE_EXCEEDED, None)
                context.abort(
                    grpc.StatusCode.DEADLINE_EXCEEDED, "the deadline passed before the call was begun"
                )
            except Exception as error:
                _abort(exchange, error, context)
            exchange.log(grpc.StatusCode.OK, None)
            context.send_initial_metadata(((CORRELATION_HEADER, exchange.correlation_id),))
            return answer

        return behaviour

    def stream(self, method: Method, handler: StreamHandler) -> StreamBehaviour:
        """The behaviour of a method with a stream of responses, which are sent from callbacks."""
        return StreamBehaviour(self, method, handler)

    def refuse(self, path: str, context: grpc.ServicerContext) -> NoReturn:
        """Ends a call that is one too many, before anything else."""
        _abort(Exchange(METHODS[path], context), admission.FULL, context)

    def open(
        self,
        method: Method,
        handler: StreamHandler,
        exchange: Exchange,
        body: bytes,
        context: grpc.ServicerContext,
        stream: StreamContext,
    ) -> None:
        """Hands a stream to its handler, or ends it with a status."""
        try:
            self._turns.take(context)
            try:
                request, call = self.admit(method, exchange, body, context)
                handler(request, call, stream)
            finally:
                self._turns.give_back()
        except PastDeadline:
            stream.cancel()
        except Exception as error:
            stream.fail(error)

    def admit(
        self, method: Method, exchange: Exchange, body: bytes, context: grpc.ServicerContext
    ) -> tuple[Message, Call]:
        """Verifies who calls, that they may, and that the bytes are a request."""
        if method.roles is None:
            caller, nonce, expires = ANONYMOUS, None, 0.0
        else:
            verified = authenticate(
                context.invocation_metadata(),
                method.path,
                body,
                keys=self._keys,
                now=self._clock(),
                needs_nonce=method.needs_nonce,
            )
            caller, nonce, expires = verified.caller, verified.nonce, verified.claims_expire_at
            exchange.caller, exchange.kid = caller, verified.kid
            self._limit_rate(caller)
            if method.roles.isdisjoint(caller.roles):
                raise PermissionDenied(
                    f"{method.name} is for {_listed(method.roles)}; the caller has {_listed(caller.roles)}"
                )
        request = _parse(method, body)
        call_id = uuid4()
        key = _request_key(method, request, call_id) if method.has_request_id else None
        return request, Call(caller, exchange.correlation_id, nonce, key, expires, call_id)

    def _limit_rate(self, caller: Caller) -> None:
        """Who acts for the platform calls on behalf of many, and as often as they need."""
        wait = None if caller.acts_for_platform else self._count_call(caller.user_id)
        if wait is not None:
            raise TooManyRequests("the user makes too many calls", retry_after=wait)


class StreamBehaviour:
    """A behaviour that returns at once. gRPC runs it on its thread pool, once the request is there."""

    experimental_non_blocking = True
    """Tells gRPC to pass its callback instead of asking for an iterator."""

    def __init__(self, pipeline: Pipeline, method: Method, handler: StreamHandler) -> None:
        self._pipeline = pipeline
        self._method = method
        self._handler = handler

    def __call__(
        self, body: bytes, context: grpc.ServicerContext, send_response_callback: SendResponse
    ) -> None:
        """Opens the stream, or ends it with a status."""
        exchange = Exchange(self._method, context)
        stream = StreamContext(
            context, send_response_callback, correlation_id=exchange.correlation_id, finished=exchange.log
        )
        self._pipeline.open(self._method, self._handler, exchange, body, context, stream)


def _listed(roles: Collection[Role]) -> str:
    return ", ".join(sorted(roles)) or "none of the roles"


def correlation_id(context: grpc.ServicerContext) -> str:
    """The caller's id for the call where it is a proper one, else a new one."""
    given = [value for name, value in context.invocation_metadata() or () if name == CORRELATION_HEADER]
    if len(given) == 1 and isinstance(given[0], str) and _CORRELATION_ID.fullmatch(given[0]):
        return given[0]
    # Not a secret: it need not cost the system call that unpredictable numbers do.
    return f"{random.getrandbits(128):032x}"


def _abort(exchange: Exchange, error: Exception, context: grpc.ServicerContext) -> NoReturn:
    refusal = errors.refusal(error, exchange.correlation_id)
    exchange.log(refusal.code, refusal.reason)
    context.send_initial_metadata(((CORRELATION_HEADER, exchange.correlation_id),))
    context.set_trailing_metadata(refusal.trailing_metadata)
    context.abort(refusal.code, refusal.message)


def _parse(method: Method, body: bytes) -> Message:
    try:
        return method.request_type.FromString(body)
    except DecodeError:
        raise MalformedRequest(f"the bytes are not a {method.request_type.DESCRIPTOR.name}") from None


def _request_key(method: Method, request: Message, call_id: UUID) -> RequestKey:
    """By what a repeat of the request is recognized: the message, not its bytes, which can differ.

    A request without an id has that of the call: the server itself repeats a transaction whose COMMIT was not
    answered, and has to find what was done.
    """
    # ``has_request_id`` was read from the descriptor, which a type checker cannot see.
    value: str = request.request_id  # type: ignore[attr-defined]
    try:
        request_id = parse_id(value) if value else call_id
    except ValueError as error:
        raise InvalidArgument.of("request_id", str(error)) from None
    body_hash = hashlib.sha256(request.SerializeToString(deterministic=True)).digest()
    return RequestKey(request_id, method.path, body_hash)
