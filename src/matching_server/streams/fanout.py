"""Hints between servers, over Redis: each committed event is published on ``chat:{project_id}``.

A hint makes events prompt and nothing more: what is lost here is found in Postgres. So nothing waits for
Redis, nothing fails with it, and a full queue drops.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable
from uuid import UUID

import redis
import structlog

from matching_server.domain.event_json import event_from_bytes, event_to_bytes
from matching_server.domain.events import ProjectEvent

_CONTROL = "advisor_matching:hub"
"""Always subscribed to, so that the connection exists while nobody watches anything."""
_TIMEOUT_SECONDS = 2.0
_WAIT_SECONDS = 0.05
_RETRY_SECONDS = 1.0
_QUEUE_LIMIT = 10_000
_BATCH = 100

_log = structlog.get_logger(__name__)


def channel(project_id: UUID) -> str:
    """Where a project's events are published."""
    return f"chat:{project_id}"


def connect(url: str) -> redis.Redis:
    """A client whose every step is bounded in time."""
    return redis.Redis.from_url(
        url,
        socket_timeout=_TIMEOUT_SECONDS,
        socket_connect_timeout=_TIMEOUT_SECONDS,
        health_check_interval=15,
    )


class Publisher:
    """Publishes events in the background, in order, a batch a round trip."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self._queue: queue.Queue[ProjectEvent | None] = queue.Queue(_QUEUE_LIMIT)
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

    def publish(self, events: Iterable[ProjectEvent]) -> None:
        """Queues the events; never blocks."""
        for event in events:
            try:
                self._queue.put_nowait(event)
            except queue.Full:
                return

    def _run(self) -> None:
        while True:
            event = self._queue.get()
            batch = []
            while event is not None:
                batch.append(event)
                if len(batch) == _BATCH or self._queue.empty():
                    break
                event = self._queue.get()
            if batch:
                self._send(batch)
            if event is None:
                return

    def _send(self, batch: list[ProjectEvent]) -> None:
        try:
            pipeline = self._client.pipeline(transaction=False)
            for event in batch:
                pipeline.publish(channel(event.project_id), event_to_bytes(event))
            pipeline.execute()
        except redis.RedisError as error:
            _log.warning("publish_failed", events=len(batch), error=type(error).__name__)


class Subscriber:
    """Hears what other servers publish, for the projects that are watched here.

    Args:
        client: whose connection is used by this thread alone.
        deliver: called with each event heard.
        look_at: called with a project from whose channel hints come from now on: something may have been
            missed before.
    """

    def __init__(
        self,
        client: redis.Redis,
        *,
        deliver: Callable[[list[ProjectEvent]], None],
        look_at: Callable[[UUID], None],
    ) -> None:
        self._client = client
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
                pubsub.subscribe(_CONTROL, *(channel(project_id) for project_id in self._projects))
                while not self._stopping.is_set():
                    self._apply_wanted(pubsub)
                    message = pubsub.get_message(timeout=_WAIT_SECONDS)
                    if message is not None:
                        self._hear(message)
            except Exception as error:
                _log.warning("subscription_lost", error=type(error).__name__)
                self._stopping.wait(_RETRY_SECONDS)
            finally:
                pubsub.close()

    def _apply_wanted(self, pubsub: redis.client.PubSub) -> None:
        """What streams have come and gone since the last look, as one command each way."""
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
        if not isinstance(name, bytes) or name == _CONTROL.encode():
            return
        project_id = UUID(name.decode().removeprefix("chat:"))
        if message["type"] == "subscribe":
            self._look_at(project_id)
        elif message["type"] == "message" and isinstance(data, bytes):
            try:
                self._deliver([event_from_bytes(data)])
            except ValueError:
                # Written by another release, or by somebody else: the log says what it was.
                self._look_at(project_id)
