"""The gRPC server of the fake: what every call goes through."""

from __future__ import annotations

import re
import threading
import uuid
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NoReturn

import grpc
from google.protobuf import message_factory
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import DecodeError, Message

from matching_client.catalog import methods, path_of
from matching_client.errors import (
    IdempotencyMismatch,
    MalformedRequest,
    MatchingError,
    PermissionDenied,
    Unavailable,
)
from matching_client.settings import ConnectionSettings
from matching_client.signing import CORRELATION_HEADER, START_HEADER, Claims
from matching_client.testing import lifecycle, provisioning
from matching_client.testing.access import ROLES
from matching_client.testing.caller import Caller, verified
from matching_client.testing.checks import violations, with_lower_case_ids
from matching_client.testing.entries import Stream
from matching_client.testing.refusals import error_of, invalid_fields, trailers
from matching_client.testing.services import HANDLERS, event
from matching_client.testing.values import copy_of
from matching_client.testing.world import World

THREADS = 64
"""Calls and open streams at the same time."""
_CORRELATION_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
_OPEN = "GetServiceInfo"
_GRACE_SECONDS = 1.0


@dataclass(frozen=True)
class Call:
    """What the fake was asked: attempts that a client makes by itself are calls of their own."""

    method: str
    """Such as "CreateMatch"."""
    request: Any
    """The request, a message of the contract, as it was sent."""
    claims: Claims | None
    """Who asked; None for GetServiceInfo, which is not signed."""
    correlation_id: str


class Server:
    """Serves a world on a port of its own choice, from `start` to `stop`."""

    def __init__(self, world: World, key_id: str, secret: str) -> None:
        self.calls: list[Call] = []
        self.failures: dict[str, list[MatchingError]] = {}
        """What the next calls of a method end with."""
        self._world = world
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="fake-matching")
        self._server = grpc.server(self._threads, options=[("grpc.so_reuseport", 0)])
        self._server.add_generic_rpc_handlers(tuple(self._handlers()))
        port = self._server.add_insecure_port("127.0.0.1:0")
        self.connection = ConnectionSettings(f"127.0.0.1:{port}", key_id, secret)

    def start(self) -> None:
        """Serves."""
        self._server.start()

    def stop(self) -> None:
        """Ends every call and every thread. Repeatable."""
        with self._world.changed:
            for stream in self._world.streams:
                stream.ending = stream.ending or Unavailable("the fake was closed")
            self._world.changed.notify_all()
        # With a moment's grace connections are ended in good order, and gRPC has nothing to say of it.
        self._server.stop(_GRACE_SECONDS).wait()
        self._threads.shutdown()

    def _handlers(self) -> Iterator[grpc.GenericRpcHandler]:
        by_service: dict[str, dict[str, grpc.RpcMethodHandler[Any, Any]]] = {}
        for method in methods():
            handlers = by_service.setdefault(method.containing_service.full_name, {})
            if method.server_streaming:
                handlers[method.name] = grpc.unary_stream_rpc_method_handler(_Streaming(self, method))
            else:
                handlers[method.name] = grpc.unary_unary_rpc_method_handler(_Unary(self, method))
        for service, handlers in by_service.items():
            yield grpc.method_handlers_generic_handler(service, handlers)

    # ------------------------------------------------------------------------------------------- for its methods

    def admit(self, method: MethodDescriptor, body: bytes, context: _Context) -> tuple[Any, Caller]:
        """Who calls and what they ask, recorded and checked; the world is held."""
        caller = Caller("", "", frozenset(), 0.0, context.correlation_id)
        claims = None
        if method.name != _OPEN:
            metadata = context.grpc.invocation_metadata() or ()
            caller = verified(metadata, path_of(method), body, self.connection, context.correlation_id)
            claims = Claims(caller.user_id, caller.email, sorted(caller.roles), int(caller.expires))
        try:
            request = message_factory.GetMessageClass(method.input_type).FromString(body)
        except DecodeError:
            request = None
        self.calls.append(
            Call(method.name, None if request is None else copy_of(request), claims, caller.correlation_id)
        )
        self._check(method, request, caller)
        return request, caller

    def _check(self, method: MethodDescriptor, request: Message | None, caller: Caller) -> None:
        roles = ROLES[method.name]
        if roles is not None and roles.isdisjoint(caller.roles):
            who = ", ".join(sorted(caller.roles)) or "none of the roles"
            raise error_of(
                PermissionDenied, f"{method.name} is for {', '.join(sorted(roles))}; the caller has {who}"
            )
        if request is None:
            raise error_of(MalformedRequest, f"the bytes are not a {method.input_type.name}")
        wrong = list(violations(request))
        if wrong:
            raise invalid_fields(wrong)
        with_lower_case_ids(request)
        scripted = self.failures.get(method.name)
        if scripted:
            raise scripted.pop(0)
        lifecycle.expire_overdue(self._world)

    def answer(self, method: MethodDescriptor, request: Any, caller: Caller) -> bytes:
        """The answer's bytes, as the first time where the request is repeated by its id."""
        request_id = getattr(request, "request_id", "")
        asked = request.SerializeToString(deterministic=True)
        known = self._world.answers.get((caller.user_id, request_id)) if request_id else None
        if known is not None:
            if known[:2] != (method.name, asked):
                raise error_of(IdempotencyMismatch, f"request_id {request_id} was used for another request")
            return known[2]
        answer = HANDLERS[method.name](self._world, request, caller).SerializeToString()
        if request_id:
            self._world.answers[caller.user_id, request_id] = (method.name, asked, answer)
        provisioning.run_queued(self._world)
        lifecycle.serve_waiting(self._world)
        return answer

    def begin_watch(self, request: Any, caller: Caller) -> tuple[Stream, int]:
        """A stream, and the number of the event that it begins after."""
        seq = event.start_of(self._world, request, caller)
        return event.enter(self._world, request, caller), seq

    @property
    def world(self) -> World:
        """What is served."""
        return self._world


