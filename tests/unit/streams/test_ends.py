"""How a stream ends: told why, after what was queued, and leaving nothing behind."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from uuid import uuid4

import pytest

from matching_server.domain.errors import (
    AuthenticationFault,
    Draining,
    EventIdUnknown,
    EventsCompacted,
    SlowConsumer,
    Unauthenticated,
)
from matching_server.domain.events import encode_event_id
from matching_server.streams import senders
from matching_server.streams.hub import _PAGE, _SENDERS
from matching_server.streams.watch import QUEUE_LIMIT
from tests.support.wait import eventually
from tests.unit.streams.memory import WAIT, Stage, arrives, ended


def test_a_reader_that_stops_reading_is_cut_and_can_resume(stage: Stage) -> None:
    # One that still reads history would not be cut: history waits for its reader.
    slow, quick = stage.open_live(), stage.open()
    stage.commit()
    arrives(slow, [1])
    slow.stop_reading()
    for _ in range(QUEUE_LIMIT + 100):
        stage.commit()
    arrives(quick, list(range(1, QUEUE_LIMIT + 102)))
    slow.go_on()
    error = ended(slow)
    assert isinstance(error, SlowConsumer)
    assert error.retry_after
    # What it got is the beginning of the log without a gap: from its end it resumes.
    assert slow.seqs == list(range(1, len(slow.seqs) + 1))
    again = stage.open(after=slow.seqs[-1])
    arrives(again, list(range(slow.seqs[-1] + 1, QUEUE_LIMIT + 102)))


@pytest.mark.usefixtures("fast")
def test_sends_that_block_are_replaced_at_once_and_cut_in_the_end(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(senders, "_CUT_SECONDS", 1.0)
    stuck = [stage.open() for _ in range(2 * _SENDERS)]
    for reader in stuck:
        reader.stop_reading()
    stage.commit()
    # As many as there are threads, twice, hold one each; this one is served all the same.
    arrives(stage.open(), [1])
    assert not any(reader.ended.is_set() for reader in stuck)
    for reader in stuck:
        assert ended(reader) is None
        assert reader.cancelled.is_set()
    eventually(lambda: len(stage.hub.watches()) == 1)
    stage.commit()
    more = [stage.open(after=1) for _ in range(20)]
    for reader in more:
        arrives(reader, [2])
    eventually(lambda: _senders_after_work(stage) <= _SENDERS, what="no more threads than are needed")


def _senders_after_work(stage: Stage) -> int:
    """Those too many leave as they are given something to do."""
    stage.commit()
    return sum(thread.name.startswith("sender-") for thread in threading.enumerate())


def test_a_send_that_fails_cuts_its_stream_alone(stage: Stage) -> None:
    broken, sound = stage.open(), stage.open()
    broken.send_fails = True
    for _ in range(3):
        stage.commit()
    assert ended(broken) is None
    assert broken.cancelled.is_set()
    arrives(sound, [1, 2, 3])


def test_what_was_queued_goes_before_the_end(stage: Stage) -> None:
    watch, reader = stage.watch()
    reader.stop_reading()
    stage.hub.open(watch)
    for _ in range(200):
        stage.commit()
    eventually(lambda: watch.position == 200)
    told = threading.Thread(target=stage.hub.drain, args=(WAIT,))
    told.start()
    reader.go_on()
    assert isinstance(ended(reader), Draining)
    told.join(WAIT)
    assert reader.seqs == list(range(1, 201))


def test_a_drain_tells_every_stream_and_waits_until_they_know(stage: Stage) -> None:
    readers = [stage.open(project=uuid4()) for _ in range(20)]
    stage.hub.drain(timeout=WAIT)
    assert all(isinstance(reader.error, Draining) for reader in readers)
    assert len(stage.hub.watches()) == 0
    assert stage.hints.wanted == []


def test_a_drain_does_not_wait_for_ever(stage: Stage) -> None:
    reader = stage.open()
    reader.stop_reading()
    stage.commit()
    assert reader.blocks.wait(WAIT)
    began = time.monotonic()
    stage.hub.drain(timeout=0.1)
    assert 0.1 <= time.monotonic() - began < WAIT
    assert not reader.ended.is_set()


@pytest.mark.usefixtures("fast")
def test_a_stream_ends_with_its_claims(stage: Stage) -> None:
    brief = stage.open(claims_expire_at=time.time() + 0.1)
    lasting = stage.open()
    error = ended(brief)
    assert isinstance(error, Unauthenticated)
    assert error.metadata == {"detail": AuthenticationFault.CLAIMS_EXPIRED.value}
    assert not lasting.ended.is_set()


def test_history_that_is_gone_is_an_error_and_never_skipped(stage: Stage) -> None:
    stage.log.append_many(stage.project, 10)
    stage.log.prune(stage.project, through=6)
    late = stage.open(after=5)
    error = ended(late)
    assert isinstance(error, EventsCompacted)
    assert error.metadata == {"oldest_event_id": encode_event_id(stage.log.epoch, stage.project, 6)}
    assert late.got == []
    arrives(stage.open(after=6), [7, 8, 9, 10])


def test_history_that_is_gone_to_the_last_event_is_an_error_where_others_are_live(stage: Stage) -> None:
    stage.log.append_many(stage.project, 10)
    live = stage.open(after=10)
    stage.log.prune(stage.project, through=10)
    late = stage.open(after=5)
    try:
        assert isinstance(ended(late), EventsCompacted)
        stage.commit()
        arrives(live, [11])
    finally:
        stage.log.fail = RuntimeError("A reading that goes on all the same would outlive the test.")


def test_a_gap_that_is_gone_ends_who_was_live_and_nobody_who_comes_later(stage: Stage) -> None:
    watch, live = stage.watch()
    live.on_end = lambda: None  # The wire takes its time to say that it is over.
    stage.hub.open(watch)
    stage.commit()
    arrives(live, [1])
    stage.log.append_many(stage.project, 9)
    stage.log.prune(stage.project, through=6)
    stage.hub.look_at(stage.project)
    assert isinstance(ended(live), EventsCompacted)
    later = stage.open(after=10)
    arrives(later, [])
    stage.hub.close(watch)
    for _ in range(3):
        stage.commit()
    arrives(later, [11, 12, 13])


def test_history_that_cannot_be_read_cuts_the_stream(stage: Stage) -> None:
    stage.log.fail = RuntimeError("away")
    reader = stage.open()
    assert ended(reader) is None
    assert reader.cancelled.is_set()


@pytest.mark.usefixtures("fast")
def test_a_gap_that_cannot_be_read_is_read_later(stage: Stage) -> None:
    reader = stage.open()
    stage.commit()
    arrives(reader, [1])
    stage.log.fail = RuntimeError("away")
    stage.log.append_many(stage.project, 3)
    reads = stage.log.reads
    stage.commit()
    eventually(lambda: stage.log.reads > reads)
    assert not reader.ended.is_set()
    stage.log.fail = None
    arrives(reader, [1, 2, 3, 4, 5])


def test_a_reader_that_goes_leaves_nothing_behind(stage: Stage) -> None:
    watch, reader = stage.watch()
    stage.hub.open(watch)
    stays = stage.open()
    other, _ = stage.watch(project=uuid4())
    stage.hub.open(other)
    assert stage.hints.wanted == [stage.project, other.project_id]
    for one in (watch, other, watch):
        stage.hub.close(one)
    assert reader.told_gone.wait(WAIT)
    assert len(stage.hub.watches()) == 1
    assert stage.hints.wanted == [stage.project]
    stage.commit()
    arrives(stays, [1])
    assert reader.got == []


def test_a_reader_that_went_before_it_was_taken_in_is_not_taken_in(stage: Stage) -> None:
    watch, _ = stage.watch()
    # The wire tells of the end on a thread of its own, at any time.
    stage.hub.close(watch)
    stage.hub.open(watch)
    assert len(stage.hub.watches()) == 0
    assert stage.hints.wanted == []


@pytest.mark.parametrize("step", ["history", "gap"])
def test_a_reader_that_goes_while_the_log_is_read_stops_the_reading(stage: Stage, step: str) -> None:
    watch, reader = stage.watch()
    if step == "gap":
        stage.hub.open(watch)
        stage.commit()
        arrives(reader, [1])
    stage.log.append_many(stage.project, 3 * _PAGE)
    reads: list[int] = []

    def go_meanwhile() -> None:
        if not reads:
            stage.hub.close(watch)
        reads.append(stage.log.reads)

    stage.log.hold = go_meanwhile
    if step == "gap":
        stage.hub.look_at(stage.project)
    else:
        stage.hub.open(watch)
    eventually(lambda: reads)
    try:
        # The two readers are free again: another project is served, and nobody reads on for this one.
        other = uuid4()
        stage.commit(other)
        for _ in range(4):
            arrives(stage.open(project=other), [1])
        eventually(_steady(lambda: stage.log.reads), timeout=2, what="the reading has stopped")
    finally:
        stage.log.fail = RuntimeError("A reading that goes on all the same would outlive the test.")


def _steady(count: Callable[[], int]) -> Callable[[], bool]:
    """Whether a count is what it was when it was last asked for."""
    last = [-1]

    def steady() -> bool:
        before, last[0] = last[0], count()
        return last[0] == before

    return steady


def test_stopping_ends_every_thread_with_streams_open() -> None:
    before = set(threading.enumerate())
    stage = Stage()
    stage.start()
    readers = [stage.open() for _ in range(3)]
    stage.commit()
    for reader in readers:
        arrives(reader, [1])
    assert stage.keeper.alive
    stage.stop()
    eventually(lambda: not set(threading.enumerate()) - before)
    # What still comes in from outside is taken without a fuss.
    stage.commit()
    stage.hub.look_at(stage.project)
    for reader in readers:
        reader.on_end()
    assert len(stage.hub.watches()) == 0


def test_logs_that_were_replaced_end_every_stream_and_are_shown_from_their_beginning(
    fast: None, stage: Stage
) -> None:
    readers = [stage.open() for _ in range(3)]
    for _ in range(3):
        stage.commit()
    for reader in readers:
        arrives(reader, [1, 2, 3])
    stage.log.replace()
    for reader in readers:
        assert isinstance(ended(reader), EventIdUnknown)
    eventually(lambda: not stage.hints.wanted, what="nobody watches")
    late = stage.open()
    stage.commit()
    arrives(late, [1])


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_sender_that_ends_is_noticed(stage: Stage) -> None:
    assert stage.hub.alive
    stage.hub._senders._ready.put(object())  # type: ignore[arg-type]
    eventually(lambda: not stage.hub.alive, what="the end is noticed")
