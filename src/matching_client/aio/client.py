"""The asynchronous client."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypedDict, Unpack

import grpc

from matching_client.aio.caller import Provided
from matching_client.aio.connection import Connection, Watches
from matching_client.aio.methods.admin import AdminMethods
from matching_client.aio.methods.availability import AvailabilityMethods
from matching_client.aio.methods.chat import ChatMethods
from matching_client.aio.methods.decision import DecisionMethods
from matching_client.aio.methods.directory import DirectoryMethods
from matching_client.aio.methods.event import EventMethods
from matching_client.aio.methods.match import MatchMethods
from matching_client.aio.methods.system import SystemMethods
from matching_client.aio.stubs import Stubs
from matching_client.arguments import seconds, target
from matching_client.defaults import CHANNEL_OPTIONS, DEFAULT_TIMEOUT
from matching_client.signing import Claims, Credentials

if TYPE_CHECKING:
    from matching_client.aio.watch import AsyncWatch
    from matching_client.settings import ConnectionSettings, Tls


class Arguments(TypedDict, total=False):
    """What the constructor takes besides address, key_id and secret."""

    claims: Claims | Callable[[], Provided] | None
    user_id: str | None
    email: str
    roles: Sequence[str]
    tls: bool | grpc.ChannelCredentials | Tls | None
    timeout: float
    channel_options: Sequence[tuple[str, Any]]


class AsyncMatchingClient(
    MatchMethods,
    DecisionMethods,
    AvailabilityMethods,
    AdminMethods,
    EventMethods,
    ChatMethods,
    DirectoryMethods,
    SystemMethods,
):
    """Calls the matching service, one method per method of the contract; for the tasks of one event loop.

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
        claims: Claims | Callable[[], Provided] | None = None,
        user_id: str | None = None,
        email: str = "",
        roles: Sequence[str] = (),
        tls: bool | grpc.ChannelCredentials | Tls | None = None,
        timeout: float = DEFAULT_TIMEOUT,
        channel_options: Sequence[tuple[str, Any]] = (),
    ) -> None:
        """Opens no connection yet.

        `address` is host:port or any gRPC target. Who is calling: `user_id`, `email` and `roles`, or `claims`,
        a value or a function asked for each attempt, which may be async.
        `tls` True trusts the authorities that this system trusts, a Tls names files, None is plaintext, which
        servers take on loopback only. `timeout` is the default in seconds for all attempts of a call;
        `channel_options` go over CHANNEL_OPTIONS.
        ValueError where address, key, secret or timeout cannot be right, SettingsError where a file of `tls`
        cannot be used, TypeError unless exactly one of `claims` and `user_id` is given.
        """
        credentials = Credentials(key_id, secret, _who(claims, user_id, email, roles))
        options = tuple({**dict(CHANNEL_OPTIONS), **dict(channel_options)}.items())
        encryption: grpc.ChannelCredentials | None = None
        if tls is not None and tls is not False:
            from matching_client.tls import channel_credentials  # noqa: PLC0415 - for TLS alone

            encryption = channel_credentials(tls)
        connection = Connection(target(address), encryption, options)
        self._prepare(connection, credentials, seconds("timeout", timeout), owner=True)

    @classmethod
    def from_connection_file(cls, path: str | os.PathLike[str], **arguments: Unpack[Arguments]) -> Self:
        """A client of the server that wrote the `connection.json`.

        `arguments` are those of the constructor besides address, key_id and secret. Raises SettingsError.
        """
        from matching_client.settings import read_connection_file  # noqa: PLC0415 - for who reads one

        return cls._from_settings(read_connection_file(path), arguments)

    @classmethod
    def from_env(cls, **arguments: Unpack[Arguments]) -> Self:
        """A client by MATCHING_ADDRESS, MATCHING_KEY_ID, MATCHING_SECRET, or MATCHING_CONNECTION_FILE.

        With TLS where MATCHING_TLS_CA is set, to a file in PEM or to `system`, or MATCHING_TLS_CLIENT_CERT and
        MATCHING_TLS_CLIENT_KEY are. `arguments` are those of the constructor besides address, key_id and
        secret; `tls` goes over the environment. Raises SettingsError.
        """
        from matching_client.settings import read_environment  # noqa: PLC0415 - for who reads it

        return cls._from_settings(read_environment(), arguments)

    def as_user(
        self,
        *,
        claims: Claims | Callable[[], Provided] | None = None,
        user_id: str | None = None,
        email: str = "",
        roles: Sequence[str] = (),
    ) -> Self:
        """A second client on the same connection, calling as somebody else.

        Closing the first one closes both.
        """
        credentials = Credentials(
            self._credentials.key_id, self._credentials.secret, _who(claims, user_id, email, roles)
        )
        other = type(self).__new__(type(self))
        other._prepare(self._connection, credentials, self.timeout, owner=False)
        return other

    @property
    def closed(self) -> bool:
        """Whether it, or the client that it was made from by `as_user`, has been closed."""
        return self._closed or self._connection.closed

    async def close(self) -> None:
        """Ends this client's watches and, unless `as_user` made it, the connection. Repeatable."""
        self._closed = True
        await self._watches.close()
        if self._owner:
            await self._connection.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    @classmethod
    def _from_settings(cls, settings: ConnectionSettings, arguments: Arguments) -> Self:
        given: Arguments = {"tls": settings.tls, **arguments}
        return cls(settings.address, key_id=settings.key_id, secret=settings.secret, **given)

    def _prepare(
        self, connection: Connection, credentials: Credentials, timeout: float, *, owner: bool
    ) -> None:
        self.timeout = timeout
        self.stubs = Stubs(connection, credentials)
        self._connection = connection
        self._credentials = credentials
        self._owner = owner
        self._closed = False
        self._watches = Watches()

    def _keep(self, watch: AsyncWatch) -> None:
        self._watches.add(watch)
        self._connection.watches.add(watch)


def _who(
    claims: Claims | Callable[[], Provided] | None, user_id: str | None, email: str, roles: Sequence[str]
) -> Claims | Callable[[], Provided]:
    if (claims is None) == (user_id is None):
        raise TypeError("give either claims, or user_id with email and roles")
    if claims is not None:
        return claims
    return Claims(user_id or "", email, roles)
