"""What can become of Redis: it dies, freezes, or forgets."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager

import redis

from matching_server.embedded import EmbeddedRedis


@contextmanager
def killed(server: EmbeddedRedis) -> Iterator[None]:
    """It is dead while the block runs, and comes back empty."""
    server.kill()
    try:
        yield
    finally:
        server.restart()


@contextmanager
def frozen(server: EmbeddedRedis) -> Iterator[None]:
    """Its time stands still: connections stay open and nobody answers, as behind a partition."""
    os.kill(server.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(server.pid, signal.SIGCONT)


@contextmanager
def emptied(server: EmbeddedRedis) -> Iterator[None]:
    """It has forgotten everything, subscriptions included."""
    with redis.Redis.from_url(server.url) as client:
        client.flushall()
        # Who is subscribed is not told, and has to notice.
        client.client_kill_filter(_type="pubsub", skipme=True)
    yield


FAULTS: Mapping[str, Callable[[EmbeddedRedis], AbstractContextManager[None]]] = {
    "killed": killed,
    "frozen": frozen,
    "emptied": emptied,
}
