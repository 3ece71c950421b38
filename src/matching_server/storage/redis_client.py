"""Clients of Redis whose every step is bounded in time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.connection import ConnectionInterface
from redis.retry import Retry

_MAX_CONNECTIONS = 1024
"""More than there are threads, each of which uses one at a time: nobody is refused one."""


def connect(url: str) -> redis.Redis:
    """A client that can wait: commands that fail are tried again, with pauses."""
    return redis.Redis.from_url(url, socket_timeout=2.0, socket_connect_timeout=2.0, health_check_interval=15)


def connect_impatiently(url: str, *, timeout: float) -> redis.Redis:
    """A client for calls that wait for it: a command has so many seconds, and is sent once."""
    return redis.Redis.from_url(
        url,
        socket_timeout=timeout,
        socket_connect_timeout=timeout,
        retry=Retry(NoBackoff(), 0),
        max_connections=_MAX_CONNECTIONS,
    )


def exchange(connection: ConnectionInterface, commands: Sequence[tuple[str | bytes | int, ...]]) -> list[Any]:
    """Sends all in one piece, once, and returns the answers.

    A client's own methods do the same at several times the cost, which is felt where every call pays it.

    Raises:
        redis.RedisError: Redis did not answer, or refused a command; the connection begins anew.
    """
    try:
        connection.send_packed_command(connection.pack_commands(commands))
        return [connection.read_response() for _ in commands]
    except BaseException:
        connection.disconnect()
        raise
