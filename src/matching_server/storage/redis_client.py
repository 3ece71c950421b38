"""Clients of Redis whose every step is bounded in time."""

from __future__ import annotations

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

_MAX_CONNECTIONS = 1024
"""More than there are threads, each of which uses one at a time: nobody is refused one."""


def connect(url: str) -> redis.Redis:
    """A client that can wait: commands that fail are tried again, with pauses."""
    return redis.Redis.from_url(url, socket_timeout=2.0, socket_connect_timeout=2.0, health_check_interval=15)


def connect_impatiently(url: str, *, timeout: float, tries: int) -> redis.Redis:
    """A client for calls that wait for it.

    Args:
        url: where Redis is.
        timeout: seconds for a command, which is not tried again after it.
        tries: how often a command is sent where a connection turns out to be dead, at most; with 1, a command
            that has been answered was done once, and nothing of it is still to come.
    """
    return redis.Redis.from_url(
        url,
        socket_timeout=timeout,
        socket_connect_timeout=timeout,
        retry=Retry(NoBackoff(), tries - 1, supported_errors=(redis.ConnectionError,)),
        max_connections=_MAX_CONNECTIONS,
    )
