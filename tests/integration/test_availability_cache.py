"""Availability served through Redis: what a read shows after which write, however the two get into each other's way.

A replica stands for a server: its use cases and its own cache, on the Redis that all share.
"""

from __future__ import annotations

import itertools
import os
import random
import signal
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import pytest
import redis

from matching_server.domain.effects import Effects
from matching_server.domain.errors import AdvisorNotFound
from matching_server.domain.model import Advisor, Availability, Role
from matching_server.embedded.redis_server import EmbeddedRedis
from matching_server.operations import availability, directory
from matching_server.operations.commands import UpdateAvailability
from matching_server.operations.runner import Runner
from matching_server.storage import availability as stored
from matching_server.storage.availability_cache import AvailabilityCache
from matching_server.storage.database import Transaction
from tests.integration.world import World, call
from tests.support.at_once import together
from tests.support.databases import data_directory
from tests.support.rounds import rounds
from tests.support.wait import eventually

NOWHERE = "redis://127.0.0.1:1/0"
OLD_AT_MOST = 2.0
"""Seconds for which a read may show what was before a write whose writer could not reach Redis."""
WAIT = 20.0
_SLOTS = itertools.cycle(range(1, 101))


class Replica:
    """One server's part in it."""

    def __init__(self, world: World, redis_url: str) -> None:
        self.world = world
        self.redis = redis.Redis.from_url(redis_url)
        self.cache = AvailabilityCache(redis_url)
        self.runner = Runner(world.database, world.policy, world.picture, self._after_commit)

    def _after_commit(self, effects: Effects) -> None:
        self.cache.forget(effects.availability_changed)

    def write(self, advisor: UUID) -> datetime:
        """Changes an advisor's maximum; when that was, by the row."""
        command = UpdateAvailability(advisor, max_concurrent_projects=next(_SLOTS))
        return availability.update_availability(self.runner, call(), command).updated_at

    def read(self, advisor: UUID, load: Callable[[], bytes] | None = None) -> datetime:
        """When the row that is shown was written. ``load`` stands in for the reading of Postgres."""
        if load is None:
            answer = availability.get_answer(self.runner, self.cache, call(), advisor, encode)
        else:
            answer = self.cache.read(advisor, load)
        return datetime.fromisoformat(answer.decode())

    def stored(self, advisor: UUID) -> bytes:
        """What Postgres says, as an answer."""
        return encode(availability.get_availability(self.runner, call(), advisor))


def encode(found: Availability) -> bytes:
    return found.updated_at.isoformat().encode()


@pytest.fixture
def start(world: World) -> Iterator[Callable[[str], Replica]]:
    """Starts replicas on a Redis; they are ended after the test."""
    with ExitStack() as started:

        def begin(redis_url: str) -> Replica:
            replica = Replica(world, redis_url)
            replica.cache.start()
            started.callback(replica.cache.stop)
            return replica

        yield begin


@pytest.fixture
def replica(start: Callable[[str], Replica], redis_url: str) -> Replica:
    return start(redis_url)


@pytest.fixture
def other(start: Callable[[str], Replica], redis_url: str) -> Replica:
    return start(redis_url)


@pytest.fixture
def advisor(world: World) -> UUID:
    return world.advisor()


@pytest.fixture
def own_redis() -> Iterator[EmbeddedRedis]:
    """A Redis that the test may kill."""
    with data_directory() as directory, EmbeddedRedis(directory) as running:
        yield running


def behind_the_back(world: World, advisor: UUID) -> datetime:
    """Changes the row by SQL, of which no cache is told."""
    moment: datetime = world.ask(
        "UPDATE advisor_availability SET updated_at = clock_timestamp() WHERE advisor_id = :id"
        " RETURNING updated_at",
        id=advisor,
    )
    return moment


