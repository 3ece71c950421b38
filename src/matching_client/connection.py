"""A channel and every watch on it, whichever client opened it."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

import grpc

if TYPE_CHECKING:
    from matching_client.watch import Watch


class Connection:
    """A channel, made at once, and what is open on it."""

    def __init__(
        self,
        address: str,
        credentials: grpc.ChannelCredentials | None,
        options: tuple[tuple[str, Any], ...],
    ) -> None:
        if credentials is None:
            self.channel = grpc.insecure_channel(address, options)
        else:
            self.channel = grpc.secure_channel(address, credentials, options)
        self.watches: weakref.WeakSet[Watch] = weakref.WeakSet()
        self.closed = False

    def close(self) -> None:
        """Ends the watches and the channel. Repeatable."""
        self.closed = True
        for watch in list(self.watches):
            watch.close()
        self.channel.close()
