"""The hub: every open stream of this server, moved along the log of its project.

For each watched project the hub keeps how far its log has been shown. An event that is the next number goes
to all live streams at once; after a gap, or for a stream that starts further back, the log is read. So it
does not matter whether an event is heard of from this server's own commits, from another server over Redis,
twice, late, or by looking.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol
from uuid import UUID

import structlog

from matching_server.domain.errors import DomainError, Draining, ProjectNotFound
from matching_server.domain.events import ProjectEvent, encode_event_id
from matching_server.operations.watching import EventSource
from matching_server.streams.senders import Senders
from matching_server.streams.watch import CATCH_UP_LIMIT, State, Watch

_PAGE = 200
_SENDERS = 4
_READERS = 2

_log = structlog.get_logger(__name__)


class Subscriptions(Protocol):
    """Hints from other servers, asked for only where somebody watches."""

    def add(self, project_id: UUID) -> None:
        """Somebody watches the project."""

    def remove(self, project_id: UUID) -> None:
        """Nobody does any more."""


@dataclass(slots=True)
class _Tail:
    """How far one project's log has been shown, and to whom."""

    seq: int
    live: set[Watch] = field(default_factory=set)
    all: set[Watch] = field(default_factory=set)
    reading: bool = False
    read_again: bool = False
    """Something was heard of after the reading that is under way may have looked."""


