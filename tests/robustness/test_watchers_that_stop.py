"""Watchers who stop reading, freeze or die: they are let go, hold up nobody, and can go on where they were."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from uuid import UUID, uuid4

import grpc
import pytest
import redis

from advisor_matching.v1.event_service_pb2 import WatchProjectEventsRequest
from matching_client import EventIdUnknown, EventsCompacted, MatchingError, SlowConsumer
from matching_client.signing import START_HEADER
from matching_client.status_details import from_rpc_error
from matching_server.domain.events import encode_event_id
from tests.support.history import History
from tests.support.processes import ServerProcess
from tests.support.rounds import rounds
from tests.support.wait import eventually
from tests.support.watch_history import Connection, Watcher, judge, read_log
from tests.support.watchers import Habits, RawWatcher
from tests.support.world import World

Tell = Callable[[str], None]
BATCH, SIZE = 2_000, 8_000
"""Events at once, and the characters of each. For who does not read, some 4 MB wait at the wire, and 1,000 events
before it: more than that, and the stream is cut.
"""
MEMORY = 32
"""MB that a server may grow by while it has one reader who does not read."""
FREED_SECONDS = 20.0
"""When the server has found out that nobody is there: 10 s after the last sign of life it asks, and waits 5 s."""
_SCRIPT = """
import sys
from matching_client import MatchingClient
with (
    MatchingClient.from_env(user_id=sys.argv[1], roles=["service"]) as client,
    client.watch(sys.argv[2], heartbeat_interval=1) as watch,
):
    print("watching", flush=True)
    for event in watch:
        print(event.seq, flush=True)
