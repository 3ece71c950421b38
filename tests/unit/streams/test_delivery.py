"""Every stream gets every event after its start, once and in order, however the hub hears of them."""

from __future__ import annotations

import random
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from uuid import uuid4

import pytest

from matching_server.domain.events import EventType, ProjectEvent
from matching_server.operations.watching import WatchRights
from matching_server.streams.hub import _PAGE
from matching_server.streams.watch import CATCH_UP_LIMIT, QUEUE_LIMIT
from tests.support.rounds import rounds
from tests.support.wait import eventually
from tests.unit.streams.memory import WAIT, Reader, Stage, arrives, running


def test_live_events_arrive_in_order_at_every_stream(stage: Stage) -> None:
    readers = [stage.open() for _ in range(5)]
    other = stage.open(project=uuid4())
    for _ in range(100):
        stage.commit()
    for reader in readers:
        arrives(reader, list(range(1, 101)))
    assert other.got == []


def test_a_stream_gets_what_was_committed_before_the_hub_knew_of_it(stage: Stage) -> None:
    stage.log.append_many(stage.project, 5)
    arrives(stage.open(after=2), [3, 4, 5])
    arrives(stage.open(after=5), [])


@pytest.mark.parametrize("count", [_PAGE - 1, _PAGE, _PAGE + 1, 3 * _PAGE])
def test_history_comes_in_pages_without_a_seam(stage: Stage, count: int) -> None:
    stage.log.append_many(stage.project, count)
    reader = stage.open()
    arrives(reader, list(range(1, count + 1)))
    stage.commit()
    arrives(reader, list(range(1, count + 2)))


def test_a_gap_is_filled_from_the_log(stage: Stage) -> None:
    reader = stage.open_live()
    stage.commit()
    arrives(reader, [1])
    stage.log.append_many(stage.project, 7)
    # Of 2 to 8 nobody has told.
    stage.commit()
    arrives(reader, list(range(1, 10)))


def test_a_gap_of_many_pages_is_filled(stage: Stage) -> None:
    reader = stage.open_live()
    stage.log.append_many(stage.project, 2 * _PAGE + 50)
    stage.commit()
    arrives(reader, list(range(1, 2 * _PAGE + 52)))


def test_hints_that_come_twice_late_or_in_any_order_change_nothing(stage: Stage) -> None:
    reader = stage.open()
    events = stage.log.append_many(stage.project, 50)
    shuffled = events * 3
    random.Random(7).shuffle(shuffled)
    for event in shuffled:
        stage.hub.deliver([event])
    stage.hub.deliver(events)
    arrives(reader, list(range(1, 51)))


def test_being_told_to_look_is_enough(stage: Stage) -> None:
    reader = stage.open_live()
    stage.log.append_many(stage.project, 3)
    stage.hub.look_at(stage.project)
    arrives(reader, [1, 2, 3])
    stage.hub.look_at(uuid4())


@pytest.mark.usefixtures("fast")
def test_an_event_of_which_nobody_tells_is_found(stage: Stage) -> None:
    reader = stage.open_live()
    stage.log.append_many(stage.project, 3)
    arrives(reader, [1, 2, 3])


def test_what_commits_while_the_gap_is_read_is_not_missed(stage: Stage) -> None:
    reader = stage.open_live()
    stage.commit()
    stage.log.append_many(stage.project, 2)
    late: list[ProjectEvent] = []

    def commit_meanwhile() -> None:
        # The read has its answer; now another event is committed, and its hint comes before the answer.
        stage.log.hold = lambda: None
        late.extend(stage.log.append_many(stage.project, 2))
        stage.hub.deliver(late[-1:])

    stage.log.hold = commit_meanwhile
    stage.hub.look_at(stage.project)
    arrives(reader, [1, 2, 3, 4, 5])
    assert len(late) == 2


@pytest.mark.usefixtures("fast")
def test_history_meets_live_without_a_gap_or_a_double_whatever_happens_at_once() -> None:
    """Committers, hints that are lost, doubled and swapped, and streams that come and go anywhere."""
    for seed in range(rounds(20)):
        chance = random.Random(seed)
        with running() as stage, ThreadPoolExecutor(8) as pool:
            stage.log.append_many(stage.project, chance.randrange(300))
            readers: list[tuple[int, Reader]] = []
            works = [
                *[pool.submit(commit, stage, chance.random()) for _ in range(4)],
                *[pool.submit(come_and_go, stage, chance.random(), readers) for _ in range(3)],
            ]
            for work in works:
                work.result(WAIT)
            total = stage.log.last(stage.project)
            for after, reader in readers:
                arrives(reader, list(range(after + 1, total + 1)))


