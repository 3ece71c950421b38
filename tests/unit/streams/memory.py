"""A log in memory and readers that note what they get: what the hub needs around it, and nothing else."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from matching_server.domain.errors import EventsCompacted
from matching_server.domain.events import (
    EventPayload,
    EventType,
    MatchPayload,
    ProjectEvent,
    encode_event_id,
)
from matching_server.domain.model import Caller, MatchStatus, Role
from matching_server.domain.streams import OpenStream
from matching_server.operations.watching import EventSource, WatchRights, WatchStart
from matching_server.streams.hub import Hub
from matching_server.streams.keeper import Keeper
from matching_server.streams.watch import State, Watch
from tests.support.wait import eventually

EVERYTHING = WatchRights(everything=True)
NOW = datetime(2026, 3, 4, tzinfo=UTC)
WAIT = 10.0
FAR = time.time() + 86_400


class MemoryLog(EventSource):
    """The logs of all projects. ``hold`` and ``fail`` are for the tests to set."""

    def __init__(self) -> None:
        self.epoch = self.stored_epoch = uuid4()
        self.now: WatchRights | None = EVERYTHING
        """What anybody who asks may see."""
        self.asked_for_rights = 0
        self.reads = 0
        self.hold: Callable[[], None] = lambda: None
        """Called by a read that has its answer, before it returns it."""
        self.fail: Exception | None = None
        self._lock = threading.Lock()
        self._events: dict[UUID, list[ProjectEvent]] = defaultdict(list)
        self._pruned: dict[UUID, int] = defaultdict(int)

    def append(
        self, project: UUID, type_: EventType = EventType.MATCHED, match_id: UUID | None = None
    ) -> ProjectEvent:
        """Commits an event."""
        payload: EventPayload = MatchPayload(match_id or uuid4(), MatchStatus.MATCHED)
        with self._lock:
            seq = len(self._events[project]) + 1
            event = ProjectEvent(project, seq, type_, payload, None, None, NOW)
            self._events[project].append(event)
        return event

    def append_many(self, project: UUID, count: int) -> list[ProjectEvent]:
        """Commits so many events."""
        return [self.append(project) for _ in range(count)]

    def last(self, project: UUID) -> int:
        """The number of a log's last event."""
        with self._lock:
            return len(self._events[project])

    def prune(self, project: UUID, through: int) -> None:
        """Forgets the events up to that number."""
        self._pruned[project] = through

    def after(self, project_id: UUID, seq: int, limit: int) -> list[ProjectEvent]:
        """As the database would answer."""
        with self._lock:
            self.reads += 1
            begin = max(seq, self._pruned[project_id])
            found = self._events[project_id][begin : begin + limit]
        self._answer()
        return found

    def was_replaced(self) -> bool:
        """As the database would answer."""
        self._answer()
        replaced, self.epoch = self.epoch != self.stored_epoch, self.stored_epoch
        return replaced

    def replace(self) -> None:
        """Another database with other logs, none of which has an event yet."""
        with self._lock:
            self.stored_epoch = uuid4()
            self._events.clear()

    def moved_on(self, shown: Mapping[UUID, int]) -> list[UUID]:
        """As the database would answer."""
        with self._lock:
            found = [project for project, seq in shown.items() if len(self._events[project]) > seq]
        self._answer()
        return found

    def owned(self, watched: Sequence[tuple[UUID, Caller]]) -> list[bool]:
        """As the database would answer, were nobody an owner."""
        self._answer()
        return [False] * len(watched)

    def rights(self, caller: Caller, project_id: UUID) -> WatchRights | None:
        """As the database would answer."""
        self.asked_for_rights += 1
        self._answer()
        return self.now

    def compacted(self, project_id: UUID) -> EventsCompacted:
        """As the database would answer."""
        return EventsCompacted(encode_event_id(self.epoch, project_id, self._pruned[project_id]))

    def _answer(self) -> None:
        self.hold()
        if self.fail is not None:
            raise self.fail


class Reader:
    """The other end of a stream: takes what it is sent, or, while ``stuck``, nothing."""

    def __init__(self) -> None:
        self.got: list[bytes] = []
        self.error: Exception | None = None
        self.cancelled = threading.Event()
        self.told_gone = threading.Event()
        self.ended = threading.Event()
        self.on_end: Callable[[], None] = lambda: None
        self.send_fails = False
        self.blocks = threading.Event()
        """A send is blocked."""
        self._reads = threading.Event()
        self._reads.set()

    def stop_reading(self) -> None:
        """From now on a send blocks."""
        self._reads.clear()

    def go_on(self) -> None:
        """It reads again."""
        self._reads.set()

    def send(self, message: bytes) -> None:
        """Blocks while nothing is read, as the wire does."""
        while not self._reads.is_set():
            self.blocks.set()
            self._reads.wait(0.01)
            if self.cancelled.is_set():
                return
        if self.send_fails:
            raise OSError("the wire broke")
        if not self.ended.is_set():
            self.got.append(message)

    def fail(self, error: Exception) -> bool:
        """The stream ends with an error."""
        return self._end(error)

    def cancel(self) -> bool:
        """The stream is cut."""
        self.cancelled.set()
        return self._end(None)

    def gone(self) -> bool:
        """The reader went away."""
        self.told_gone.set()
        return not self.ended.is_set()

    def _end(self, error: Exception | None) -> bool:
        if self.ended.is_set():
            return False
        self.error = error
        self.ended.set()
        self.on_end()
        return True

    @property
    def seqs(self) -> list[int]:
        """The numbers of the events that arrived."""
        return [int(message) for message in list(self.got) if message.isdigit()]

    @property
    def heartbeats(self) -> list[str]:
        """The ids of the heartbeats that arrived."""
        return [
            message.decode().removeprefix("heartbeat ") for message in list(self.got) if not message.isdigit()
        ]