"""


class Stream:
    """A bare stream that is read when the test says so, and what it told."""

    def __init__(self, world: World, project: str, *, after: str = "", from_start: bool = False) -> None:
        self.connection = Connection(after, from_start)
        request = WatchProjectEventsRequest(project_id=project, last_event_id=after, from_start=from_start)
        self._call = world.caller(uuid4(), "service").stubs.event.WatchProjectEvents(request, timeout=300)
        self.connection.start = str(dict(self._call.initial_metadata()).get(START_HEADER, ""))

    def read(self, count: int) -> None:
        """So many events; heartbeats are passed over."""
        while len(self.connection.events) < count:
            self.connection.hear(next(self._call).event)

    def read_to_its_end(self) -> MatchingError:
        """All that comes, and how it ended."""
        try:
            for response in self._call:
                self.connection.hear(response.event)
        except grpc.RpcError as error:
            return from_rpc_error(error)
        raise AssertionError("it ended in good order")

    def close(self) -> None:
        """Leaves."""
        self._call.cancel()


def megabytes(server: ServerProcess) -> float:
    """What the process holds in memory."""
    lines = Path(f"/proc/{server.pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS:")).split()[1]) / 1024


def test_who_stops_reading_is_cut_while_all_others_get_everything_and_can_resume(
    own: World, tell: Tell
) -> None:
    """On the same server and the same connection; what waits for them has a bound, however much there is."""
    server, project = own.start("--no-workers", heartbeat_seconds=1), own.new_project()
    stuck, history = Stream(own, project), History(own.conn)
    others = [
        RawWatcher(f"other {n}", project, [own.caller(uuid4(), "service")], Habits(stays=60), Random(n))
        for n in range(2)
    ]
    eventually(lambda: all(other.position for other in others), what="the others watch")
    history.messages(UUID(project), 1, size=SIZE)
    stuck.read(1)
    before, batches = megabytes(server), rounds(4, full=12)
    for number in range(batches):
        history.messages(UUID(project), BATCH, size=SIZE)
        end = read_log(own.conn, project).end
        eventually(
            lambda: {other.position for other in others} == {end},  # noqa: B023
            timeout=20,
            what=f"the others have batch {number + 1}",
        )
    grown = megabytes(server) - before
    # Within 10 s it still learns why; later, it would find the stream cut.
    error = stuck.read_to_its_end()
    got = len(stuck.connection.events)
    again = Stream(own, project, after=stuck.connection.position)
    again.read(batches * BATCH + 1 - got)
    for other in others:
        other.stop()
    again.close()
    returned = Watcher("stuck", connections=[stuck.connection, again.connection])
    violations = judge([returned, *(other.history for other in others)], read_log(own.conn, project))
    assert violations == {}
    assert isinstance(error, SlowConsumer) or error.code is grpc.StatusCode.CANCELLED
    assert got < batches * BATCH
    assert grown < MEMORY, f"{grown:.0f} MB more"
    assert batches * BATCH * SIZE > 1.5 * MEMORY * 2**20, "all of it would not fit"
    tell(
        f"{batches * BATCH * SIZE / 2**20:.0f} MB, {grown:.0f} MB more in memory, {got} events before {error.code.name}"
    )


def test_what_is_pruned_before_a_slow_reader_has_come_to_it_is_an_error_and_never_skipped(own: World) -> None:
    own.start("--no-workers", heartbeat_seconds=1)
    project, history = own.new_project(), History(own.conn)
    history.messages(UUID(project), BATCH, size=SIZE)
    behind, current = Stream(own, project, from_start=True), Stream(own, project)
    behind.read(1)
    log = read_log(own.conn, project)
    history.prune(UUID(project), through=BATCH - 10)
    error = behind.read_to_its_end()
    assert isinstance(error, EventsCompacted)
    assert error.oldest_event_id == log.by_seq[BATCH - 10].id
    told = behind.connection.events
    assert told == log.events[: len(told)]
    assert len(told) < BATCH - 10
    # What was pruned was behind this one, which goes on; and at the named place everybody may begin.
    again = Stream(own, project, after=error.oldest_event_id)
    history.messages(UUID(project), 5, size=1)
    current.read(5)
    again.read(15)
    watchers = [
        Watcher(name, connections=[of.connection]) for name, of in (("current", current), ("again", again))
    ]
    assert judge(watchers, read_log(own.conn, project)) == {}
    current.close()
    again.close()


class WatcherProcess:
    """A program that watches a project with the client, and prints what comes."""

    def __init__(self, world: World, project: str) -> None:
        endpoint = world.servers.all[0].endpoint
        self._process = subprocess.Popen(
            [sys.executable, "-c", _SCRIPT, str(uuid4()), project],
            stdout=subprocess.PIPE,
            text=True,
            env={
                **os.environ,
                "MATCHING_ADDRESS": endpoint.address,
                "MATCHING_KEY_ID": endpoint.key_id,
                "MATCHING_SECRET": endpoint.secret,
            },
        )
        assert self.line() == "watching"

    def line(self) -> str:
        """What it says next."""
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def signal(self, number: signal.Signals) -> None:
        """Kills, freezes or thaws it."""
        self._process.send_signal(number)

    def close(self) -> None:
        """Ends it."""
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()


@contextmanager
def watcher_process(world: World, project: str) -> Iterator[WatcherProcess]:
    """One that ends with the block."""
    process = WatcherProcess(world, project)
    try:
        yield process
    finally:
        process.close()


def is_watched(redis_url: str, project: str) -> bool:
    """Whether some server has a stream of this project: it asks for hints as long as it has."""
    with redis.Redis.from_url(redis_url) as client:
        [(_, servers)] = client.pubsub_numsub(f"chat:{project}")
    return bool(servers)


@pytest.mark.parametrize(
    ("how", "within"),
    [(signal.SIGKILL, 2.0), (signal.SIGSTOP, FREED_SECONDS)],
    ids=["killed", "frozen"],
)
def test_who_vanishes_is_let_go(
    own: World, redis_url: str, tell: Tell, how: signal.Signals, within: float
) -> None:
    """By the broken connection, or by the question whether anybody is there; and who comes back has missed nothing."""
    own.start("--no-workers", heartbeat_seconds=3_600)
    project, history = own.new_project(), History(own.conn)
    with watcher_process(own, project) as watcher:
        history.messages(UUID(project), 1, size=1)
        assert watcher.line() == "1"
        eventually(lambda: is_watched(redis_url, project), what="hints are asked for")
        began = time.monotonic()
        watcher.signal(how)
        eventually(lambda: not is_watched(redis_url, project), timeout=within, what="the stream is gone")
        took = time.monotonic() - began
        if how is signal.SIGSTOP:
            history.messages(UUID(project), 3, size=1)
            watcher.signal(signal.SIGCONT)
            assert [watcher.line() for _ in range(3)] == ["2", "3", "4"]
    tell(f"after {took:.1f} s")


def test_a_log_that_is_replaced_under_its_watchers_ends_their_streams(own: World) -> None:
    own.start("--no-workers")
    project, history = own.new_project(), History(own.conn)
    history.messages(UUID(project), 5, size=1)
    with own.service().watch(project, from_start=True) as watch:
        assert [next(watch).seq for _ in range(5)] == [1, 2, 3, 4, 5]
        # As it was after the third event; then others happen.
        own.execute(
            "WITH head AS (UPDATE project_event_heads SET last_seq = 3),"
            " gone AS (DELETE FROM project_events WHERE seq > 3)"
            " UPDATE event_log_epoch SET epoch = gen_random_uuid()"
        )
        history.messages(UUID(project), 3, size=1)
        # Whatever comes before the replacement is noticed, it is told in the end that its place is no more.
        with pytest.raises(EventIdUnknown):
            list(watch)
    assert [event.seq for event in own.watched(project, 6)] == [1, 2, 3, 4, 5, 6]


def test_the_ids_of_a_log_that_was_replaced_by_a_backup_are_unknown(own: World) -> None:
    """And not taken for places in the other log, whose events have the same numbers."""
    server = own.start("--no-workers")
    project, history = own.new_project(), History(own.conn)
    history.messages(UUID(project), 5, size=1)
    ids = [event.id for event in own.watched(project, 5)]
    server.kill()
    own.execute("UPDATE event_log_epoch SET epoch = gen_random_uuid()")
    history.prune(UUID(project), through=1)
    server.start()
    # Connected again: what follows is asked once.
    own.service().get_service_info()
    for last_event_id in (ids[0], ids[2], ids[4]):
        refused = Stream(own, project, after=last_event_id)
        assert refused.read_to_its_end().reason == "EVENT_ID_UNKNOWN"
        with (
            pytest.raises(EventIdUnknown),
            own.service().watch(project, last_event_id=last_event_id) as watch,
        ):
            next(watch)
    epoch = own.value("SELECT epoch FROM event_log_epoch")
    again = own.watched(project, 4)
    assert [event.id for event in again] == [encode_event_id(epoch, UUID(project), n) for n in range(2, 6)]
