"""A user's streams on several servers: which of them has to go, and what servers that died leave behind."""

from __future__ import annotations

import random
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID, uuid4

import pytest

from matching_server.domain.calls import Call
from matching_server.domain.errors import EventIdUnknown, ProjectNotFound
from matching_server.domain.events import encode_event_id
from matching_server.domain.model import Role
from matching_server.domain.streams import OpenStream
from matching_server.operations import open_streams
from matching_server.operations.commands import WatchProject
from matching_server.operations.watching import begin_watch
from tests.integration.world import World, call
from tests.support.rounds import rounds


class Server:
    """One of the servers, as far as streams go."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.id = uuid4()
        self.beat()

    def open(self, by: Call, project: UUID, watch_id: str | None = None) -> OpenStream:
        """A stream of the caller's is opened here."""
        command = WatchProject(project, watch_id=watch_id)
        return begin_watch(self.world.runner, by, command, server_id=self.id).stream

    def beat(self, *ended: OpenStream) -> Sequence[UUID]:
        """Some time later it says that it lives, and hears which of its streams have to go."""
        pass_time(self.world)
        return self.beat_now(*ended)

    def beat_now(self, *ended: OpenStream, tell: bool = False) -> Sequence[UUID]:
        """The same at once."""
        ids = [stream.id for stream in ended]
        return open_streams.beat(self.world.runner, self.id, ended=ids, tell=tell).evicted

    def tidy_up(self, *held: OpenStream) -> None:
        """It takes out what is left behind."""
        open_streams.tidy_up(self.world.runner, self.id, {stream.id for stream in held})


@pytest.fixture
def user(world: World) -> UUID:
    """Somebody who may watch anything."""
    return uuid4()


@pytest.fixture
def project(world: World) -> UUID:
    """What they watch."""
    return world.project()


def by(user: UUID) -> Call:
    """A new call of theirs."""
    return call(user, Role.SERVICE)


def entered(world: World) -> list[UUID]:
    return [row[0] for row in world.rows("SELECT id FROM open_streams ORDER BY number")]


def pass_time(world: World) -> None:
    """Everything was a second ago."""
    world.run(
        "UPDATE open_streams SET opened_at = opened_at - interval '1 s',"
        " contested_at = contested_at - interval '1 s'"
    )
    world.run("UPDATE stream_servers SET seen_at = seen_at - interval '1 s'")


def age(world: World, server: Server, seconds: float) -> None:
    """The server was last seen that much longer ago."""
    world.run(
        "UPDATE stream_servers SET seen_at = seen_at - make_interval(secs => :seconds) WHERE id = :id",
        id=server.id,
        seconds=seconds,
    )


def test_a_fourth_stream_makes_the_oldest_go_at_once_where_one_server_has_them_all(
    world: World, user: UUID, project: UUID
) -> None:
    server = Server(world)
    opened = [server.open(by(user), project) for _ in range(3)]
    assert server.beat() == []
    opened.append(server.open(by(user), project))
    assert server.beat() == [opened[0].id]
    assert server.beat(opened[0]) == []
    assert entered(world) == [stream.id for stream in opened[1:]]


def test_who_closes_a_stream_a_moment_after_opening_another_loses_none(
    world: World, user: UUID, project: UUID
) -> None:
    server = Server(world)
    opened = [server.open(by(user), project) for _ in range(4)]
    assert server.beat_now() == []
    assert server.beat(opened[2]) == []
    assert len(entered(world)) == 3


def test_others_streams_count_for_nothing(world: World, user: UUID, project: UUID) -> None:
    server = Server(world)
    server.open(by(user), project)
    for _ in range(5):
        server.open(by(uuid4()), project)
    assert server.beat() == []


def test_across_servers_the_oldest_goes_once_the_newer_ones_are_known_to_be_alive(
    world: World, user: UUID, project: UUID
) -> None:
    mine, other, third = Server(world), Server(world), Server(world)
    oldest = mine.open(by(user), project)
    other.open(by(user), project)
    third.open(by(user), project)
    assert mine.beat() == []
    other.open(by(user), project)
    assert mine.beat() == [], "nobody knows whether the others are still there"
    other.beat()
    assert mine.beat() == []
    third.beat()
    assert mine.beat() == [oldest.id]