def commit(stage: Stage, seed: float) -> None:
    """Commits events and tells of them carelessly."""
    chance = random.Random(seed)
    untold: list[ProjectEvent] = []
    for _ in range(60):
        untold.append(stage.log.append(stage.project))
        fate = chance.random()
        if fate < 0.6:
            stage.hub.deliver(untold)
            untold = []
        elif fate < 0.8:
            chance.shuffle(untold)
            stage.hub.deliver(untold * 2)
            untold = []
        elif fate < 0.85:
            untold = []


def come_and_go(stage: Stage, seed: float, stay: list[tuple[int, Reader]]) -> None:
    """Opens streams at any place of the log; some leave again."""
    chance = random.Random(seed)
    for turn in range(15):
        after = chance.randrange(stage.log.last(stage.project) + 1)
        watch, reader = stage.watch(after)
        stage.hub.open(watch)
        if turn % 3:
            stage.hub.close(watch)
        else:
            stay.append((after, reader))


def test_a_stream_gets_the_types_that_it_asked_for(stage: Stage) -> None:
    reader = stage.open(types=frozenset({EventType.FINALIZED, EventType.MESSAGE_NEW}))
    for type_ in (EventType.MATCHED, EventType.FINALIZED, EventType.ACCEPTED, EventType.MESSAGE_NEW):
        stage.commit(type_=type_)
    arrives(reader, [2, 4])


def test_a_stream_gets_the_matches_that_it_may_see(stage: Stage) -> None:
    mine = uuid4()
    reader = stage.open(rights=WatchRights(everything=False, matches=frozenset({mine}), by_place=True))
    for match in (uuid4(), mine, uuid4(), mine):
        stage.commit(match_id=match)
    arrives(reader, [2, 4])


def test_an_event_is_rendered_once_for_all_who_are_live_and_not_at_all_for_nobody(stage: Stage) -> None:
    rendered: list[int] = []

    def render(event: ProjectEvent) -> bytes:
        rendered.append(event.seq)
        return str(event.seq).encode()

    stage.render = render
    readers = [stage.open() for _ in range(4)]
    filtered = stage.open(types=frozenset({EventType.RELEASED}))
    stage.commit()
    for reader in readers:
        arrives(reader, [1])
    before = len(rendered)
    for _ in range(20):
        stage.commit()
    for reader in readers:
        arrives(reader, list(range(1, 22)))
    # One who still reads history may render for itself; nobody else does.
    assert len(rendered) - before <= 20 + 4
    assert filtered.got == []


def test_where_nobody_watches_nothing_is_read_or_asked_for(stage: Stage) -> None:
    for _ in range(10):
        stage.commit()
    assert stage.log.reads == 0
    assert stage.hints.wanted == []


def test_history_waits_for_its_reader_and_is_not_cut(stage: Stage) -> None:
    reader = Reader()
    reader.stop_reading()
    count = 3 * QUEUE_LIMIT
    stage.log.append_many(stage.project, count)
    watch, _ = stage.watch(reader=reader)
    stage.hub.open(watch)
    eventually(lambda: watch.waiting > CATCH_UP_LIMIT)
    reads = stage.log.reads
    assert watch.waiting <= CATCH_UP_LIMIT + _PAGE
    assert not watch.finishing
    assert stage.log.reads == reads
    reader.go_on()
    arrives(reader, list(range(1, count + 1)))


def test_a_slow_stream_holds_up_nobody(stage: Stage) -> None:
    slow = stage.open()
    slow.stop_reading()
    quick = stage.open()
    for _ in range(200):
        stage.commit()
    arrives(quick, list(range(1, 201)))
    assert slow.seqs == []
    slow.go_on()
    arrives(slow, list(range(1, 201)))


def test_many_projects_are_kept_apart_while_all_are_busy(stage: Stage) -> None:
    projects = [uuid4() for _ in range(6)]
    readers = {project: stage.open(project=project) for project in projects}

    def live(count: int, project: object) -> None:
        for _ in range(count):
            stage.commit(project)  # type: ignore[arg-type]

    threads = [
        threading.Thread(target=partial(live, 100 + number, project))
        for number, project in enumerate(projects)
    ]
    for thread in threads:
        thread.start()
    for number, project in enumerate(projects):
        arrives(readers[project], list(range(1, 101 + number)))
    for thread in threads:
        thread.join(WAIT)