class Hints:
    """Notes for which projects hints from other servers are asked for."""

    def __init__(self) -> None:
        self.wanted: list[UUID] = []

    def add(self, project_id: UUID) -> None:
        """Somebody watches."""
        self.wanted.append(project_id)

    def remove(self, project_id: UUID) -> None:
        """Nobody does any more."""
        self.wanted.remove(project_id)


class Stage:
    """A running hub on a log in memory."""

    def __init__(self, heartbeat_seconds: float = 3_600.0) -> None:
        self.log = MemoryLog()
        self.hints = Hints()
        self.project = uuid4()
        self.readers: list[Reader] = []
        self.render: Callable[[ProjectEvent], bytes] = lambda event: str(event.seq).encode()
        self.render_heartbeat: Callable[[UUID, str], bytes] = lambda _, id_: f"heartbeat {id_}".encode()
        self.hub = Hub(
            self.log,
            render=self._render,
            render_heartbeat=self._render_heartbeat,
            subscriptions=self.hints,
        )
        self.keeper = Keeper(self.hub, self.log, heartbeat_seconds=heartbeat_seconds)

    def start(self) -> None:
        """Starts the hub and who keeps it."""
        self.hub.start()
        self.keeper.start()

    def stop(self) -> None:
        """Stops them."""
        self.keeper.stop()
        self.hub.stop()

    def _render(self, event: ProjectEvent) -> bytes:
        return self.render(event)

    def _render_heartbeat(self, project: UUID, event_id: str) -> bytes:
        return self.render_heartbeat(project, event_id)

    def watch(self, after: int = 0, *, project: UUID | None = None, **how: Any) -> tuple[Watch, Reader]:
        """A stream that is not open yet."""
        project = project or self.project
        reader = how.pop("reader", None) or Reader()
        self.readers.append(reader)
        roles = frozenset({how.pop("role", Role.CLIENT)})
        user = uuid4()
        start = WatchStart(
            project,
            after,
            max(after, self.log.last(project)),
            encode_event_id(self.log.epoch, project, after),
            how.pop("rights", EVERYTHING),
            OpenStream(uuid4(), user, "mine", 1, NOW),
        )
        watch = Watch(
            Caller(user, "somebody@example.com", roles),
            start,
            types=how.pop("types", frozenset()),
            claims_expire_at=how.pop("claims_expire_at", FAR),
            sink=reader,
        )
        assert not how
        reader.on_end = lambda: self.hub.close(watch)
        return watch, reader

    def open(self, after: int = 0, **how: Any) -> Reader:
        """A stream that gets what comes after that number."""
        watch, reader = self.watch(after, **how)
        self.hub.open(watch)
        return reader

    def open_live(self) -> Reader:
        """A stream that has read its history, and hears of the next event by the hub alone."""
        watch, reader = self.watch()
        self.hub.open(watch)
        eventually(lambda: watch.state is State.LIVE, interval=0.001)
        return reader

    def commit(self, project: UUID | None = None, **what: Any) -> ProjectEvent:
        """An event is committed here, and the hub hears of it."""
        event = self.log.append(project or self.project, **what)
        self.hub.deliver([event])
        return event

    def id_of(self, seq: int) -> str:
        """The id of an event of the project."""
        return encode_event_id(self.log.epoch, self.project, seq)


@contextmanager
def running(**how: Any) -> Iterator[Stage]:
    """A hub that runs as long as the block."""
    stage = Stage(**how)
    stage.start()
    try:
        yield stage
    finally:
        stage.log.hold = lambda: None
        for reader in stage.readers:
            reader.go_on()
        stage.stop()


def arrives(reader: Reader, seqs: list[int]) -> None:
    """Just these events, in this order."""
    eventually(lambda: len(reader.seqs) >= len(seqs), interval=0.002, what=f"{len(seqs)} events arrive")
    assert reader.seqs == seqs


def ended(reader: Reader) -> Exception | None:
    """What the stream ended with, once it has."""
    assert reader.ended.wait(WAIT), "the stream has not ended"
    return reader.error
