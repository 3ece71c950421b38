"""How often a user may call, on all servers together."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from uuid import uuid4

import pytest
import redis

from matching_server.embedded import EmbeddedServices
from matching_server.storage.call_rates import CallRates

LIMIT = 5
NOW = 1_772_600_003.0
"""Seven seconds before a window ends."""


class Clock:
    now = NOW

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def servers(redis_url: str, clock: Clock) -> Iterator[tuple[CallRates, CallRates]]:
    with ExitStack() as stack:
        both = [CallRates(redis_url, limit=LIMIT, clock=clock) for _ in range(2)]
        for rates in both:
            stack.callback(rates.close)
        yield both[0], both[1]


def test_a_user_has_so_many_calls_in_each_window_and_others_have_theirs(
    servers: tuple[CallRates, CallRates], clock: Clock
) -> None:
    rates, user, other = servers[0], uuid4(), uuid4()
    assert [rates.admit(user) for _ in range(LIMIT)] == [None] * LIMIT
    assert rates.admit(user) == pytest.approx(7)
    assert rates.admit(other) is None
    clock.now += 6
    assert rates.admit(user) == pytest.approx(1)
    clock.now += 1
    assert rates.admit(user) is None


def test_servers_count_together(servers: tuple[CallRates, CallRates], clock: Clock) -> None:
    one, two = servers
    user = uuid4()
    for rates in (one, two):
        for _ in range(2):
            assert rates.admit(user) is None
    for rates in (one, two, one):
        rates.exchange()
    assert two.admit(user) is None
    assert two.admit(user) is not None
    two.exchange()
    assert one.admit(user) is None, "it has not heard of that one yet"
    one.exchange()
    assert one.admit(user) is not None
    clock.now += 10
    for rates in (one, two):
        rates.exchange()
        assert rates.admit(user) is None


def test_without_redis_each_server_counts_for_itself_and_tells_later(
    own_services: EmbeddedServices, clock: Clock
) -> None:
    user = uuid4()
    with ExitStack() as stack:
        one, two = (CallRates(own_services.redis_url, limit=LIMIT, clock=clock) for _ in range(2))
        for rates in (one, two):
            stack.callback(rates.close)
        own_services.redis.kill()
        for _ in range(LIMIT - 1):
            assert one.admit(user) is None
        one.exchange()
        assert one.admit(user) is None
        assert one.admit(user) is not None
        own_services.redis.restart()
        one.exchange()
        assert two.admit(user) is None
        two.exchange()
        assert two.admit(user) is not None


def test_sums_are_gone_when_nobody_asks_for_them_any_more(
    servers: tuple[CallRates, CallRates], redis_url: str
) -> None:
    servers[0].admit(uuid4())
    servers[0].exchange()
    with redis.Redis.from_url(redis_url) as client:
        keys = client.keys("advisor_matching:calls:*")
        assert isinstance(keys, list)
        assert len(keys) == 1
        assert 0 < client.ttl(keys[0]) <= 20