class Sleeper:
    """A reader who has taken the lease and sleeps: before they read Postgres, or before they fill the cache."""

    def __init__(self, replica: Replica, advisor: UUID, *, after_reading: bool) -> None:
        self._asleep, self._woken = threading.Event(), threading.Event()
        self._after_reading = after_reading
        self._load = partial(replica.stored, advisor)
        self._pool = ThreadPoolExecutor(1)
        self._read = self._pool.submit(replica.read, advisor, self._sleep)
        assert self._asleep.wait(WAIT)

    def _sleep(self) -> bytes:
        answer = self._load() if self._after_reading else b""
        self._asleep.set()
        assert self._woken.wait(WAIT)
        return answer or self._load()

    def wake(self) -> datetime:
        """Lets them go on; what they were shown."""
        self._woken.set()
        shown = self._read.result(WAIT)
        self._pool.shutdown()
        return shown


def test_what_is_kept_is_shown_without_postgres_for_less_than_two_seconds(
    world: World, replica: Replica, other: Replica, advisor: UUID
) -> None:
    before = replica.read(advisor)
    kept_since = time.monotonic()
    after = behind_the_back(world, advisor)
    assert [replica.read(advisor), other.read(advisor)] == [before, before]
    eventually(lambda: other.read(advisor) == after, timeout=OLD_AT_MOST)
    assert time.monotonic() - kept_since > 1
    assert replica.read(advisor) == after


def test_a_write_is_shown_by_every_server_once_it_is_acknowledged(
    replica: Replica, other: Replica, advisor: UUID
) -> None:
    """Readers fill the cache all the time, with what they read before a write as often as not."""
    replicas, ended = (replica, other), threading.Event()
    acknowledged = replica.read(advisor)
    shown = 0

    def read_on(replica: Replica) -> None:
        nonlocal shown
        while not ended.is_set():
            at_least = acknowledged
            assert replica.read(advisor) >= at_least
            shown += 1

    def write_on() -> None:
        nonlocal acknowledged
        try:
            for _ in range(rounds(300)):
                writer, reader = random.sample(replicas, 2)
                acknowledged = writer.write(advisor)
                assert (reader.read(advisor), writer.read(advisor)) == (acknowledged, acknowledged)
        finally:
            ended.set()

    readers = [partial(read_on, replicas[number % 2]) for number in range(3)]
    actions: list[Callable[[], None]] = [write_on, *readers]
    together(actions)
    assert shown > rounds(300)


def a_write(other: Replica, advisor: UUID) -> None:
    other.write(advisor)


def a_write_and_a_reader(other: Replica, advisor: UUID) -> None:
    other.write(advisor)
    other.read(advisor)


def a_write_and_another_sleeper(other: Replica, advisor: UUID) -> Sleeper:
    """The second lease must not be taken for the first one."""
    other.write(advisor)
    return Sleeper(other, advisor, after_reading=True)


def a_flush_and_a_write(other: Replica, advisor: UUID) -> None:
    other.redis.flushall()
    other.write(advisor)


def a_write_and_a_flush(other: Replica, advisor: UUID) -> None:
    other.write(advisor)
    other.redis.flushall()


def the_end_of_the_lease_and_a_write(other: Replica, advisor: UUID) -> None:
    eventually(lambda: other.redis.dbsize() == 0)
    other.read(advisor)
    other.write(advisor)


@pytest.mark.parametrize("after_reading", [False, True], ids=["before reading", "before filling"])
@pytest.mark.parametrize(
    "meanwhile",
    [
        a_write,
        a_write_and_a_reader,
        a_write_and_another_sleeper,
        a_flush_and_a_write,
        a_write_and_a_flush,
        the_end_of_the_lease_and_a_write,
    ],
)
def test_a_reader_who_sleeps_on_the_way_hides_no_write(
    replica: Replica,
    other: Replica,
    advisor: UUID,
    meanwhile: Callable[[Replica, UUID], Sleeper | None],
    after_reading: bool,
) -> None:
    sleeper = Sleeper(replica, advisor, after_reading=after_reading)
    second = meanwhile(other, advisor)
    now = datetime.fromisoformat(replica.stored(advisor).decode())
    shown = sleeper.wake()
    # They asked before the write, so they may be shown what was before it; nobody after them may.
    assert shown < now if after_reading else shown == now
    assert [replica.read(advisor), other.read(advisor)] == [now, now]
    if second is not None:
        assert second.wake() == now
        assert replica.read(advisor) == now


