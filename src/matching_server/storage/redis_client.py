"""Clients of Redis whose every step is bounded in time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import redis
from redis.backoff import NoBackoff
from redis.connection import ConnectionInterface
from redis.retry import Retry
from redis.sentinel import Sentinel

_SENTINEL_SCHEMES = ("redis+sentinel", "rediss+sentinel")
_SENTINEL_OPTIONS = ("sentinel_username", "sentinel_password")
_ONCE = Retry(NoBackoff(), 0)
"""A Sentinel that does not answer: there are others."""
_MAX_CONNECTIONS = 1024
"""More than there are threads, each of which uses one at a time: nobody is refused one."""


def connect(url: str) -> redis.Redis:
    """A client that can wait: commands that fail are tried again, with pauses."""
    return _client(url, socket_timeout=2.0, socket_connect_timeout=2.0, health_check_interval=15)


def connect_impatiently(url: str, *, timeout: float) -> redis.Redis:
    """A client for calls that wait for it: a command has so many seconds, and is sent once."""
    return _client(
        url,
        socket_timeout=timeout,
        socket_connect_timeout=timeout,
        retry=Retry(NoBackoff(), 0),
        max_connections=_MAX_CONNECTIONS,
    )


def _client(url: str, **options: Any) -> redis.Redis:
    """Of one Redis, or of the one that Sentinels hold to be the master whenever a connection is made.

    Raises:
        ValueError: the URL is none of either kind.
    """
    parts = urlsplit(url)
    if parts.scheme not in _SENTINEL_SCHEMES:
        return redis.Redis.from_url(url, **options)
    credentials, _, hosts = parts.netloc.rpartition("@")
    user, _, password = credentials.partition(":")
    service, _, database = parts.path.strip("/").partition("/")
    sentinels = [each.rpartition(":")[::2] for each in hosts.split(",")]
    if not (service and all(host and port.isdecimal() for host, port in sentinels)):
        raise ValueError("MATCHING_REDIS_URL: Sentinels need host:port,… and the name of a service")
    tls = {"ssl": True} if parts.scheme == "rediss+sentinel" else {}
    asking = {name: options[name] for name in ("socket_timeout", "socket_connect_timeout")} | tls
    for name, value in parse_qsl(parts.query):
        if name not in _SENTINEL_OPTIONS:
            raise ValueError(f"MATCHING_REDIS_URL: unknown option {name}")
        asking[name.removeprefix("sentinel_")] = value
    addresses = [(host, int(port)) for host, port in sentinels]
    found: redis.Redis = Sentinel(addresses, sentinel_kwargs=asking | {"retry": _ONCE}).master_for(
        service,
        username=unquote(user) or None,
        password=unquote(password) or None,
        db=int(database or 0),
        **options,
        **tls,
    )
    return found


def exchange(connection: ConnectionInterface, commands: Sequence[tuple[str | bytes | int, ...]]) -> list[Any]:
    """Sends all in one piece, once, and returns the answers.

    A client's own methods do the same at several times the cost, which is felt where every call pays it.

    Raises:
        redis.RedisError: Redis did not answer, or refused a command; the connection begins anew.
    """
    try:
        if not connection.is_connected:
            # Sending alone would connect to where it was connected before, whoever is the master now.
            connection.connect()
        connection.send_packed_command(connection.pack_commands(commands))
        return [connection.read_response() for _ in commands]
    except BaseException:
        connection.disconnect()
        raise
