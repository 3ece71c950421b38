"""The synchronous client."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Unpack

import grpc

from matching_client.channel import SigningChannel
from matching_client.methods.admin import AdminMethods
from matching_client.methods.availability import AvailabilityMethods
from matching_client.methods.base import CallOptions
from matching_client.methods.chat import ChatMethods
from matching_client.methods.decision import DecisionMethods
from matching_client.methods.directory import DirectoryMethods
from matching_client.methods.event import EventMethods
from matching_client.methods.match import MatchMethods
from matching_client.methods.system import SystemMethods
from matching_client.resume import WatchCursor
from matching_client.settings import ConnectionSettings, read_connection_file, read_environment
from matching_client.signing import Claims, Credentials, correlation_metadata
from matching_client.stubs import Stubs
from matching_client.watch import HEARTBEAT_SECONDS, Watch

DEFAULT_TIMEOUT = 10.0
"""Seconds for all attempts of a call together."""

CHANNEL_OPTIONS: tuple[tuple[str, Any], ...] = (
    # Finds a peer that is gone without a word while calls are open.
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    # The time-out that grpcio keeps to, whatever the one above says: 60 s where it is left out.
    ("grpc.http2.ping_timeout_ms", 10_000),
    # Back soon after a restart of the server.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 1_000),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    # 200 chat messages of 10,000 characters are at most 8 MB.
    ("grpc.max_receive_message_length", 16 * 1024 * 1024),
    # All servers behind a name, for addresses such as dns:///matching.internal:50051.
    ("grpc.lb_policy_name", "round_robin"),
)
"""What every channel has unless `channel_options` says otherwise."""


class MatchingClient(
    MatchMethods,
    DecisionMethods,
    AvailabilityMethods,
    AdminMethods,
    EventMethods,
    ChatMethods,
    DirectoryMethods,
    SystemMethods,
):
    """Calls the matching service, one method per method of the contract; safe to share among threads.

    Methods take keyword arguments and return generated messages (`advisor_matching.v1`): the response, or,
    where the response has exactly one field, that field. They raise MatchingError, and retry what is safe to
    retry within their `timeout`. `stubs` has the raw typed stubs.
    """

    def __init__(
        self,
        address: str,
        *,
        key_id: str,
        secret: str,
        claims: Claims | Callable[[], Claims] | None = None,
        user_id: str | None = None,
        email: str = "",
        roles: Sequence[str] = (),
        tls: grpc.ChannelCredentials | None = None,
        timeout: float = DEFAULT_TIMEOUT,
        channel_options: Sequence[tuple[str, Any]] = (),
    ) -> None:
        """Opens no connection yet.

        `address` is host:port or any gRPC target. Who is calling: `user_id`, `email` and `roles`, or
        `claims`, a value or a function asked for each attempt. `tls` None is plaintext, which servers take on
        loopback only. `timeout` is the default in seconds for all attempts of a call; `channel_options` go
        over CHANNEL_OPTIONS. ValueError where key or secret cannot be right, TypeError unless exactly one of
        `claims` and `user_id` is given.
        """
        credentials = Credentials(key_id, secret, _who(claims, user_id, email, roles))
        options = tuple({**dict(CHANNEL_OPTIONS), **dict(channel_options)}.items())
        channel = (
            grpc.secure_channel(address, tls, options) if tls else grpc.insecure_channel(address, options)
        )
        self._prepare(_Connection(channel), credentials, timeout, owner=True)

    @classmethod
    def from_connection_file(cls, path: str | os.PathLike[str], **arguments: Any) -> MatchingClient:
        """A client of the server that wrote the `connection.json`.

        `arguments` are those of the constructor besides address, key_id and secret. Raises SettingsError.
        """
        return cls._from_settings(read_connection_file(path), arguments)

    @classmethod
    def from_env(cls, **arguments: Any) -> MatchingClient:
        """A client by MATCHING_ADDRESS, MATCHING_KEY_ID, MATCHING_SECRET, or MATCHING_CONNECTION_FILE.

        `arguments` are those of the constructor besides address, key_id and secret. Raises SettingsError.
        """
        return cls._from_settings(read_environment(), arguments)

    def as_user(
        self,
        *,
        claims: Claims | Callable[[], Claims] | None = None,
        user_id: str | None = None,
        email: str = "",
        roles: Sequence[str] = (),
    ) -> MatchingClient:
        """A second client on the same connection, calling as somebody else.

        Closing the first one closes both.
        """
        credentials = Credentials(
            self._credentials.key_id, self._credentials.secret, _who(claims, user_id, email, roles)
        )
        other = type(self).__new__(type(self))
        other._prepare(self._connection, credentials, self.timeout, owner=False)
        return other

    def watch(
        self,
        project_id: str,
        *,
        last_event_id: str | None = None,
        from_start: bool = False,
        types: Sequence[str] = (),
        watch_id: str | None = None,
        heartbeat_interval: float = HEARTBEAT_SECONDS,
        **options: Unpack[CallOptions],
    ) -> Watch:
        """The project's events as they happen; what commits after this returned will be among them.

        It begins after `last_event_id`, or with the whole retained log (`from_start`), or with what comes
        next; `types` leaves only events of these names. It reconnects by itself under one `watch_id` (made
        where left out). 2.5 times `heartbeat_interval` (seconds, the server's setting) of silence count as a
        dead connection. `timeout` bounds this call, not the watch. Errors: ProjectNotFound, EventIdInvalid,
        EventIdUnknown, EventsCompacted, Unavailable, DeadlineExceeded, and the common ones; later on also
        StreamEvicted.
        """
        self._ensure_open()
        cursor = WatchCursor(
            project_id, last_event_id=last_event_id, from_start=from_start, types=types, watch_id=watch_id
        )
        watch = Watch(
            self.stubs.event.WatchProjectEvents,
            cursor,
            heartbeat_interval=heartbeat_interval,
            metadata=correlation_metadata(options.get("correlation_id")),
        )
        self._watches.add(watch)
        self._connection.watches.add(watch)
        watch.start(options.get("timeout", self.timeout))
        return watch

    def close(self) -> None:
        """Ends this client's watches and, unless `as_user` made it, the connection. Repeatable."""
        self._closed = True
        for watch in list(self._watches):
            watch.close()
        if self._owner:
            self._connection.close()

    def __enter__(self) -> MatchingClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _ensure_open(self) -> None:
        if self._closed or self._connection.closed:
            raise RuntimeError("the client is closed")

    @classmethod
    def _from_settings(cls, settings: ConnectionSettings, arguments: dict[str, Any]) -> MatchingClient:
        return cls(settings.address, key_id=settings.key_id, secret=settings.secret, **arguments)

    def _prepare(
        self, connection: _Connection, credentials: Credentials, timeout: float, *, owner: bool
    ) -> None:
        self.timeout = timeout
        self.stubs = Stubs(SigningChannel(connection.channel, credentials))
        self._connection = connection
        self._credentials = credentials
        self._owner = owner
        self._closed = False
        self._watches: weakref.WeakSet[Watch] = weakref.WeakSet()


class _Connection:
    """A channel and every watch on it, whichever client opened it."""

    def __init__(self, channel: grpc.Channel) -> None:
        self.channel = channel
        self.watches: weakref.WeakSet[Watch] = weakref.WeakSet()
        self.closed = False

    def close(self) -> None:
        self.closed = True
        for watch in list(self.watches):
            watch.close()
        self.channel.close()


def _who(
    claims: Claims | Callable[[], Claims] | None, user_id: str | None, email: str, roles: Sequence[str]
) -> Claims | Callable[[], Claims]:
    if (claims is None) == (user_id is None):
        raise TypeError("give either claims, or user_id with email and roles")
    if claims is not None:
        return claims
    return Claims(user_id or "", email, roles)
