"""One open stream: its place in the log, what it may see, and the bounded queue to its reader."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from enum import Enum, auto
from typing import Protocol
from uuid import UUID

from matching_server.domain.errors import DomainError, SlowConsumer
from matching_server.domain.events import EventType, ProjectEvent
from matching_server.domain.model import Caller
from matching_server.operations.watching import WatchRights, WatchStart

QUEUE_LIMIT = 1_000
"""Messages that wait for a reader before it is cut."""
CATCH_UP_LIMIT = QUEUE_LIMIT // 2
"""Messages that history may add before it waits for the reader."""

_MOVES_RIGHTS = frozenset(
    {
        EventType.MATCH_DECLINED,
        EventType.MATCH_EXPIRED,
        EventType.PROVISIONING_FAILED,
        EventType.WORKSPACE_READY,
        EventType.RELEASED,
    }
)
"""Events after which an advisor may see more of the project, or nothing more."""


class Sink(Protocol):
    """Where a stream's messages go: the wire."""

    def send(self, message: bytes) -> None:
        """Sends one message; blocks while too much lies unread at the reader."""

    def fail(self, error: Exception) -> bool:
        """Ends the stream with an error."""

    def cancel(self) -> bool:
        """Ends the stream at once, and frees a ``send`` that blocks."""

    def gone(self) -> bool:
        """Notes that the reader went away."""


class State(Enum):
    """How a stream gets its events."""

    CATCHING_UP = auto()
    LIVE = auto()
    ENDED = auto()


class Watch:
    """One stream of one caller. The hub moves it along the log; a sender carries what it queued.

    ``position``, ``state`` and ``reading`` belong to the hub and change under its lock; the queue has a lock
    of its own.
    """

    def __init__(
        self,
        caller: Caller,
        start: WatchStart,
        *,
        types: frozenset[EventType],
        claims_expire_at: float,
        sink: Sink,
    ) -> None:
        self.caller = caller
        self.project_id: UUID = start.project_id
        self.position = start.seq
        self.last_seq = start.last_seq
        self.rights: WatchRights = start.rights
        self.stream = start.stream
        self.contests = start.contests
        self.recheck_rights = False
        self.state = State.CATCHING_UP
        self.reading = False
        self.claims_expire_at = claims_expire_at
        self.sink = sink
        self.last_sent = time.monotonic()
        self._types = types
        self._lock = threading.Lock()
        self._queue: deque[bytes] = deque()
        self._scheduled = False
        self._error: DomainError | None = None
        self._closed = False

    def accept(self, event: ProjectEvent, data: Callable[[], bytes]) -> bool:
        """Moves past the event, and queues it where it is wanted and allowed.

        Returns whether the stream may go on to the next event: after one that moves an advisor's rights,
        these have to be looked up first.
        """
        if event.seq <= self.position:
            return True
        self.position = event.seq
        if self.rights.allow(event) and (not self._types or event.type in self._types):
            self.push(data())
        if self.rights.by_place and event.type in _MOVES_RIGHTS:
            self.recheck_rights = True
            return False
        return True

    def push(self, data: bytes) -> None:
        """Queues a message; a reader that leaves too many waiting is cut."""
        with self._lock:
            if self._error is not None:
                return
            self._queue.append(data)
            if len(self._queue) > QUEUE_LIMIT:
                self._queue.clear()
                self._error = SlowConsumer()

    def finish(self, error: DomainError) -> None:
        """Ends the stream with ``error`` after what is queued."""
        with self._lock:
            if self._error is None:
                self._error = error

    @property
    def waiting(self) -> int:
        """Messages that wait for the reader."""
        return len(self._queue)

    @property
    def finishing(self) -> bool:
        """Whether nothing more will be queued."""
        return self._error is not None

    def schedule(self) -> bool:
        """Claims the stream for one sender; ``False`` where one has it or there is nothing to send."""
        with self._lock:
            if self._scheduled or self._closed or not (self._queue or self._error is not None):
                return False
            self._scheduled = True
            return True

    def take(self, limit: int) -> list[bytes]:
        """The next messages to send."""
        with self._lock:
            return [self._queue.popleft() for _ in range(min(limit, len(self._queue)))]

    def release(self) -> DomainError | None:
        """The sender is done with it for now. Returns the error to end with, once the queue is empty."""
        with self._lock:
            self._scheduled = False
            if self._error is None or self._queue or self._closed:
                return None
            self._closed = True
            return self._error
