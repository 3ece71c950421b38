"""A channel and every watch on it, whichever client opened it."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

import grpc.aio

if TYPE_CHECKING:
    from matching_client.aio.watch import AsyncWatch


class Watches:
    """The watches that end with a client, or with its connection; kept by nobody else, they are let go."""

    def __init__(self) -> None:
        self._open: weakref.WeakSet[AsyncWatch] = weakref.WeakSet()

    def add(self, watch: AsyncWatch) -> None:
        """Remembers one."""
        self._open.add(watch)

    async def close(self) -> None:
        """Ends them all. Repeatable."""
        for watch in list(self._open):
            await watch.close()


class Connection:
    """A channel, and what is open on it.

    The channel is made when it is first used, since it belongs to the event loop that runs then: a client may
    be made before there is a loop.
    """

    def __init__(
        self,
        address: str,
        credentials: grpc.ChannelCredentials | None,
        options: tuple[tuple[str, Any], ...],
    ) -> None:
        self._address = address
        self._credentials = credentials
        self._options = options
        self._channel: grpc.aio.Channel | None = None
        self.watches = Watches()
        self.closed = False

    @property
    def channel(self) -> grpc.aio.Channel:
        """The channel, of the loop that is running. RuntimeError once it is closed."""
        if self.closed:
            raise RuntimeError("the client is closed")
        if self._channel is None:
            if self._credentials is None:
                self._channel = grpc.aio.insecure_channel(self._address, self._options)
            else:
                self._channel = grpc.aio.secure_channel(self._address, self._credentials, self._options)
        return self._channel

    async def close(self) -> None:
        """Ends the watches and the channel. Repeatable."""
        self.closed = True
        await self.watches.close()
        if self._channel is not None:
            await self._channel.close()