class Hub:
    """Feeds the streams.

    Args:
        source: the log, and who may see it.
        render: an event as the bytes of its message; called once for each event that anybody gets.
        render_heartbeat: a heartbeat for a project, with the id to resume from.
        subscriptions: where hints from other servers are asked for.
    """

    def __init__(
        self,
        source: EventSource,
        *,
        render: Callable[[ProjectEvent], bytes],
        render_heartbeat: Callable[[UUID, str], bytes],
        subscriptions: Subscriptions,
    ) -> None:
        self._source = source
        self._render = render
        self._render_heartbeat = render_heartbeat
        self._subscriptions = subscriptions
        self._lock = threading.Lock()
        self._tails: dict[UUID, _Tail] = {}
        self._senders = Senders(_SENDERS, drained=self._drained)
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="event-reader")
        self._stopping = False

    def start(self) -> None:
        """Starts the threads."""
        self._senders.start()

    def drain(self, timeout: float) -> None:
        """Tells every stream that this server is going away, and waits until they have been told."""
        deadline = time.monotonic() + timeout
        for watch in self.watches():
            self.end(watch, Draining())
        while self.watches() and time.monotonic() < deadline:
            time.sleep(0.01)

    def stop(self) -> None:
        """Ends the threads."""
        # Under the lock, as every submission to the readers is: none can come after their end.
        with self._lock:
            self._stopping = True
        self._readers.shutdown(cancel_futures=True)
        self._senders.stop()

    @property
    def alive(self) -> bool:
        """Whether every thread runs."""
        return self._senders.alive

    def watches(self) -> list[Watch]:
        """The streams that are open on this server."""
        with self._lock:
            return [watch for tail in self._tails.values() for watch in tail.all]

    def shown(self) -> dict[UUID, int]:
        """How far the log of each watched project has been shown."""
        with self._lock:
            return {project_id: tail.seq for project_id, tail in self._tails.items()}

    def open(self, watch: Watch) -> None:
        """Takes a stream in; it gets every event after its position."""
        with self._lock:
            if watch.state is State.ENDED:
                return  # Its reader has gone already.
            tail = self._tails.get(watch.project_id)
            if tail is None:
                # What lies before that is history, which whoever needs it reads for themselves.
                tail = self._tails[watch.project_id] = _Tail(seq=watch.last_seq)
                self._subscriptions.add(watch.project_id)
            tail.all.add(watch)
            # Even one that starts at the end reads once: what committed before it was known here is there.
            self._start_catch_up(watch)

    def close(self, watch: Watch) -> None:
        """Lets a stream go that has ended, whoever ended it. Does no I/O: it is called on gRPC's thread."""
        with self._lock:
            watch.state = State.ENDED
            if not self._stopping:
                self._readers.submit(watch.sink.gone)
            tail = self._tails.get(watch.project_id)
            if tail is None:
                return
            tail.all.discard(watch)
            tail.live.discard(watch)
            if not tail.all:
                del self._tails[watch.project_id]
                self._subscriptions.remove(watch.project_id)

    def end(self, watch: Watch, error: DomainError) -> None:
        """Ends a stream with ``error``, after what it has queued."""
        watch.finish(error)
        self._senders.schedule(watch)

    def forget(self, error: DomainError) -> None:
        """Ends every stream, and forgets how far logs have been shown: they are others now."""
        with self._lock:
            watches = [watch for tail in self._tails.values() for watch in tail.all]
            for project_id in self._tails:
                self._subscriptions.remove(project_id)
            self._tails.clear()
        for watch in watches:
            self.end(watch, error)

    def deliver(self, events: Iterable[ProjectEvent]) -> None:
        """Shows committed events to their watchers; where nobody watches this costs a look-up."""
        for event in events:
            if event.project_id in self._tails:
                with self._lock:
                    self._advance(event)

    def look_at(self, project_id: UUID) -> None:
        """Reads a project's log from where it has been shown: something may have been missed."""
        with self._lock:
            tail = self._tails.get(project_id)
            if tail is not None:
                self._read_tail(project_id, tail)

    def beat(self, watch: Watch) -> None:
        """Sends a heartbeat. Under the lock: it must not name an event that is not queued before it."""
        with self._lock:
            newest = encode_event_id(self._source.epoch, watch.project_id, watch.position)
            watch.push(self._render_heartbeat(watch.project_id, newest))
        self._senders.schedule(watch)

    def look_up_rights(self, watch: Watch) -> None:
        """Takes a stream out of the live ones until its rights have been looked up again."""
        with self._lock:
            tail = self._tails.get(watch.project_id)
            if tail is None or watch.state is not State.LIVE:
                return
            tail.live.discard(watch)
            watch.state = State.CATCHING_UP
            watch.recheck_rights = True
            self._start_catch_up(watch)

    def check_senders(self) -> None:
        """Has senders replaced that a blocked send holds, and streams cut that block for too long."""
        self._senders.check()

    # Under the lock.

    def _advance(self, event: ProjectEvent, rendered: Callable[[], bytes] | None = None) -> None:
        tail = self._tails.get(event.project_id)
        if tail is None or event.seq <= tail.seq:
            return
        if event.seq > tail.seq + 1:
            self._read_tail(event.project_id, tail)
            return
        tail.seq = event.seq
        rendered = rendered or _Once(partial(self._render, event))
        for watch in list(tail.live):
            self._pass(tail, watch, event, rendered)

    def _pass(self, tail: _Tail, watch: Watch, event: ProjectEvent, rendered: Callable[[], bytes]) -> bool:
        goes_on = watch.accept(event, rendered)
        if not goes_on and watch.state is State.LIVE:
            tail.live.discard(watch)
            watch.state = State.CATCHING_UP
            self._start_catch_up(watch)
        self._senders.schedule(watch)
        return goes_on

    def _join(self, tail: _Tail, watch: Watch) -> bool:
        """A stream that has reached what has been shown goes on live."""
        if watch.recheck_rights or watch.position < tail.seq:
            return False
        watch.state = State.LIVE
        tail.live.add(watch)
        return True

    def _start_catch_up(self, watch: Watch) -> None:
        if not watch.reading and not self._stopping:
            watch.reading = True
            self._readers.submit(self._catch_up, watch)

    def _read_tail(self, project_id: UUID, tail: _Tail) -> None:
        tail.read_again = tail.reading
        if not tail.reading and not self._stopping:
            tail.reading = True
            self._readers.submit(self._fill_gap, project_id, tail)

    # On the readers' threads.

    def _fill_gap(self, project_id: UUID, tail: _Tail) -> None:
        """Shows what the log holds beyond what has been shown."""
        try:
            more = True
            while more:
                shown = tail.seq
                events = self._source.after(project_id, shown, _PAGE)
                if events and events[0].seq != shown + 1:
                    self._skip_pruned(project_id, tail, events[0].seq - 1)
                self.deliver(events)
                with self._lock:
                    more = len(events) == _PAGE or tail.read_again
                    more = more and self._tails.get(project_id) is tail
                    tail.reading, tail.read_again = more, False
        except Exception as error:
            # The poller looks again.
            _log.warning("event_read_failed", project_id=str(project_id), error=type(error).__name__)
            with self._lock:
                tail.reading = tail.read_again = False

    def _skip_pruned(self, project_id: UUID, tail: _Tail, pruned_through: int) -> None:
        """Ends who was to see what is gone, and goes on after it."""
        error = self._source.compacted(project_id)
        with self._lock:
            tail.seq = max(tail.seq, pruned_through)
            behind = [watch for watch in tail.live if watch.position < pruned_through]
        for watch in behind:
            self.end(watch, error)

    def _catch_up(self, watch: Watch) -> None:
        """Moves a stream that is behind along the log until it can go on live."""
        try:
            while self._move_on(watch):
                pass
        except Exception as error:
            _log.warning("catch_up_failed", project_id=str(watch.project_id), error=type(error).__name__)
            watch.sink.cancel()
            return
        with self._lock:
            watch.reading = False
            if self._can_read_on(watch):
                self._start_catch_up(watch)

    def _move_on(self, watch: Watch) -> bool:
        """One page further; returns whether there may be another one to read at once."""
        if not self._can_read_on(watch) or (watch.recheck_rights and not self._renew_rights(watch)):
            return False
        # Before the reading: what has been shown by then is in the log, or has been pruned from it.
        with self._lock:
            tail = self._tails.get(watch.project_id)
            shown = tail.seq if tail is not None else 0
        events = self._source.after(watch.project_id, watch.position, _PAGE)
        gone = events[0].seq != watch.position + 1 if events else shown > watch.position
        if gone:
            self.end(watch, self._source.compacted(watch.project_id))
            return False
        with self._lock:
            tail = self._tails.get(watch.project_id)
            if tail is None or watch.state is not State.CATCHING_UP:
                return False
            for event in events:
                rendered = _Once(partial(self._render, event))
                self._advance(event, rendered)
                if not self._pass(tail, watch, event, rendered):
                    return True
            return len(events) == _PAGE or not self._join(tail, watch)

    def _can_read_on(self, watch: Watch) -> bool:
        """Behind, and with room in its queue: else its sender calls when the reader has read."""
        return watch.state is State.CATCHING_UP and not watch.finishing and watch.waiting <= CATCH_UP_LIMIT

    def _renew_rights(self, watch: Watch) -> bool:
        rights = self._source.rights(watch.caller, watch.project_id)
        with self._lock:
            watch.recheck_rights = False
            if rights is not None:
                watch.rights = rights
        if rights is None:
            self.end(watch, ProjectNotFound(watch.project_id))
        return rights is not None

    def _drained(self, watch: Watch) -> None:
        """A sender has carried what a stream had queued; history that waited for that goes on."""
        if self._can_read_on(watch):
            with self._lock:
                self._start_catch_up(watch)


class _Once:
    """A value that is computed when first asked for, and then kept."""

    __slots__ = ("_compute", "_value")

    def __init__(self, compute: Callable[[], bytes]) -> None:
        self._compute = compute
        self._value: bytes | None = None

    def __call__(self) -> bytes:
        if self._value is None:
            self._value = self._compute()
        return self._value