def test_what_ended_just_before_makes_room(world: World, user: UUID, project: UUID) -> None:
    mine, other = Server(world), Server(world)
    mine.open(by(user), project)
    ended = [other.open(by(user), project) for _ in range(2)]
    other.open(by(user), project)
    other.beat(*ended)
    assert mine.beat() == []
    # Full again, and now everybody is there.
    last = [other.open(by(user), project) for _ in range(2)]
    assert mine.beat() == []
    other.beat()
    assert len(mine.beat()) == 1
    assert len(entered(world)) == 2 + len(last)


def test_a_server_that_died_ends_nobodys_stream_and_counts_for_nothing_after_20_s(
    world: World, user: UUID, project: UUID
) -> None:
    mine, dead = Server(world), Server(world)
    living = mine.open(by(user), project)
    left = [dead.open(by(user), project) for _ in range(2)]
    newest = mine.open(by(user), project)
    assert mine.beat() == [], "the newer ones were not seen since all were open"
    age(world, dead, 17)
    mine.tidy_up(living, newest)
    assert entered(world) == [living.id, *(stream.id for stream in left), newest.id]
    age(world, dead, 4)
    mine.tidy_up(living, newest)
    assert entered(world) == [living.id, newest.id]
    assert mine.beat() == []
    assert world.ask("SELECT count(*) FROM stream_servers") == 1


def test_who_was_seen_before_the_last_stream_was_opened_does_not_vouch(
    world: World, user: UUID, project: UUID
) -> None:
    mine, other = Server(world), Server(world)
    mine.open(by(user), project)
    # Three newer ones, of which the server was seen; one of them ends, and the server dies.
    ended, _, _ = (other.open(by(user), project) for _ in range(3))
    other.beat(ended)
    assert mine.beat() == []
    third = Server(world)
    third.open(by(user), project)
    third.beat()
    assert mine.beat() == [], "two of the three may be dead"
    other.beat()
    assert len(mine.beat()) == 1


def test_a_stream_under_the_same_name_replaces_its_predecessor_and_nobody_else(
    world: World, user: UUID, project: UUID
) -> None:
    mine, other = Server(world), Server(world)
    opened = {name: mine.open(by(user), project, name) for name in "abc"}
    resumed = other.open(by(user), project, "b")
    stranger = other.open(by(uuid4()), project, "a")
    other.beat()
    assert mine.beat() == [opened["b"].id]
    assert mine.beat(opened["b"]) == []
    assert other.beat() == []
    assert entered(world) == [opened["a"].id, opened["c"].id, resumed.id, stranger.id]


def test_reconnects_under_one_name_do_not_use_up_the_three(world: World, user: UUID, project: UUID) -> None:
    server, dead = Server(world), Server(world)
    others = [server.open(by(user), project) for _ in range(2)]
    for _ in range(5):
        dead.open(by(user), project, "mine")
    last = server.open(by(user), project, "mine")
    assert server.beat() == []
    dead.beat()
    assert server.beat() == []
    assert last.id not in dead.beat()
    assert {stream.id for stream in (*others, last)} <= set(entered(world))


def test_streams_under_one_name_count_as_one(world: World, user: UUID, project: UUID) -> None:
    mine, other = Server(world), Server(world)
    mine.open(by(user), project)
    other.open(by(user), project, "b")
    other.open(by(user), project, "c")
    ended = other.open(by(user), project)
    other.open(by(user), project, "c")
    other.beat(ended)
    assert mine.beat() == [], "two newer ones are left, one of which was resumed"


