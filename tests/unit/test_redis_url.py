"""Which Redis a URL names: one by its address, or the master that Sentinels know by a name."""

from __future__ import annotations

from urllib.parse import unquote

import pytest
from redis.connection import SSLConnection
from redis.sentinel import SentinelConnectionPool, SentinelManagedSSLConnection

from matching_server.storage.redis_client import connect, connect_impatiently

SECRET = "s%2Fcret"  # pragma: allowlist secret


def test_sentinels_are_asked_with_their_own_password_for_a_master_with_its() -> None:
    url = f"rediss+sentinel://user:{SECRET}@one:1,two:2/matching/3?sentinel_password=other"  # pragma: allowlist secret
    pool = connect(url).connection_pool
    assert isinstance(pool, SentinelConnectionPool)
    assert (pool.service_name, pool.connection_class) == ("matching", SentinelManagedSSLConnection)
    wanted = {"username": "user", "password": unquote(SECRET), "db": 3, "socket_timeout": 2.0}
    assert {name: pool.connection_kwargs[name] for name in wanted} == wanted
    asked = [sentinel.connection_pool for sentinel in pool.sentinel_manager.sentinels]
    assert [(each.connection_kwargs["host"], each.connection_kwargs["port"]) for each in asked] == [
        ("one", 1),
        ("two", 2),
    ]
    assert {each.connection_kwargs["password"] for each in asked} == {"other"}
    assert all(issubclass(each.connection_class, SSLConnection) for each in asked)


def test_calls_do_not_wait_for_sentinels_longer_than_for_redis() -> None:
    pool = connect_impatiently("redis+sentinel://one:1/matching", timeout=0.5).connection_pool
    assert isinstance(pool, SentinelConnectionPool)
    [sentinel] = pool.sentinel_manager.sentinels
    assert sentinel.connection_pool.connection_kwargs["socket_timeout"] == 0.5
    assert pool.connection_kwargs["retry"].get_retries() == 0


@pytest.mark.parametrize(
    "url",
    [
        f"redis+sentinel://:{SECRET}@one:1",
        f"redis+sentinel://:{SECRET}@one/matching",
        f"redis+sentinel://:{SECRET}@one:1,/matching",
        f"redis+sentinel://:{SECRET}@one:1/matching?password=x",
        f"sentinel://:{SECRET}@one:1/matching",
    ],
)
def test_a_url_that_is_none_is_refused_and_not_shown(url: str) -> None:
    with pytest.raises(ValueError, match=r"Redis URL|MATCHING_REDIS_URL") as refused:
        connect(url)
    assert SECRET not in str(refused.value)