class _Context:
    """gRPC's context, with what every answer carries."""

    def __init__(self, context: grpc.ServicerContext) -> None:
        self.grpc = context
        self.correlation_id = _correlation_id(context.invocation_metadata() or ())

    def begin(self, *more: tuple[str, str]) -> None:
        """Sends the initial metadata."""
        self.grpc.send_initial_metadata(((CORRELATION_HEADER, self.correlation_id), *more))

    def abort(self, error: MatchingError) -> NoReturn:
        """Ends the call as the service would."""
        self.grpc.set_trailing_metadata(trailers(error, self.correlation_id))
        self.grpc.abort(error.code, error.message)


class _Unary:
    """A method with one answer."""

    def __init__(self, server: Server, method: MethodDescriptor) -> None:
        self._server = server
        self._method = method

    def __call__(self, body: bytes, grpc_context: grpc.ServicerContext) -> bytes:
        context = _Context(grpc_context)
        context.begin()
        try:
            with self._server.world.changed:
                request, caller = self._server.admit(self._method, body, context)
                return self._server.answer(self._method, request, caller)
        except MatchingError as error:
            context.abort(error)


class _Streaming:
    """The watch."""

    def __init__(self, server: Server, method: MethodDescriptor) -> None:
        self._server = server
        self._method = method

    def __call__(self, body: bytes, grpc_context: grpc.ServicerContext) -> Iterator[bytes]:
        context, world = _Context(grpc_context), self._server.world
        stream, began = None, threading.Event()
        grpc_context.add_callback(lambda: _wake(world))
        try:
            with world.changed:
                request, caller = self._server.admit(self._method, body, context)
                stream, seq = self._server.begin_watch(request, caller)
            context.begin((START_HEADER, world.event_id(request.project_id, seq)))
            began.set()
            for response in event.watch(world, request, caller, stream, seq, grpc_context.is_active):
                yield response.SerializeToString()
        except MatchingError as error:
            if not began.is_set():
                context.begin()
            context.abort(error)
        finally:
            with world.changed:
                if stream in world.streams:
                    world.streams.remove(stream)


def _wake(world: World) -> None:
    with world.changed:
        world.changed.notify_all()


def _correlation_id(metadata: Iterable[tuple[str, str | bytes]]) -> str:
    given = [value for key, value in metadata if key == CORRELATION_HEADER]
    if len(given) == 1 and isinstance(given[0], str) and _CORRELATION_ID.fullmatch(given[0]):
        return given[0]
    return uuid.uuid4().hex
