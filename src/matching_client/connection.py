"""A channel and every watch on it, whichever client opened it."""

from __future__ import annotations

import threading
import weakref
from typing import TYPE_CHECKING, Any

import grpc

if TYPE_CHECKING:
    from matching_client.watch import Watch


class Watches:
    """The watches that end with a client, or with its connection; kept by nobody else, they are let go."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: weakref.WeakSet[Watch] = weakref.WeakSet()
        self._closed = False

    def add(self, watch: Watch) -> None:
        """Remembers one. RuntimeError once they were closed, which this one would miss."""
        with self._lock:
            if self._closed:
                raise RuntimeError("the client is closed")
            self._open.add(watch)

    def close(self) -> None:
        """Ends them all. Repeatable."""
        with self._lock:
            self._closed = True
            watches = list(self._open)
        for watch in watches:
            watch.close()


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
        self.watches = Watches()
        self.closed = False

    def close(self) -> None:
        """Ends the watches and the channel. Repeatable."""
        self.closed = True
        self.watches.close()
        self.channel.close()