def test_one_reader_fills_the_cache_and_the_others_pass_by(
    world: World, replica: Replica, other: Replica
) -> None:
    def fills() -> bool:
        advisor = world.advisor()
        sleeper = Sleeper(replica, advisor, after_reading=True)
        between = behind_the_back(world, advisor)
        assert [other.read(advisor), other.read(advisor)] == [between, between]
        before = sleeper.wake()
        assert before < between
        return other.read(advisor) == before

    # Again where the lease ran out, as on a busy machine it may.
    eventually(fills)


def test_where_the_writer_cannot_reach_redis_what_was_before_is_shown_for_two_seconds_at_most(
    start: Callable[[str], Replica], replica: Replica, advisor: UUID
) -> None:
    cut_off, shown_too_late = start(NOWHERE), 0
    for _ in range(rounds(3)):
        # The worst case: somebody fills the cache as late as they can with what they read before the write.
        replica.redis.flushall()
        sleeper = Sleeper(replica, advisor, after_reading=True)
        time.sleep(random.uniform(0, 0.3))
        written = cut_off.write(advisor)
        acknowledged = time.monotonic()
        before = sleeper.wake()
        assert cut_off.read(advisor) == written
        asked = time.monotonic()
        while (shown := replica.read(advisor)) != written:
            assert shown == before
            assert asked - acknowledged < OLD_AT_MOST
            shown_too_late += 1
            asked = time.monotonic()
    assert shown_too_late


def test_a_write_waits_for_redis_once_and_not_again(
    start: Callable[[str], Replica], own_redis: EmbeddedRedis, advisor: UUID
) -> None:
    replica, other = start(own_redis.url), start(own_redis.url)
    replica.read(advisor)
    written = datetime.now(UTC)
    with frozen(own_redis):
        waited = [timed(partial(replica.write, advisor)) for _ in range(10)]
        assert waited[0] < 1.5
        assert statistics.median(waited[1:]) < 0.2
        # Each server's own writes are shown by it at once, all the same.
        for _ in range(3):
            written = replica.write(advisor)
            assert replica.read(advisor) == written
        # Readers wait once, too.
        waited = [timed(partial(other.read, advisor)) for _ in range(10)]
        assert waited[0] < 1.5
        assert statistics.median(waited[1:]) < 0.2
        assert other.read(advisor) == written
    eventually(lambda: other.read(advisor) == written, timeout=OLD_AT_MOST)
    assert_served_from_redis_again(replica, advisor)
    assert_served_from_redis_again(other, advisor)


def test_who_cannot_delete_does_not_believe_what_is_kept(
    start: Callable[[str], Replica], own_redis: EmbeddedRedis, advisor: UUID
) -> None:
    replica, other = start(own_redis.url), start(own_redis.url)
    before = replica.read(advisor)
    replica.redis.execute_command("ACL SETUSER default -del")
    written = replica.write(advisor)
    assert replica.read(advisor) == written
    assert other.read(advisor) in (before, written)
    eventually(lambda: other.read(advisor) == written, timeout=OLD_AT_MOST)
    replica.redis.execute_command("ACL SETUSER default +del")
    assert_served_from_redis_again(replica, advisor)


@pytest.mark.parametrize("fault", ["killed", "restarted", "flushed", "frozen"])
def test_answers_are_right_and_in_time_whatever_befalls_redis(
    start: Callable[[str], Replica], own_redis: EmbeddedRedis, advisor: UUID, fault: str
) -> None:
    """Each server shows its own writes at once; the others', too, but for the time that Redis is away and 2 s."""
    replicas = (start(own_redis.url), start(own_redis.url))
    ended = threading.Event()
    took: list[float] = []

    def use(replica: Replica, own: UUID) -> None:
        while not ended.is_set():
            began = time.monotonic()
            written = replica.write(own)
            assert replica.read(own) == written
            took.append(time.monotonic() - began)

    def befall() -> None:
        try:
            for _ in range(rounds(2)):
                count = len(took)
                eventually(lambda: len(took) > count + 20)  # noqa: B023 - over before the next round
                strike(own_redis, fault)
        finally:
            ended.set()

    advisors = [replicas[0].world.advisor() for _ in range(4)]
    users = [partial(use, replicas[number % 2], own) for number, own in enumerate(advisors)]
    actions: list[Callable[[], None]] = [befall, *users]
    together(actions)
    assert max(took) < 4
    for replica in replicas:
        assert_served_from_redis_again(replica, advisor)


