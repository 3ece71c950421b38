"""What is remembered of advisors' availability, in Redis, for all servers.

A key for each advisor. It is absent, or holds the lease of the one reader who may fill it, or an answer. A
reader who finds it absent takes the lease, then reads Postgres, then fills the key if it still holds their
lease. A writer deletes the key after their commit and before their answer. So an answer without a write is
never found once that write is acknowledged; for it would have been filled

- before the deletion, which then removed it; or
- after the deletion, under a lease that the deletion did not remove, so taken later than it: then its reader
  began to read Postgres after the commit, and the write is in the answer.

It does not matter how long a reader sleeps between two steps, nor whether Redis is flushed, restarted or
replaced by an empty one: all that can befall a lease is to be gone. Each lease is a new random number, and its
command is sent once: no second copy of it can arrive when the deletion has passed.

A writer whom Redis does not answer goes on after a moment, and one that died after the commit has deleted
nothing. What had been read before that commit is kept, from its lease on, for ``_LEASE_MS`` and ``_ANSWER_MS`` at
most; so it is where Redis itself comes back with what had been deleted. That is less than ``OLD_AT_MOST_SECONDS``,
for which a server that could not delete does not look into the cache: its own writes it shows at once, always.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from uuid import UUID

import redis
import structlog
from redis.connection import ConnectionInterface

from matching_server.storage import redis_client

OLD_AT_MOST_SECONDS = 2.0
"""How long what was before a write can be shown where its writer could not reach Redis."""
_LEASE_MS = 500
_ANSWER_MS = 1400
_PATIENCE_SECONDS = 0.5
"""How long a call waits for Redis before it goes on without."""
_RETRY_SECONDS = 1.0

_LEASE = b"?"
_ANSWER = b"="
_FILL = """
if redis.call('GET', KEYS[1]) == ARGV[1] then
    redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
end
"""

_log = structlog.get_logger(__name__)


class _Batch:
    """Advisors who are forgotten in one round trip."""

    def __init__(self) -> None:
        self.advisor_ids: set[UUID] = set()
        self.forgotten = False


class _Own(threading.local):
    """A connection for each thread that asks: to take one out of a pool costs more than the question."""

    connection: ConnectionInterface | None = None


class AvailabilityCache:
    """Answers about advisors' availability. Where Redis is away it holds nothing, and costs next to no time.

    Args:
        redis_url: where they are.
    """

    def __init__(self, redis_url: str) -> None:
        self._redis = redis_client.connect_impatiently(redis_url, timeout=_PATIENCE_SECONDS)
        self._own = _Own()
        self._lock = threading.Lock()
        self._batch = _Batch()
        """Of those who wait for their turn."""
        self._turn = threading.Lock()
        self._away = False
        """Redis has not answered: nobody waits for it until it does again."""
        self._closed_until = 0.0
        """By ``time.monotonic``: until then nobody here looks."""
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._look_for_redis, name="availability-cache", daemon=True)

    def start(self) -> None:
        """Starts the thread that looks for Redis where it is away."""
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread, and closes the connections."""
        self._stopping.set()
        self._thread.join(timeout=_PATIENCE_SECONDS * 4)
        self._redis.close()

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    def read(self, advisor_id: UUID, load: Callable[[], bytes]) -> bytes:
        """The answer about an advisor: the one that is kept, else ``load``'s, which is kept where it returns."""
        if time.monotonic() < self._closed_until:
            return load()
        key, lease = _key(advisor_id), None
        try:
            kept = self._ask("GET", key)
            if kept is None:
                lease = self._take_lease(key)
            elif isinstance(kept, bytes) and kept.startswith(_ANSWER):
                return kept.removeprefix(_ANSWER)
        except redis.RedisError as error:
            self._close(_RETRY_SECONDS, error)
        answer = load()
        if lease is not None:
            try:
                self._ask("EVAL", _FILL, 1, key, lease, _ANSWER + answer, _ANSWER_MS)
            except redis.RedisError as error:
                self._close(_RETRY_SECONDS, error)
        return answer

    def _take_lease(self, key: str) -> bytes | None:
        """The right to fill the key, ``None`` where another reader has it."""
        lease = _LEASE + secrets.token_bytes(16)
        return lease if self._ask_once("SET", key, lease, "NX", "PX", _LEASE_MS) else None

    def forget(self, advisor_ids: Collection[UUID]) -> None:
        """Drops what is kept of these advisors; to be called when changes of theirs have been committed.

        Waits for it while Redis answers. Who comes while others are at it shares the next round trip.
        """
        if not advisor_ids:
            return
        if self._away:
            self._close(OLD_AT_MOST_SECONDS)
            return
        with self._lock:
            batch = self._batch
            batch.advisor_ids.update(advisor_ids)
        if self._turn.acquire(timeout=_PATIENCE_SECONDS):
            try:
                if batch is self._batch and not self._away:
                    self._delete(batch)
            except redis.RedisError as error:
                self._lost(error)
            finally:
                self._turn.release()
        if not batch.forgotten:
            self._lost(TimeoutError())

    def _delete(self, batch: _Batch) -> None:
        """Deletes for all who have come until now. It is the caller's turn."""
        with self._lock:
            self._batch = _Batch()
        self._ask("DEL", *map(_key, batch.advisor_ids))
        batch.forgotten = True

    def _lost(self, error: Exception) -> None:
        self._away = True
        self._close(OLD_AT_MOST_SECONDS, error)

    def _close(self, seconds: float, error: Exception | None = None) -> None:
        """Nobody here looks for so long."""
        with self._lock:
            now = time.monotonic()
            if error is not None and now >= self._closed_until:
                _log.warning("availability_cache_closed", error=type(error).__name__)
            self._closed_until = max(self._closed_until, now + seconds)

    def _look_for_redis(self) -> None:
        while not self._stopping.wait(_RETRY_SECONDS):
            if self._away:
                with suppress(redis.RedisError):
                    self._ask("PING")
                    self._away = False
                    _log.info("availability_cache_reachable")

    def _ask(self, *command: str | bytes | int) -> object:
        """For everything but a lease: a connection that turns out to be dead is no reason to give up."""
        try:
            return self._ask_once(*command)
        except redis.ConnectionError:
            return self._ask_once(*command)

    def _ask_once(self, *command: str | bytes | int) -> object:
        connection = self._own.connection
        if connection is None:
            connection = self._own.connection = self._redis.connection_pool.get_connection()
        (answer,) = redis_client.exchange(connection, [command])
        return answer


def _key(advisor_id: UUID) -> str:
    return f"advisor_matching:availability:{advisor_id}"
