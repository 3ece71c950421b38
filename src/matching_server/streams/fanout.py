"""Hints between servers, over Redis: each committed event on ``chat:{project_id}``, what changed of the pool, and that
users have opened more streams than they may.

A hint makes things prompt and nothing more: what is lost here is found in Postgres. So nothing waits for
Redis, nothing fails with it, and a full queue drops.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from contextlib import suppress
from uuid import UUID

import orjson
import redis
import structlog
from redis.connection import ConnectionInterface

from matching_server import metrics
from matching_server.domain.effects import Effects
from matching_server.domain.event_json import event_from_json, event_to_json
from matching_server.domain.events import ProjectEvent
from matching_server.storage import redis_client
from matching_server.streams.pool_hints import PoolHint

_POOL = "advisor_matching:pool"
_STREAMS = "advisor_matching:streams"
"""These two are always subscribed to."""
_TIMEOUT_SECONDS = 2.0
_WAIT_SECONDS = 0.05
_RETRY_SECONDS = 1.0
_QUEUE_LIMIT = 10_000
_BATCH = 100

_log = structlog.get_logger(__name__)


def channel(project_id: UUID) -> str:
    """Where a project's events are published."""
    return f"chat:{project_id}"


class Publisher:
    """Publishes what was committed in the background, in order, a batch a round trip.

    Args:
        client: whose connection is used by this thread alone.
        source: this server's name among those that tell each other.
    """

    def __init__(self, client: redis.Redis, source: str) -> None:
        self._client = client
        self._connection: ConnectionInterface | None = None
        self._source = source
        self._queue: queue.Queue[Effects | None] = queue.Queue(_QUEUE_LIMIT)
        metrics.HINTS_WAITING.set_function(self._queue.qsize)
        self._thread = threading.Thread(target=self._run, name="redis-publisher", daemon=True)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Publishes what is queued, and ends."""
        self._queue.put(None)
        self._thread.join(timeout=_TIMEOUT_SECONDS * 2)

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    def publish(self, effects: Effects) -> None:
        """Queues what a commit did; never blocks."""
        if effects.events or effects.loads or effects.profiles_changed or effects.streams_contested:
            try:
                self._queue.put_nowait(effects)
            except queue.Full:
                metrics.HINTS_LOST.labels("dropped").inc()

    def _run(self) -> None:
        while True:
            effects = self._queue.get()
            batch = []
            while effects is not None:
                batch.append(effects)
                if len(batch) == _BATCH or self._queue.empty():
                    break
                effects = self._queue.get()
            if batch:
                self._send(batch)
            if effects is None:
                return

    def _send(self, batch: list[Effects]) -> None:
        prefix = self._source.encode() + b" "
        messages = [
            ("PUBLISH", channel(event.project_id), prefix + orjson.dumps(event_to_json(event)))
            for effects in batch
            for event in effects.events
        ]
        hint = PoolHint.of(self._source, batch)
        if hint is not None:
            messages.append(("PUBLISH", _POOL, hint.to_bytes()))
        if any(effects.streams_contested for effects in batch):
            messages.append(("PUBLISH", _STREAMS, self._source.encode()))
        try:
            if self._connection is None:
                self._connection = self._client.connection_pool.get_connection()
            redis_client.exchange(self._connection, messages)
        except redis.RedisError as error:
            metrics.HINTS_LOST.labels("failed").inc(len(messages))
            _log.warning("publish_failed", messages=len(messages), error=type(error).__name__)


class Subscriber:
    """Hears what other servers publish, for the projects that are watched here.

    Args:
        client: whose connection is used by this thread alone.
        deliver: called with each event heard.
        look_at: called with a project from whose channel hints come from now on: something may have been
            missed before.
        hear_of_pool: called with each hint of another server's about the pool.
        look_at_streams: called when another server says that users have too many streams.
        source: this server's name, whose own hints are passed over.
    """

    def __init__(
        self,
        client: redis.Redis,
        *,
        deliver: Callable[[list[ProjectEvent]], None],
        look_at: Callable[[UUID], None],
        hear_of_pool: Callable[[PoolHint], None],
        look_at_streams: Callable[[], None],
        source: str,
    ) -> None:
        self._client = client
        self._hear_of_pool = hear_of_pool
        self._look_at_streams = look_at_streams
        self._source = source
        self._deliver = deliver
        self._look_at = look_at
        self._wanted: queue.SimpleQueue[tuple[bool, UUID]] = queue.SimpleQueue()
        self._projects: set[UUID] = set()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="redis-subscriber", daemon=True)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread."""
        self._stopping.set()
        self._thread.join(timeout=_TIMEOUT_SECONDS * 2)

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    def add(self, project_id: UUID) -> None:
        """Hints for this project are wanted. Does no I/O."""
        self._wanted.put((True, project_id))

    def remove(self, project_id: UUID) -> None:
        """They no longer are. Does no I/O."""
        self._wanted.put((False, project_id))

    def _run(self) -> None:
        while not self._stopping.is_set():
            pubsub = self._client.pubsub()
            try:
                pubsub.subscribe(_POOL, _STREAMS, *(channel(project_id) for project_id in self._projects))
                metrics.SUBSCRIBED.set(1)
                while not self._stopping.is_set():
                    self._apply_wanted(pubsub)
                    message = pubsub.get_message(timeout=_WAIT_SECONDS)
                    if message is not None:
                        self._hear(message)
            except Exception as error:
                _log.warning("subscription_lost", error=type(error).__name__)
                self._stopping.wait(_RETRY_SECONDS)
            finally:
                metrics.SUBSCRIBED.set(0)
                pubsub.close()

    def _apply_wanted(self, pubsub: redis.client.PubSub) -> None:
        """What streams have come and gone since the last look, as one command each way."""
        if self._wanted.empty():
            return
        changed: dict[UUID, bool] = {}
        while not self._wanted.empty():
            wanted, project_id = self._wanted.get()
            changed[project_id] = wanted
        added = {project_id for project_id, wanted in changed.items() if wanted} - self._projects
        removed = {project_id for project_id, wanted in changed.items() if not wanted} & self._projects
        self._projects = (self._projects | added) - removed
        if added:
            pubsub.subscribe(*map(channel, added))
        if removed:
            pubsub.unsubscribe(*map(channel, removed))

    def _hear(self, message: dict[str, object]) -> None:
        name, data = message["channel"], message["data"]
        if not isinstance(name, bytes):
            return
        if name == _POOL.encode():
            if message["type"] == "message" and isinstance(data, bytes):
                self._hear_hint(data)
            return
        if name == _STREAMS.encode():
            if data != self._source.encode():
                self._look_at_streams()
            return
        project_id = UUID(name.decode().removeprefix("chat:"))
        if message["type"] == "subscribe":
            self._look_at(project_id)
        elif message["type"] == "message" and isinstance(data, bytes):
            self._hear_event(project_id, data)

    def _hear_event(self, project_id: UUID, data: bytes) -> None:
        source, _, content = data.partition(b" ")
        if source == self._source.encode():
            return  # It was shown here when it was committed.
        try:
            self._deliver([event_from_json(orjson.loads(content))])
        except ValueError:
            # Written by another release, or by somebody else: the log says what it was.
            self._look_at(project_id)

    def _hear_hint(self, data: bytes) -> None:
        # What another release or somebody else has written is no hint; the next look sees what it was about.
        with suppress(ValueError):
            hint = PoolHint.from_bytes(data, not_from=self._source)
            if hint is not None:
                self._hear_of_pool(hint)