def strike(own_redis: EmbeddedRedis, fault: str) -> None:
    if fault == "flushed":
        with redis.Redis.from_url(own_redis.url) as connection:
            for _ in range(50):
                connection.flushall()
    elif fault == "frozen":
        with frozen(own_redis):
            time.sleep(1.5)
    else:
        own_redis.kill()
        if fault == "killed":
            time.sleep(1.5)
        own_redis.restart()


def test_writers_share_a_round_trip(start: Callable[[str], Replica], own_redis: EmbeddedRedis) -> None:
    replica = start(own_redis.url)
    replica.cache.forget([uuid4()])
    with redis.Redis.from_url(own_redis.url) as connection:
        connection.config_resetstat()
        # Deletions wait, and so do those who come meanwhile.
        connection.client_pause(250, all=False)
        together([partial(replica.cache.forget, [uuid4()]) for _ in range(40)])
        stats: Any = connection.info("commandstats")
    assert stats["cmdstat_del"]["calls"] <= 4


def test_who_is_not_found_is_not_remembered(
    replica: Replica, other: Replica, advisor: UUID, world: World
) -> None:
    new = uuid4()
    for reader in (replica, other):
        with pytest.raises(AdvisorNotFound):
            reader.read(new)
    profile = Advisor(new, "Ada", (), (), active=True)
    directory.upsert_advisor(replica.runner, call(), profile)
    assert other.read(new) == replica.read(new)
    world.run("DELETE FROM advisors WHERE id = :id", id=new)
    eventually(lambda: not found(other, new), timeout=OLD_AT_MOST)


def test_nobody_is_shown_what_is_kept_of_another(replica: Replica, world: World, advisor: UUID) -> None:
    replica.read(advisor)
    stranger = call(world.advisor(), Role.ADVISOR)
    with pytest.raises(AdvisorNotFound, match=str(advisor)):
        availability.get_answer(replica.runner, replica.cache, stranger, advisor, encode)
    own = availability.get_answer(replica.runner, replica.cache, call(advisor, Role.ADVISOR), advisor, encode)
    assert own == replica.stored(advisor)


def test_a_commit_whose_answer_was_lost_is_forgotten_like_any_other(world: World, advisor: UUID) -> None:
    attempts = itertools.count(1)

    def work(tx: Transaction) -> int:
        attempt = next(attempts)
        if attempt == 1:
            current = stored.lock(tx, advisor)
            assert current is not None
            stored.change(tx, current, by_themselves=False)
            tx.conn.exec_driver_sql("COMMIT")
            tx.conn.exec_driver_sql("SELECT pg_terminate_backend(pg_backend_pid())")
        return attempt

    committed = world.database.transact(work)
    assert (committed.value, committed.effects.availability_changed) == (2, {advisor})


def found(replica: Replica, advisor: UUID) -> bool:
    try:
        replica.read(advisor)
    except AdvisorNotFound:
        return False
    return True


def timed(action: Callable[[], object]) -> float:
    began = time.monotonic()
    action()
    return time.monotonic() - began


@contextmanager
def frozen(own_redis: EmbeddedRedis) -> Iterator[None]:
    """Redis has the connections, and does not answer."""
    os.kill(own_redis.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(own_redis.pid, signal.SIGCONT)


def assert_served_from_redis_again(replica: Replica, advisor: UUID) -> None:
    def is_kept() -> bool:
        written = replica.write(advisor)
        assert replica.read(advisor) == written
        behind_the_back(replica.world, advisor)
        return replica.read(advisor) == written

    eventually(is_kept, timeout=5, what="what is kept is shown")
