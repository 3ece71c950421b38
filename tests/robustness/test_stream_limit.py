"""Three streams a user on all servers together: the oldest makes room, wherever it is, and nobody else."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from uuid import uuid4

import grpc
import pytest

from advisor_matching.v1.event_service_pb2 import WatchProjectEventsRequest
from matching_client import MatchingClient, StreamEvicted
from matching_client.status_details import from_rpc_error
from matching_server.embedded import EmbeddedServices
from tests.support.rounds import rounds
from tests.support.wait import eventually
from tests.support.watching import watching
from tests.support.world import World

Tell = Callable[[str], None]


class Stream:
    """A bare stream, read in a thread of its own: nothing is resumed."""

    def __init__(self, caller: MatchingClient, project: str, watch_id: str = "") -> None:
        request = WatchProjectEventsRequest(project_id=project, watch_id=watch_id)
        self._call = caller.stubs.event.WatchProjectEvents(request, timeout=100)
        self._call.initial_metadata()
        self.seqs: list[int] = []
        self.error: grpc.RpcError | None = None
        self._thread = threading.Thread(target=self._read, name="stream", daemon=True)
        self._thread.start()

    def _read(self) -> None:
        try:
            for response in self._call:
                if response.event.seq:
                    self.seqs.append(response.event.seq)
        except grpc.RpcError as error:
            self.error = error

    @property
    def open(self) -> bool:
        return self._thread.is_alive()

    @property
    def evicted(self) -> bool:
        return self.error is not None and isinstance(from_rpc_error(self.error), StreamEvicted)

    def close(self) -> None:
        self._call.cancel()
        self._thread.join(10)


class User:
    """Somebody who may watch any project, and the streams that they have opened."""

    def __init__(self, world: World) -> None:
        self.id = uuid4()
        self.streams: list[Stream] = []
        self._world = world

    def caller(self, server: int = 0) -> MatchingClient:
        return self._world.caller(self.id, "service", server=server)

    def open(self, project: str, *, server: int = 0, watch_id: str = "") -> Stream:
        stream = Stream(self.caller(server), project, watch_id)
        self.streams.append(stream)
        return stream

    def settled(self, *left: Stream) -> None:
        """Just these stay open; all others were told why they had to go."""
        others = [stream for stream in self.streams if stream not in left]
        eventually(lambda: all(stream.evicted for stream in others), what="the others are evicted")
        assert all(stream.open for stream in left)


@contextmanager
def user_of(world: World) -> Iterator[User]:
    user = User(world)
    try:
        yield user
    finally:
        for stream in user.streams:
            stream.close()


@pytest.fixture
def user(world: World) -> Iterator[User]:
    with user_of(world) as user:
        yield user


def make_event(world: World, project: str, *, server: int = 0) -> None:
    world.service(server=server).send_message(project, "hello")


def seen_by(world: World, project: str, *streams: Stream) -> None:
    """What happens now arrives at these."""
    make_event(world, project)
    last = world.value("SELECT last_seq FROM project_event_heads WHERE project_id = :id", id=project)
    eventually(lambda: all(last in stream.seqs for stream in streams), what="the event arrives at all")


@pytest.mark.parametrize("server", [0, 1])
def test_a_fourth_stream_evicts_the_oldest_wherever_it_is(world: World, user: User, server: int) -> None:
    project = world.new_project()
    oldest, *others = (user.open(project, server=n % 2) for n in range(3))
    others.append(user.open(project, server=server))
    user.settled(*others)
    seen_by(world, project, *others)
    assert not oldest.seqs


def test_each_project_counts_and_each_user_for_themselves(world: World, user: User) -> None:
    projects = [world.new_project() for _ in range(4)]
    streams = [user.open(project) for project in projects]
    user.settled(*streams[1:])
    with user_of(world) as other:
        kept = [other.open(project, server=1) for project in projects[:3]]
        other.settled(*kept)
        user.settled(*streams[1:])


def test_a_stream_under_the_same_watch_id_replaces_the_one_before_and_nobody_else(
    world: World, user: User
) -> None:
    project = world.new_project()
    others = [user.open(project, server=n) for n in range(2)]
    for n in range(4):
        resumed = user.open(project, server=n % 2, watch_id="mine")
        user.settled(*others, resumed)
        seen_by(world, project, *others, resumed)


def test_a_watch_that_was_evicted_says_so_and_does_not_come_back(world: World, user: User) -> None:
    project = world.new_project()
    with watching(user.caller(), project) as watch:
        streams = [user.open(project, server=1) for _ in range(3)]
        with pytest.raises(StreamEvicted):
            next(watch)
        with pytest.raises(StopIteration):
            next(watch)
    user.settled(*streams)


def test_who_closes_a_stream_may_open_another(world: World, user: User, tell: Tell) -> None:
    project = world.new_project()
    kept = [user.open(project, server=n) for n in range(2)]
    for n in range(rounds(20)):
        user.open(project, server=n % 2).close()
    last = user.open(project)
    # Whoever would have to go would be told by the beats of two seconds.
    first_seen = "SELECT min(seen_at) FROM stream_servers"
    now = world.value("SELECT clock_timestamp()")
    eventually(
        lambda: (world.value(first_seen) - now).total_seconds() > 2,
        what="every server says twice that it lives",
    )
    assert all(stream.open for stream in (*kept, last))
    tell(f"{rounds(20)} streams opened and closed beside two that stayed")


def test_of_streams_opened_at_the_same_moment_the_newest_three_stay(
    world: World, user: User, tell: Tell
) -> None:
    project = world.new_project()
    for n in range(rounds(4)):
        opening = [
            threading.Thread(target=user.open, args=(project,), kwargs={"server": m % 2}) for m in range(8)
        ]
        for thread in opening:
            thread.start()
        for thread in opening:
            thread.join(30)
        assert len(user.streams) == 8 * (n + 1)
        eventually(lambda: sum(stream.open for stream in user.streams) == 3, what="three are left")
    count = "SELECT count(*) FROM open_streams"
    eventually(lambda: world.value(count) == 3, what="the others are taken out")
    left = [stream for stream in user.streams if stream.open]
    user.settled(*left)
    seen_by(world, project, *left)
    tell(f"{rounds(4)} rounds of 8 streams at once")


def test_without_redis_the_oldest_is_found_all_the_same(
    mortal: World, own_services: EmbeddedServices
) -> None:
    mortal.start_together(2)
    own_services.redis.kill()
    project = mortal.new_project()
    with user_of(mortal) as user:
        oldest = user.open(project)
        others = [user.open(project, server=1) for _ in range(3)]
        user.settled(*others)
        assert oldest.evicted


def later(world: World, seconds: float) -> None:
    """As if no server had been seen for so much longer; those that live are seen again within a second."""
    world.execute(
        "UPDATE stream_servers SET seen_at = seen_at - make_interval(secs => :seconds)", seconds=seconds
    )


def test_a_server_that_died_evicts_nobody_and_is_forgotten(own: World) -> None:
    own.start_together(2)
    project = own.new_project()
    with user_of(own) as user:
        living = user.open(project)
        for _ in range(2):
            user.open(project, server=1)
        own.servers.all[1].kill()
        newest = user.open(project)
        entered = "SELECT count(*) FROM open_streams"
        assert own.value(entered) == 4
        later(own, 15)
        eventually(lambda: own.value(entered) == 2, timeout=30, what="what the dead server held is taken out")
        assert living.open
        assert newest.open
        seen_by(own, project, living, newest)
        user.open(project)
        user.open(project)
        eventually(lambda: living.evicted, what="three that live are newer")


def test_a_frozen_server_comes_back_to_what_it_held(own: World) -> None:
    own.start_together(2)
    project = own.new_project()
    with user_of(own) as user:
        held = [user.open(project) for _ in range(2)]
        own.servers.all[0].freeze()
        later(own, 15)
        eventually(
            lambda: own.value("SELECT count(*) FROM open_streams") == 0,
            timeout=30,
            what="the frozen server is taken for dead",
        )
        newer = [user.open(project, server=1) for _ in range(2)]
        own.servers.all[0].thaw()
        user.settled(held[1], *newer)
