"""Where a watch begins, what of the log it shows to whom, and how it ends."""

from __future__ import annotations

import statistics
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import grpc
import pytest

from advisor_matching.v1.event_service_pb2 import WatchProjectEventsRequest
from advisor_matching.v1.types_pb2 import AvailabilityStatus, ProjectEvent
from matching_client import (
    Claims,
    EventIdInvalid,
    EventIdUnknown,
    EventsCompacted,
    InvalidArgument,
    MatchingClient,
    MatchingError,
    ProjectNotFound,
    Unauthenticated,
)
from matching_client.status_details import from_rpc_error
from matching_server.domain.events import encode_event_id
from tests.support.history import History
from tests.support.watching import watching
from tests.support.world import World

Tell = Callable[[str], None]
APPROVED, DECLINED = "DECISION_APPROVED", "DECISION_DECLINED"


def logged(world: World, pairs: int) -> str:
    """A project with two events for each pair: an offer, and its refusal."""
    world.new_advisor(slots=100)
    project = world.new_project()
    for _ in range(pairs):
        add_pair(world, project)
    return project


def add_pair(world: World, project: str, *, server: int = 0) -> None:
    match = world.service(server=server).create_match(project, allow_previous=True).match
    world.client(project, server=server).submit_client_decision(match.id, DECLINED)


def seen_after(world: World, project: str, last_event_id: str, count: int) -> list[int]:
    """The numbers of the next events after the id, which must be the last for now."""
    with watching(world.client(project), project, last_event_id=last_event_id) as watch:
        numbers = [next(watch).seq for _ in range(count)]
        add_pair(world, project)
        following = next(watch).seq
    assert following == world.value("SELECT last_seq - 1 FROM project_event_heads")
    return numbers


def refusal(world: World, project: str, last_event_id: str) -> MatchingError:
    """How a watch that would begin there is refused."""
    with (
        pytest.raises(MatchingError) as refused,
        watching(world.client(project), project, last_event_id=last_event_id) as watch,
    ):
        next(watch)
    return refused.value


def test_a_watch_resumes_after_any_event_and_nowhere_else(world: World) -> None:
    project = logged(world, 2)
    ids = [event.id for event in world.watched(project, 4)]
    assert seen_after(world, project, ids[0], 3) == [2, 3, 4]
    ids = [event.id for event in world.watched(project, 6)]
    assert seen_after(world, project, ids[5], 0) == []
    epoch = world.value("SELECT epoch FROM event_log_epoch")
    log = (epoch, uuid.UUID(project))
    assert encode_event_id(*log, 1) == ids[0]
    last = world.value("SELECT last_seq FROM project_event_heads")
    assert seen_after(world, project, encode_event_id(*log, 0), last)[0] == 1
    last = world.value("SELECT last_seq FROM project_event_heads")
    for unknown in (
        encode_event_id(*log, last + 1),
        encode_event_id(*log, 2**63),
        encode_event_id(epoch, uuid.uuid4(), 1),
        encode_event_id(uuid.uuid4(), uuid.UUID(project), 1),
    ):
        assert isinstance(refusal(world, project, unknown), EventIdUnknown)
    for malformed in ("1", "x" * 34, ids[0][:-1], ids[0] + "A", "é" * 34, "../../etc", " "):
        assert isinstance(refusal(world, project, malformed), EventIdInvalid), malformed


def test_a_watch_that_begins_before_what_is_kept_is_told_where_it_can(world: World) -> None:
    project = logged(world, 3)
    ids = [event.id for event in world.watched(project, 6)]
    History(world.conn).prune(uuid.UUID(project), through=3)
    for gone in ids[:2]:
        error = refusal(world, project, gone)
        assert isinstance(error, EventsCompacted)
        assert error.oldest_event_id == ids[2]
    with watching(world.client(project), project, from_start=True) as watch:
        assert [next(watch).seq for _ in range(3)] == [4, 5, 6]
    assert seen_after(world, project, ids[3], 2) == [5, 6]
    # What the error named is at the edge, and good.
    assert seen_after(world, project, ids[2], 5) == [4, 5, 6, 7, 8]


def test_a_filter_leaves_the_events_of_those_names(world: World) -> None:
    project = logged(world, 3)
    wanted = ["advisor.match_declined"]
    with watching(world.client(project), project, from_start=True, types=wanted) as watch:
        assert [next(watch).seq for _ in range(3)] == [2, 4, 6]
        add_pair(world, project, server=1)
        assert next(watch).seq == 8
    with pytest.raises(InvalidArgument), watching(world.client(project), project, types=["no.such"]) as watch:
        next(watch)


def test_an_advisor_who_is_offered_a_match_sees_its_events_alone_until_they_decline(world: World) -> None:
    project = logged(world, 1)
    # Through the service, which knows at once: what SQL changes it sees when it looks.
    other = str(world.value("SELECT advisor_id FROM advisor_availability"))
    world.service().update_availability(other, status=AvailabilityStatus.AVAILABILITY_STATUS_OFFLINE)
    advisor = world.new_advisor()
    with pytest.raises(ProjectNotFound), watching(world.advisor(advisor), project) as early:
        next(early)
    match = world.client(project).create_match(project).match
    assert match.matched_advisor.id == advisor
    with watching(world.advisor(advisor, server=1), project, from_start=True) as watch:
        assert (next(watch).seq, watch.last_event_id != "") == (3, True)
        world.client(project).submit_client_decision(match.id, APPROVED)
        world.advisor(advisor).submit_advisor_decision(match.id, DECLINED)
        world.service().update_availability(other, status=AvailabilityStatus.AVAILABILITY_STATUS_AVAILABLE)
        add_pair(world, project)
        types = [next(watch).type for _ in range(2)]
        assert types == ["advisor.client_approved", "advisor.match_declined"]
        with pytest.raises(ProjectNotFound):
            next(watch)


