"""How many calls each user has made lately, on all servers together, counted through Redis.

Each server counts its own in memory and, twice a second, adds what is new to the sums in Redis and reads them. So a
call costs no round trip, and a user can be ahead of their limit by what they do in half a second. Where Redis is away
each server goes by what it has seen itself.
"""

from __future__ import annotations

import math
import threading
import time
from collections import Counter
from collections.abc import Callable
from uuid import UUID

import redis

from matching_server.storage import redis_client

WINDOW_SECONDS = 10
_PATIENCE_SECONDS = 0.5


class CallRates:
    """Counts calls in windows of 10 s.

    Args:
        redis_url: where the sums are.
        limit: calls that a user may make in a window.
        clock: the time, in Unix seconds; servers should agree on it to a second or so.
    """

    def __init__(self, redis_url: str, *, limit: int, clock: Callable[[], float] = time.time) -> None:
        self._redis = redis_client.connect_impatiently(redis_url, timeout=_PATIENCE_SECONDS)
        self._limit = limit
        self._clock = clock
        self._lock = threading.Lock()
        self._window = 0
        self._begin(0)

    def admit(self, user_id: UUID) -> float | None:
        """Counts a call of the user's; where it is one too many it does not, and returns the seconds to wait."""
        now = self._clock()
        window = math.floor(now / WINDOW_SECONDS)
        with self._lock:
            if window != self._window:
                self._begin(window)
            if self._here[user_id] + self._elsewhere[user_id] >= self._limit:
                return (window + 1) * WINDOW_SECONDS - now
            self._here[user_id] += 1
        return None

    def exchange(self) -> bool:
        """Tells the other servers, and hears of them."""
        with self._lock:
            window = self._window
            new = self._here - self._told
        if not new:
            return False
        try:
            sums = self._add(window, new)
        except redis.RedisError:
            return False
        with self._lock:
            if window == self._window:
                self._told.update(new)
                for user_id, total in sums.items():
                    self._elsewhere[user_id] = total - self._told[user_id]
        return False

    def close(self) -> None:
        """Closes the connections."""
        self._redis.close()

    def _begin(self, window: int) -> None:
        self._window = window
        self._here: Counter[UUID] = Counter()
        self._told: Counter[UUID] = Counter()
        self._elsewhere: Counter[UUID] = Counter()

    def _add(self, window: int, new: Counter[UUID]) -> dict[UUID, int]:
        with self._redis.pipeline(transaction=False) as pipeline:
            for user_id, count in new.items():
                key = f"advisor_matching:calls:{window}:{user_id}"
                pipeline.incrby(key, count)
                pipeline.expire(key, 2 * WINDOW_SECONDS)
            answers = pipeline.execute()
        return dict(zip(new, answers[::2], strict=True))
