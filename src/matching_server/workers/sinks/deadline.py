"""The time limit of a whole delivery. That of a socket is for one operation, and whoever drips has them all in time."""

from __future__ import annotations

import io
import socket
import threading
import time
from typing import Any


class Deadline:
    """A moment after which nothing is done any more.

    Args:
        seconds: from now.
    """

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    def left(self) -> float:
        """Seconds, more than 0.

        Raises:
            TimeoutError: there are none.
        """
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left

    def addresses(self, host: str, port: int) -> list[str]:
        """The addresses of a host.

        Nothing bounds a look-up but the system's resolver: one that takes too long is left to end by itself.

        Raises:
            TimeoutError: they were not found in time.
            socket.gaierror: there are none.
        """
        found: list[list[str] | OSError] = []

        def look_up() -> None:
            try:
                found.append(
                    [str(info[4][0]) for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
                )
            except (OSError, UnicodeError) as error:
                found.append(error if isinstance(error, socket.gaierror) else socket.gaierror(str(error)))

        thread = threading.Thread(target=look_up, name="resolver", daemon=True)
        thread.start()
        thread.join(self.left())
        if not found:
            raise TimeoutError
        if isinstance(found[0], OSError):
            raise found[0]
        return found[0]

    def connect(self, host: str, port: int) -> socket.socket:
        """A connection to the first address of the host that takes one.

        Raises:
            TimeoutError: there was none in time.
            OSError: there is none.
        """
        failed = OSError("the name has no address")
        for address in self.addresses(host, port):
            try:
                return socket.create_connection((address, port), self.left())
            except OSError as error:
                failed = error
        raise failed


class BoundReader(io.RawIOBase):
    """What comes in over a connection, until the deadline."""

    def __init__(self, connection: socket.socket, deadline: Deadline) -> None:
        self._connection = connection
        self._deadline = deadline

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """What there is, once there is something."""
        self._connection.settimeout(self._deadline.left())
        return self._connection.recv_into(buffer)
