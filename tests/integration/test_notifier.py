"""The dispatcher at work, on a real outbox, with sinks that do as a test says."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from structlog.testing import capture_logs

from matching_server.domain.errors import StorageUnavailable
from matching_server.domain.notifications import DeliveryFault, LeasedNotification
from matching_server.operations.runner import Runner
from matching_server.storage import deliveries
from matching_server.workers import notifier as notifier_module
from matching_server.workers.notifier import SENDERS, Notifier
from tests.integration.notices import row, write
from tests.integration.world import World
from tests.support.locks import held
from tests.support.wait import eventually

DOWN = DeliveryFault("down")


class Scripted:
    """A sink: what ``script`` raises is its fault."""

    def __init__(self, name: str = "scripted") -> None:
        self.name = name
        self.script: Callable[[LeasedNotification], object] = lambda _: None
        self.got: dict[UUID, list[UUID]] = defaultdict(list)
        self.closed = False

    def deliver(self, notification: LeasedNotification) -> None:
        self.got[notification.recipient_id].append(notification.id)
        self.script(notification)

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def sink() -> Scripted:
    return Scripted()


@pytest.fixture
def hasty(world: World) -> World:
    """Attempts follow one another soon."""
    return world.under(notify_backoff=timedelta(seconds=0.01))


@contextmanager
def notifier(world: World, *sinks: Scripted, wake: bool = True) -> Iterator[Notifier]:
    """A dispatcher that is woken by what its world commits."""
    running: list[Notifier] = []
    runner = Runner(
        world.database,
        world.policy,
        world.picture,
        lambda effects: running[0].wake() if wake and effects.notification_queued else None,
    )
    running.append(Notifier(runner, sinks))
    running[0].start()
    try:
        yield running[0]
    finally:
        running[0].stop()
        running[0].join(10)


def settled(world: World) -> bool:
    """Whether nothing is pending."""
    return bool(world.ask("SELECT count(*) = 0 FROM notification_outbox WHERE status = 'pending'"))


def test_everything_is_delivered_in_the_order_of_each_recipient(world: World, sink: Scripted) -> None:
    ada, bob = uuid4(), uuid4()
    written = write(world, *[ada, bob] * 10)
    with notifier(world, sink):
        eventually(lambda: settled(world), what="all is sent")
    assert sink.got == {ada: written[::2], bob: written[1::2]}
    assert sink.closed


def test_what_is_written_elsewhere_is_seen_within_a_second_or_so(world: World, sink: Scripted) -> None:
    ada = uuid4()
    with notifier(world, sink, wake=False):
        eventually(
            lambda: world.ask("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()")
        )
        written = write(world, ada)
        eventually(lambda: sink.got[ada] == written, timeout=3, what="it is delivered")


def test_a_wake_up_delivers_at_once(world: World, sink: Scripted) -> None:
    ada = uuid4()
    with notifier(world, sink) as running:
        for _ in range(5):
            [written] = write(world, ada)
            running.wake()
            # Over before the next round.
            eventually(lambda: sink.got[ada][-1:] == [written], timeout=0.6, what="it is delivered")  # noqa: B023


def test_a_failure_holds_up_its_own_recipient_alone_and_in_order(hasty: World, sink: Scripted) -> None:
    ada, bob = uuid4(), uuid4()
    written = write(hasty, ada, ada, bob, bob)
    first, second = written[:2]

    def fail(notification: LeasedNotification) -> None:
        if notification.id == first:
            raise DOWN

    sink.script = fail
    with notifier(hasty, sink):
        eventually(lambda: settled(hasty), what="nothing is pending")
    assert sink.got == {ada: [first, first, first, second], bob: written[2:]}
    assert row(hasty, first, "status, attempt_count, last_error") == ("dead", 3, "scripted: down")


def test_recipients_who_are_slow_hold_up_nobody(world: World, sink: Scripted) -> None:
    slow = [uuid4() for _ in range(SENDERS - 1)]
    quick = uuid4()
    go_on = threading.Event()

    def wait(notification: LeasedNotification) -> None:
        if notification.recipient_id != quick:
            assert go_on.wait(20)

    sink.script = wait
    written = write(world, *slow, *slow, *[quick] * 5)
    with notifier(world, sink):
        try:
            eventually(lambda: sink.got[quick] == written[-5:], what="the quick one has all")
            assert all(len(sink.got[one]) == 1 for one in slow)
        finally:
            go_on.set()
        eventually(lambda: settled(world), what="all is sent")
    assert all(len(sink.got[one]) == 2 for one in slow)


def test_a_sink_that_has_it_does_not_get_it_again(hasty: World, sink: Scripted) -> None:
    other = Scripted("other")
    failures = iter([DOWN, DOWN])

    def fail_twice(_: LeasedNotification) -> None:
        if fault := next(failures, None):
            raise fault

    sink.script = fail_twice
    ada = uuid4()
    [written] = write(hasty, ada)
    with notifier(hasty, sink, other):
        eventually(lambda: settled(hasty), what="it is sent")
    assert (len(sink.got[ada]), len(other.got[ada])) == (3, 1)
    assert row(hasty, written, "status, taken_by") == ("sent", ["other", "scripted"])


def test_a_defect_of_a_sink_is_a_failure_like_any_other(hasty: World, sink: Scripted) -> None:
    def break_down(_: LeasedNotification) -> None:
        raise ZeroDivisionError

    sink.script = break_down
    [written] = write(hasty, uuid4())
    with notifier(hasty, sink) as running, capture_logs() as lines:
        eventually(lambda: settled(hasty), what="it is given up")
        assert running.alive
    assert row(hasty, written, "status, last_error") == ("dead", "scripted: failed (ZeroDivisionError)")
    told = [line for line in lines if line["event"] == "notification_delivery"]
    assert [(line["sink"], line["result"], line["attempt"]) for line in told] == [
        *(("scripted", "failed", number) for number in (1, 2, 3)),
    ]


def test_what_is_being_sent_at_the_end_is_written_down(world: World, sink: Scripted) -> None:
    sending, go_on = threading.Event(), threading.Event()

    def wait(_: LeasedNotification) -> None:
        sending.set()
        assert go_on.wait(20)

    sink.script = wait
    first, second = write(world, *[uuid4()] * 2)
    with notifier(world, sink) as running:
        assert sending.wait(10)
        running.stop()
        go_on.set()
    assert row(world, first, "status") == ("sent",)
    assert row(world, second, "status, attempt_count") == ("pending", 0)


def test_an_outbox_that_is_out_of_reach_loses_no_result(world: World, sink: Scripted) -> None:
    """It is locked until a look has given up; what the sink has taken meanwhile is written afterwards."""
    sending, go_on = threading.Event(), threading.Event()

    def wait(_: LeasedNotification) -> None:
        sending.set()
        assert go_on.wait(20)

    sink.script = wait
    ada = uuid4()
    [written] = write(world, ada)
    with capture_logs() as lines, notifier(world, sink):
        assert sending.wait(10)
        with held(world.conn, "LOCK TABLE notification_outbox IN ACCESS EXCLUSIVE MODE"):
            go_on.set()
            eventually(
                lambda: any(line["event"] == "step_postponed" for line in lines), what="a look has given up"
            )
        eventually(lambda: settled(world), what="it is written down")
    assert row(world, written, "status, attempt_count") == ("sent", 1)
    assert sink.got[ada] == [written]


def test_what_a_sink_has_taken_is_written_down_whatever_becomes_of_the_log(
    world: World, sink: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr(notifier_module._log, "debug", fail, raising=False)
    ada = uuid4()
    [written] = write(world, ada)
    with notifier(world, sink):
        eventually(lambda: settled(world), what="it is written down")
    assert row(world, written, "status, attempt_count") == ("sent", 1)
    assert sink.got[ada] == [written]


def test_results_are_written_though_nothing_can_be_taken(
    world: World, sink: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    [written] = write(world, uuid4())
    take = deliveries.take
    taken: list[object] = []
    failed = threading.Event()
    sink.script = lambda _: failed.wait(10)

    def take_once(*args: Any) -> deliveries.Taken:
        if taken:
            failed.set()
            raise StorageUnavailable
        taken.append(args)
        return take(*args)

    monkeypatch.setattr(deliveries, "take", take_once)
    with notifier(world, sink):
        eventually(lambda: row(world, written, "status") == ("sent",), what="it is written down")


def test_everybody_is_served_where_more_wait_than_a_look_can_reach(world: World, sink: Scripted) -> None:
    """The oldest are all held up, and those who are not come last in the order of recipients."""
    world.run(
        "INSERT INTO notification_outbox (type, recipient_id, created_at, next_attempt_at)"
        " SELECT 'test', CAST(lpad(to_hex(number), 32, '0') AS uuid), clock_timestamp() - interval '1 h',"
        " clock_timestamp() + interval '1 h' FROM generate_series(1, 1000) number"
    )
    last = UUID(int=2**128 - 1)
    written = write(world, last, last)
    with notifier(world, sink):
        eventually(lambda: sink.got[last] == written, what="both are delivered")