def test_the_right_to_watch_ends_with_the_expiry_of_the_offer(world: World) -> None:
    advisor, project = world.new_advisor(), world.new_project()
    world.client(project).create_match(project, expires_in=timedelta(seconds=1))
    with watching(world.advisor(advisor), project, from_start=True) as watch:
        assert [next(watch).type for _ in range(2)] == ["advisor.matched", "advisor.match_expired"]
        with pytest.raises(ProjectNotFound):
            next(watch)


def test_once_the_workspace_is_ready_the_advisor_sees_everything(world: World) -> None:
    project, advisor, match = world.matched()
    with watching(world.advisor(advisor), project, from_start=True) as watch:
        world.client(project).submit_client_decision(match.id, APPROVED)
        world.advisor(advisor).submit_advisor_decision(match.id, APPROVED)
        # 5 is the welcome: a message of a chat that is not yet theirs.
        assert [next(watch).seq for _ in range(5)] == [1, 2, 3, 4, 6]
        world.new_advisor()
        add_pair(world, project, server=1)
        assert [next(watch).seq for _ in range(2)] == [7, 8]
    with watching(world.advisor(advisor), project, from_start=True) as watch:
        assert [next(watch).seq for _ in range(8)] == list(range(1, 9))


@contextmanager
def stream(caller: MatchingClient, project: str, *types: str) -> Iterator[Iterator[ProjectEvent]]:
    """The bare stream: heartbeats included, and nothing resumed."""
    request = WatchProjectEventsRequest(project_id=project, types=types)
    begun = caller.stubs.event.WatchProjectEvents(request, timeout=20)
    begun.initial_metadata()
    try:
        yield (response.event for response in begun)
    finally:
        begun.cancel()


def next_stored(events: Iterator[ProjectEvent]) -> ProjectEvent:
    """The next event that is no heartbeat."""
    return next(event for event in events if event.type != "heartbeat")


def test_heartbeats_carry_the_newest_id_also_where_a_filter_hides_everything(world: World) -> None:
    project = logged(world, 1)
    with stream(world.client(project), project, "message.new") as events:
        add_pair(world, project)
        newest = world.watched(project, 4)[-1].id
        beats = (event for event in events if event.heartbeat.last_event_id == newest)
        beat = next(beats)
    assert (beat.type, beat.id, beat.seq, beat.user_id) == ("heartbeat", "", 0, "system")
    assert seen_after(world, project, newest, 0) == []
    assert world.value("SELECT count(*) FROM project_events WHERE type = 'heartbeat'") == 0


def test_a_stream_ends_when_its_claims_do(world: World) -> None:
    project = logged(world, 1)
    owner = str(world.value("SELECT owner_id FROM projects"))
    ends = int(time.time()) + 2
    caller = world.caller(owner, claims=Claims(owner, roles=["client"], expires=ends))
    with stream(caller, project) as events:
        add_pair(world, project)
        assert [next_stored(events).seq for _ in range(2)] == [3, 4]
        with pytest.raises(grpc.RpcError) as ended:
            list(events)
    error = from_rpc_error(ended.value)
    assert isinstance(error, Unauthenticated)
    assert error.detail == "CLAIMS_EXPIRED"
    assert 0 <= time.time() - ends < 3


def test_a_watch_goes_on_with_fresh_claims(world: World) -> None:
    project = logged(world, 1)
    owner = str(world.value("SELECT owner_id FROM projects"))
    asked: list[int] = []

    def claims() -> Claims:
        asked.append(1)
        return Claims(owner, roles=["client"], expires=int(time.time()) + 2)

    numbers: list[int] = []
    with watching(world.service().as_user(claims=claims), project) as watch:
        # Events go on while the first claims run out and the second ones take over.
        while len(asked) < 2 and len(numbers) < 2_000:
            add_pair(world, project)
            numbers += [next(watch).seq, next(watch).seq]
    assert len(asked) == 2
    assert numbers == list(range(3, 3 + len(numbers)))


def test_events_of_another_server_are_prompt(world: World, tell: Tell) -> None:
    project = logged(world, 1)
    took = []
    with watching(world.client(project, server=0), project) as watch:
        for _ in range(10):
            began = time.monotonic()
            add_pair(world, project, server=1)
            assert next(watch).seq + 1 == next(watch).seq
            took.append(time.monotonic() - began)
    assert max(took) < 2.5, "that is how long looking takes where no hint arrives"
    assert statistics.median(took) < 0.5, "hints arrive"
    tell(f"10 rounds, median {statistics.median(took) * 1000:.0f} ms, at most {max(took) * 1000:.0f} ms")


def threads_of(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("Threads:")).split()[1])


def test_300_open_streams_need_no_thread_of_their_own(world: World, tell: Tell) -> None:
    project, pid = logged(world, 1), world.servers.all[0].pid
    # The pool for calls has grown to its size, and whoever sends has begun.
    with watching(world.client(project), project, from_start=True) as watch:
        next(watch)
        before = threads_of(pid)
        opened = []
        for _ in range(300):
            request = WatchProjectEventsRequest(project_id=project)
            begun = world.caller(uuid.uuid4(), "service").stubs.event.WatchProjectEvents(request, timeout=60)
            begun.initial_metadata()
            opened.append(begun)
        add_pair(world, project)
        assert {next_stored(answer.event for answer in begun).seq for begun in opened} == {3}
        after = threads_of(pid)
        for begun in opened:
            begun.cancel()
    assert after - before <= 32, "no more than the calls' pool grows to"
    tell(f"{before} threads before, {after} with 300 streams")
