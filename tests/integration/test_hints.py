"""What servers tell each other over Redis, beside events."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from uuid import uuid4

import pytest
import redis

from matching_server.domain.effects import Effects, Load
from matching_server.storage import redis_client
from matching_server.streams.fanout import Publisher, Subscriber
from matching_server.streams.pool_hints import PoolHint
from tests.support.wait import eventually

WAIT = 10.0
LOADS = (
    Load(uuid4(), 2, datetime(2026, 3, 4, 12, 0, 0, 5, tzinfo=UTC), 2**40, 7),
    Load(uuid4(), 0, None, 1, 1),
)


class Server:
    """One that tells and hears."""

    def __init__(self, url: str, name: str, stack: ExitStack) -> None:
        self.heard: queue.Queue[PoolHint] = queue.Queue()
        self.looked_at_streams = threading.Semaphore(0)
        self.publisher = Publisher(redis_client.connect(url), name)
        subscriber = Subscriber(
            redis_client.connect(url),
            deliver=lambda events: None,
            look_at=lambda project_id: None,
            hear_of_pool=self.heard.put,
            look_at_streams=self.looked_at_streams.release,
            source=name,
        )
        for thread in (self.publisher, subscriber):
            thread.start()
            stack.callback(thread.stop)


@pytest.fixture
def servers(redis_url: str) -> Iterator[tuple[Server, Server]]:
    with ExitStack() as stack, redis.Redis.from_url(redis_url) as client:
        both = Server(redis_url, "one", stack), Server(redis_url, "other", stack)
        listening = [(b"advisor_matching:pool", 2)]
        eventually(
            lambda: client.pubsub_numsub("advisor_matching:pool") == listening,
            timeout=WAIT,
            what="both listen, and nobody else does",
        )
        yield both


def test_the_other_servers_hear_what_was_committed_and_the_teller_does_not(
    servers: tuple[Server, Server],
) -> None:
    one, other = servers
    one.publisher.publish(Effects(loads=list(LOADS)))
    assert other.heard.get(timeout=WAIT) == PoolHint("one", LOADS, profiles_changed=False)
    other.publisher.publish(Effects(profiles_changed={uuid4()}))
    assert one.heard.get(timeout=WAIT) == PoolHint("other", (), profiles_changed=True)
    assert one.heard.empty()
    assert other.heard.empty()


def test_what_is_no_hint_is_passed_over(servers: tuple[Server, Server], redis_url: str) -> None:
    one, other = servers
    with redis.Redis.from_url(redis_url) as client:
        for odd in (
            b"",
            b"x",
            b"x {}",
            b"x [[[1]], true]",
            b'x [[["no id", 1, null, 1, 1]], false]',
            b"\xff",
        ):
            client.publish("advisor_matching:pool", odd)
    one.publisher.publish(Effects(loads=[LOADS[0]]))
    assert other.heard.get(timeout=WAIT).loads == (LOADS[0],)


def test_a_commit_that_changed_nothing_of_the_pool_is_no_hint() -> None:
    assert PoolHint.of("one", [Effects(capacity_freed=True)]) is None


def test_a_redis_that_comes_back_is_told_again(servers: tuple[Server, Server], redis_url: str) -> None:
    one, other = servers
    with redis.Redis.from_url(redis_url) as client:
        client.client_kill_filter(_type="normal")
        client.client_kill_filter(_type="pubsub")

    def heard() -> bool:
        one.publisher.publish(Effects(loads=[LOADS[0]]))
        return not other.heard.empty()

    eventually(heard, timeout=WAIT)


def test_the_other_servers_look_where_users_have_too_many_streams(servers: tuple[Server, Server]) -> None:
    one, other = servers
    one.publisher.publish(Effects(streams_contested=True))
    assert other.looked_at_streams.acquire(timeout=WAIT)
    other.publisher.publish(Effects(streams_contested=True))
    assert one.looked_at_streams.acquire(timeout=WAIT)
    assert not one.looked_at_streams.acquire(blocking=False)
