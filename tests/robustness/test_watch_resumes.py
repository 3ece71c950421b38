"""A watcher that is cut resumes: every event once and in order, through restarts of servers and of Redis."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from advisor_matching.v1.types_pb2 import ProjectEvent
from matching_client import MatchingClient, Watch
from matching_server.embedded import EmbeddedServices
from tests.support.rounds import rounds
from tests.support.wait import eventually
from tests.support.world import World

Tell = Callable[[str], None]


class Recorder:
    """Reads a watch in a thread of its own."""

    def __init__(self, watch: Watch) -> None:
        self.events: list[ProjectEvent] = []
        self._watch = watch
        self._thread = threading.Thread(target=self._run, name="recorder")
        self._thread.start()

    def _run(self) -> None:
        for event in self._watch:
            self.events.append(event)

    @property
    def numbers(self) -> list[int]:
        return [event.seq for event in self.events]

    def close(self) -> None:
        self._watch.close()
        self._thread.join(10)
        assert not self._thread.is_alive()


@contextmanager
def recorded(client: MatchingClient, project: str) -> Iterator[Recorder]:
    recorder = Recorder(client.watch(project, heartbeat_interval=1))
    try:
        yield recorder
    finally:
        recorder.close()


def make_events(world: World, project: str, count: int, *, server: int) -> None:
    """Two events for each round: an offer, and its refusal."""
    service, owner = world.service(server=server), world.client(project, server=server)
    for _ in range(count // 2):
        match = service.create_match(project, allow_previous=True).match
        owner.submit_client_decision(match.id, "DECISION_DECLINED")


def assert_all_seen(recorder: Recorder, count: int) -> None:
    expected = list(range(1, count + 1))
    eventually(lambda: len(recorder.numbers) >= count, timeout=15, what=f"{count} events are seen")
    assert recorder.numbers == expected
    assert len({event.id for event in recorder.events}) == count


@pytest.mark.parametrize("how", ["killed", "terminated"])
def test_a_watcher_sees_every_event_once_and_in_order_across_restarts_of_its_server(
    own: World, tell: Tell, how: str
) -> None:
    watched = own.start(heartbeat_seconds=1)
    own.start(heartbeat_seconds=1)
    own.new_advisor(slots=100)
    project = own.new_project()
    made = 0
    with recorded(own.client(project, server=0), project) as recorder:
        for _ in range(rounds(3)):
            writer = threading.Thread(target=make_events, args=(own, project, 20), kwargs={"server": 1})
            writer.start()
            if how == "killed":
                watched.kill()
            else:
                assert watched.terminate() == 0
            watched.start()
            writer.join(30)
            made += 20
        assert_all_seen(recorder, made)
    tell(f"{rounds(3)} restarts, {made} events")


def test_events_of_another_server_arrive_while_redis_is_down_and_when_it_is_back(
    mortal: World, own_services: EmbeddedServices
) -> None:
    mortal.start()
    mortal.start()
    mortal.new_advisor(slots=100)
    project = mortal.new_project()
    with recorded(mortal.client(project, server=0), project) as recorder:
        make_events(mortal, project, 10, server=1)
        assert_all_seen(recorder, 10)
        own_services.redis.kill()
        make_events(mortal, project, 10, server=1)
        assert_all_seen(recorder, 20)
        own_services.redis.restart()
        make_events(mortal, project, 10, server=1)
        assert_all_seen(recorder, 30)


def test_what_commits_after_a_watch_is_established_is_delivered(world: World, tell: Tell) -> None:
    world.new_advisor(slots=100)
    for _ in range(rounds(20)):
        project = world.new_project()
        with recorded(world.client(project, server=0), project) as recorder:
            make_events(world, project, 2, server=1)
            assert_all_seen(recorder, 2)
    tell(f"{rounds(20)} rounds")