def test_a_server_that_was_taken_for_dead_comes_back_with_its_streams_in_their_places(
    world: World, user: UUID, project: UUID
) -> None:
    frozen, other = Server(world), Server(world)
    held = [frozen.open(by(user), project) for _ in range(2)]
    age(world, frozen, 30)
    other.tidy_up()
    assert entered(world) == []
    newer = [other.open(by(user), project) for _ in range(2)]
    other.beat()
    beat = open_streams.beat(world.runner, frozen.id, ended=[], tell=False)
    assert not beat.known
    open_streams.restore(world.runner, frozen.id, held)
    assert entered(world) == [stream.id for stream in (*held, *newer)]
    other.beat()
    assert frozen.beat() == [held[0].id], "four are too many"


def test_what_could_not_be_opened_is_not_entered(world: World, user: UUID, project: UUID) -> None:
    server = Server(world)
    with pytest.raises(ProjectNotFound):
        server.open(by(user), uuid4())
    future = encode_event_id(world.ask("SELECT epoch FROM event_log_epoch"), project, 99)
    with pytest.raises(EventIdUnknown):
        begin_watch(world.runner, by(user), WatchProject(project, future), server_id=server.id)
    assert entered(world) == []


def test_a_stream_is_entered_once_however_often_its_transaction_is_repeated(
    world: World, user: UUID, project: UUID
) -> None:
    server, one_call = Server(world), by(user)
    server.open(by(user), project)
    first, again = (server.open(one_call, project, "mine") for _ in range(2))
    assert first == again
    assert server.beat() == []
    assert len(entered(world)) == 2


def test_what_is_entered_and_not_held_is_taken_out_in_time(world: World, user: UUID, project: UUID) -> None:
    server, other = Server(world), Server(world)
    lost, held = (server.open(by(user), project) for _ in range(2))
    elsewhere = other.open(by(user), project)
    server.tidy_up(held)
    assert len(entered(world)) == 3, "its opening may be under way"
    world.run("UPDATE open_streams SET opened_at = opened_at - interval '11 s'")
    server.tidy_up(held)
    assert entered(world) == [held.id, elsewhere.id]
    assert lost.id not in entered(world)


def test_a_server_that_leaves_takes_its_streams_along(world: World, user: UUID, project: UUID) -> None:
    mine, other = Server(world), Server(world)
    mine.open(by(user), project)
    kept = other.open(by(user), project)
    open_streams.leave(world.runner, mine.id)
    assert entered(world) == [kept.id]
    assert world.ask("SELECT count(*) FROM stream_servers") == 1


def test_only_a_beat_that_is_to_tell_has_the_others_look(world: World) -> None:
    server = Server(world)
    world.effects.clear()
    server.beat_now()
    server.beat_now(tell=True)
    assert [effects.streams_contested for effects in world.effects] == [False, True]


def newest_three(opened: Sequence[OpenStream]) -> list[OpenStream]:
    """The newest stream under each of the three names that were used last, newest first."""
    by_name: dict[str, OpenStream] = {}
    for stream in sorted(opened, key=lambda stream: -stream.number):
        by_name.setdefault(stream.watch_id, stream)
    return list(by_name.values())[:3]


def test_however_many_open_at_the_same_moment_the_newest_three_stay(
    world: World, user: UUID, project: UUID
) -> None:
    servers = [Server(world) for _ in range(3)]
    opened: list[OpenStream] = []
    held: dict[UUID, dict[UUID, OpenStream]] = {server.id: {} for server in servers}

    def open_one(server: Server) -> None:
        stream = server.open(by(user), project, random.choice([None, None, "a", "b"]))
        opened.append(stream)
        held[server.id][stream.id] = stream

    def evict(server: Server) -> None:
        gone = [held[server.id].pop(id_) for id_ in server.beat_now() if id_ in held[server.id]]
        server.beat_now(*gone)

    with ThreadPoolExecutor(8) as pool:
        for _ in range(rounds(20)):
            opening = [pool.submit(open_one, random.choice(servers)) for _ in range(8)]
            beating = [pool.submit(evict, server) for server in servers]
            for done in (*opening, *beating):
                done.result()
            # The second look is at beats that are all later than the last opening.
            pass_time(world)
            for _ in range(2):
                for server in servers:
                    evict(server)
            left = [stream for streams in held.values() for stream in streams.values()]
            assert sorted(left, key=lambda stream: -stream.number) == newest_three(opened)
