"""Which streams of this server count among their users', and which of them have to make room for newer ones."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from uuid import UUID, uuid4

from matching_server.domain.streams import OpenStream
from matching_server.operations import open_streams
from matching_server.operations.runner import Runner
from matching_server.streams.watch import Watch

_BEATS_BEFORE_TIDYING = 5
"""Where nobody could be seen for a while, the others get that long to be seen again before any is taken for dead."""


class StreamRegistry:
    """This server's streams, as far as the other servers know of them.

    A stream is entered by the transaction that opens it. ``beat``, once a second and when woken, does the rest.

    Args:
        runner: whose database all servers share.
        evict: called with a stream that has to go.
    """

    def __init__(self, runner: Runner, *, evict: Callable[[Watch], None]) -> None:
        self.server_id = uuid4()
        self._runner = runner
        self._evict = evict
        self._lock = threading.Lock()
        self._open: dict[UUID, Watch] = {}
        self._ended: set[UUID] = set()
        self._tell = False
        self._unknown = False
        """The others have taken this server for dead, and its streams have not been entered again."""
        self._beats = 0

    def __len__(self) -> int:
        return len(self._open)

    def add(self, watch: Watch) -> bool:
        """Takes in a stream that has been entered; returns whether a beat is wanted now."""
        with self._lock:
            self._open[watch.stream.id] = watch
            self._tell = self._tell or watch.contests
        return watch.contests

    def remove(self, watch: Watch) -> None:
        """Lets a stream go that has ended. Does no I/O: it is called on gRPC's thread."""
        with self._lock:
            if self._open.pop(watch.stream.id, None) is not None:
                self._ended.add(watch.stream.id)

    def beat(self) -> bool:
        """Says that this server lives, and ends its streams that have to go."""
        with self._lock:
            tell, self._tell = self._tell, False
        if tell:
            # Before that nothing is decided.
            time.sleep(open_streams.GRACE.total_seconds())
        with self._lock:
            ended = list(self._ended)
        try:
            beat = open_streams.beat(self._runner, self.server_id, ended=ended, tell=tell)
        except BaseException:
            with self._lock:
                self._tell = self._tell or tell
            self._beats = 0
            raise
        self._unknown = self._unknown or not beat.known
        with self._lock:
            self._ended.difference_update(ended)
            evicted = [self._open[id_] for id_ in beat.evicted if id_ in self._open]
        for watch in evicted:
            self._evict(watch)
        self._tidy_up()
        return False

    def leave(self) -> None:
        """Takes this server out, when it holds no stream any more."""
        open_streams.leave(self._runner, self.server_id)

    def _tidy_up(self) -> None:
        if self._unknown:
            open_streams.restore(self._runner, self.server_id, self._held())
            self._unknown = False
        self._beats += 1
        if self._beats % _BEATS_BEFORE_TIDYING == 0:
            open_streams.tidy_up(self._runner, self.server_id, {stream.id for stream in self._held()})

    def _held(self) -> list[OpenStream]:
        with self._lock:
            return [watch.stream for watch in self._open.values()]
