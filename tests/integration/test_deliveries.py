"""Which notification is delivered next, and what is written of it."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from matching_server.domain.errors import NotificationNotFound
from matching_server.domain.model import Role
from matching_server.domain.notifications import (
    DeliveryFault,
    Notification,
    NotificationStatus,
)
from matching_server.operations.commands import ListNotifications, Page
from matching_server.operations.notifications import list_notifications, resend_notification
from matching_server.operations.notifications import take as take_due
from matching_server.storage import deliveries
from matching_server.storage.database import Transaction
from matching_server.storage.deliveries import NOBODY
from tests.integration.notices import (
    MANY,
    dead,
    end,
    fail,
    ids,
    make_due,
    row,
    take,
    take_one,
    write,
)
from tests.integration.world import World, answers, call, together
from tests.support.locks import held

S = NotificationStatus
ADMIN = call(uuid4(), Role.ADMIN)
STATE = "status, attempt_count, lease_token, last_error"
GONE = DeliveryFault("answered 410", permanent=True)
DOWN = DeliveryFault("answered 500")


def test_one_notification_of_each_recipient_is_taken_at_a_time_the_oldest_first(world: World) -> None:
    ada, bob = uuid4(), uuid4()
    a1, b1, a2, b2, a3 = write(world, ada, bob, ada, bob, ada)
    first = take(world)
    assert ids(first) == [a1, b1]
    assert take(world) == [], "neither while they are being delivered"
    fail(world, first[0])
    end(world, first[1])
    assert ids(take(world)) == [b2], "nor between two attempts"
    make_due(world)
    again = next(one for one in take(world) if one.recipient_id == ada)
    assert (again.id, again.attempt) == (a1, 2)
    end(world, again)
    assert a2 in ids(take(world))
    assert a3 not in ids(take(world))


def test_what_is_urgent_goes_first_among_recipients_and_waits_for_its_own(world: World) -> None:
    ada, eve = uuid4(), uuid4()
    first, *others = write(world, ada, *(uuid4() for _ in range(9)))
    [urgent] = write(world, eve, high=True)
    [behind] = write(world, ada, high=True)
    assert [ids(take(world, 1)) for _ in range(3)] == [[urgent], [first], [others[0]]]
    assert behind not in ids(take(world))


def test_no_more_are_taken_than_can_be_sent(world: World) -> None:
    write(world, *(uuid4() for _ in range(5)))
    assert [len(take(world, 2)) for _ in range(4)] == [2, 2, 1, 0]
    assert take(world, 0) == []


def test_what_is_taken_says_whom_it_is_for(world: World) -> None:
    known = world.advisor()
    world.run("UPDATE auth.users SET email = 'ada@example.com' WHERE id = :id", id=known)
    unknown = uuid4()
    write(world, known, unknown)
    first, second = take(world)
    assert (first.recipient.exists, first.recipient.email) == (True, "ada@example.com")
    assert (second.recipient.exists, second.recipient.email) == (False, None)
    assert (first.attempt, first.payload, first.taken_by) == (1, {"matchId": "m"}, ())
    assert first.created_at <= first.taken_at <= world.now()


def test_dispatchers_that_look_at_the_same_moment_take_each_notification_once(world: World) -> None:
    recipients = [uuid4() for _ in range(20)]
    written = write(world, *recipients, *recipients)
    taken = answers(together(*[partial(take, world, 8) for _ in range(4)]))
    found = [one for some in taken for one in ids(some)]
    assert len(found) == len(set(found))
    assert set(found) <= set(written[:20])
    assert set(found) | set(ids(take(world))) == set(written[:20])


def test_a_row_that_somebody_holds_is_passed_over(world: World) -> None:
    locked, free = write(world, uuid4(), uuid4())
    with held(world.conn, "SELECT 1 FROM notification_outbox WHERE id = :id FOR UPDATE", id=locked):
        assert ids(take(world, 1)) == [free]


def test_three_attempts_with_growing_pauses_and_then_it_is_dead(world: World) -> None:
    world = world.under(notify_backoff=timedelta(seconds=100))
    [written] = write(world, uuid4())
    for number, longest in ((1, 100), (2, 200)):
        before = world.now()
        fail(world, take_one(world))
        status, count, token, error, due = row(world, written, f"{STATE}, next_attempt_at")
        assert (status, count, token, error) == ("pending", number, None, "sink0: answered 500")
        assert before <= due <= world.now() + timedelta(seconds=longest)
        make_due(world)
    fail(world, take_one(world))
    assert row(world, written, f"{STATE}, next_attempt_at") == (
        *("dead", 3, None, "sink0: answered 500"),
        None,
    )
    make_due(world)
    assert take(world) == []


def test_pauses_are_drawn_from_the_whole_of_their_span(world: World) -> None:
    world = world.under(notify_backoff=timedelta(seconds=100))
    written = write(world, *(uuid4() for _ in range(40)))
    began = world.now()
    for taken in take(world):
        fail(world, taken)
    due = [(row(world, one, "next_attempt_at")[0] - began).total_seconds() for one in written]
    assert min(due) < 30
    assert 70 < max(due) < 101


def test_what_can_never_be_delivered_is_dead_at_once_and_blocks_nobody(world: World) -> None:
    ada = uuid4()
    first, second = write(world, ada, ada)
    end(world, take_one(world), GONE)
    assert row(world, first, STATE) == ("dead", 1, None, "sink0: answered 410")
    assert take_one(world).id == second


def test_a_sink_that_has_it_is_remembered(world: World) -> None:
    [written] = write(world, uuid4())
    end(world, take_one(world), None, DOWN)
    assert row(world, written, "status, taken_by") == ("pending", ["sink0"])
    make_due(world)
    again = take_one(world)
    assert again.taken_by == ("sink0",)
    end(world, again)
    assert row(world, written, "status") == ("sent",)


def test_what_was_sent_is_left_alone(world: World) -> None:
    [written] = write(world, uuid4())
    end(world, take_one(world))
    assert row(world, written, f"{STATE}, next_attempt_at") == ("sent", 1, None, None, None)
    assert take(world) == []


def test_a_dispatcher_that_died_is_replaced_when_its_lease_ends(world: World) -> None:
    world = world.under(notify_lease=timedelta(seconds=50))
    [written] = write(world, uuid4())
    take_one(world)
    left = world.ask("SELECT next_attempt_at - clock_timestamp() FROM notification_outbox")
    assert timedelta(seconds=49) < left <= timedelta(seconds=50)
    make_due(world)
    again = take_one(world)
    assert (again.id, again.attempt) == (written, 2)
    assert row(world, written, "last_error") == ("the lease ran out",)


def test_the_third_lease_that_runs_out_is_the_last(world: World) -> None:
    ada = uuid4()
    lost, following = write(world, ada, ada)
    for _ in range(3):
        assert take_one(world).id == lost
        make_due(world)
    taken = take_due(world.runner, MANY)
    assert (taken.leased, taken.given_up) == ((), (lost,))
    assert row(world, lost, STATE) == ("dead", 3, None, "the lease ran out")
    assert take_one(world).id == following


@pytest.mark.parametrize("fault", [None, DOWN, GONE], ids=["taken", "failed", "refused"])
@pytest.mark.parametrize("meanwhile", ["taken again", "sent", "dead", "sent on"])
def test_a_dispatcher_that_wakes_up_after_its_lease_writes_nothing(
    world: World, meanwhile: str, fault: DeliveryFault | None
) -> None:
    [written] = write(world, uuid4())
    frozen = take_one(world)
    make_due(world)
    other = take_one(world)
    if meanwhile == "sent":
        end(world, other)
    elif meanwhile != "taken again":
        end(world, other, GONE)
    if meanwhile == "sent on":
        resend_notification(world.runner, ADMIN, written)
    before = row(world, written, "*")
    assert end(world, frozen, fault) == (frozen,)
    assert row(world, written, "*") == before


REACH = 250
CROWD = """
INSERT INTO notification_outbox (type, recipient_id, priority, created_at, next_attempt_at)
SELECT 'test', CASE WHEN :same THEN :busy ELSE gen_random_uuid() END, :priority,
    clock_timestamp() - interval '1 h' + make_interval(secs => number), clock_timestamp() + :pause
FROM generate_series(1, 3 * :reach) number
"""


def crowd(world: World, *, same: bool, pause: timedelta, priority: str = "normal") -> None:
    """More than one look reaches, older than anything else: of one recipient, or of one each."""
    values = {"same": same, "busy": UUID(int=2**128 - 1), "priority": priority, "pause": pause}
    world.run(CROWD, reach=REACH, **values)


@pytest.mark.parametrize("priority", ["normal", "high"])
@pytest.mark.parametrize("same", [True, False], ids=["one recipient", "a recipient each"])
def test_everybody_has_a_turn_whoever_holds_up_the_oldest(world: World, same: bool, priority: str) -> None:
    crowd(world, same=same, pause=timedelta(hours=1), priority=priority)
    [written] = write(world, UUID(int=2**128 - 2), high=priority == "high")
    looks, start = 0, NOBODY
    while True:
        taken = take_due(world.runner, MANY, start)
        looks += 1
        if taken.leased:
            break
        assert taken.reached is not None
        assert taken.reached > start
        start = taken.reached
    assert ids(list(taken.leased)) == [written]
    assert looks == (1 if same else 4)


def test_a_look_reads_no_more_however_many_wait(world: World) -> None:
    def take_and_count(tx: Transaction) -> int:
        reads = text(
            "SELECT sum(pg_stat_get_xact_tuples_fetched(oid) + pg_stat_get_xact_tuples_returned(oid))"
            " FROM pg_class WHERE relname LIKE '%notification_outbox%'"
        )
        assert len(deliveries.take(tx, 32, timedelta(0)).leased) == 32
        return int(tx.conn.execute(reads).scalar_one())

    for _ in range(10):
        crowd(world, same=False, pause=timedelta(0))
        crowd(world, same=True, pause=timedelta(0))
    # Whatever the planner knows of it.
    assert world.database.transact(take_and_count).value < 20 * REACH
    world.run("ANALYZE notification_outbox")
    assert world.database.transact(take_and_count).value < 20 * REACH


def test_the_high_ones_and_then_the_oldest_go_first_however_many_wait(world: World) -> None:
    [urgent] = write(world, uuid4(), high=True)
    crowd(world, same=False, pause=timedelta(0))
    oldest = world.rows(
        "SELECT id FROM notification_outbox WHERE priority = 'normal' ORDER BY created_at LIMIT 40"
    )
    assert ids(take(world, 41)) == [urgent, *[id_ for (id_,) in oldest]]


def test_whoever_makes_a_notification_due_says_so(world: World) -> None:
    def told() -> bool:
        found = any(effects.notification_queued for effects in world.effects)
        world.effects.clear()
        return found

    ada = uuid4()
    write(world, ada, ada)
    assert told()
    taken = take_one(world)
    assert not told(), "taking makes none due"
    fail(world, taken)
    assert not told(), "nor does a pause"
    make_due(world)
    end(world, take_one(world))
    assert told(), "the next of the same recipient"
    killed = dead(world, uuid4())
    told()
    resend_notification(world.runner, ADMIN, killed)
    assert told()


# ----------------------------------------------------------------------------------------------- what admins can do


def test_a_dead_one_is_sent_on_with_a_fresh_counter_and_spares_who_has_it(world: World) -> None:
    ada = uuid4()
    [written] = write(world, ada)
    end(world, take_one(world), None, GONE)
    revived = resend_notification(world.runner, ADMIN, written)
    assert (revived.id, revived.status, revived.attempt_count) == (written, S.PENDING, 0)
    assert revived.next_attempt_at is not None
    assert revived.last_error == "sink1: answered 410"
    taken = take_one(world)
    assert (taken.id, taken.attempt, taken.taken_by) == (written, 1, ("sink0",))


def test_one_that_is_not_dead_is_returned_unchanged(world: World) -> None:
    sent, leased, waiting = write(world, uuid4(), uuid4(), uuid4())
    for taken in take(world, 2):
        if taken.id == sent:
            end(world, taken)
    for one in (sent, leased, waiting):
        before = row(world, one, "*")
        found = resend_notification(world.runner, ADMIN, one)
        assert found.id == one
        assert row(world, one, "*") == before


def test_one_that_never_was_is_not_found(world: World) -> None:
    with pytest.raises(NotificationNotFound):
        resend_notification(world.runner, ADMIN, uuid4())


def test_one_that_is_sent_on_comes_before_what_was_written_after_it(world: World) -> None:
    ada = uuid4()
    killed = dead(world, ada)
    write(world, ada)
    resend_notification(world.runner, ADMIN, killed)
    assert take_one(world).id == killed


def listed(world: World, **command: object) -> list[Notification]:
    # The fields are given by name, a few at a time, with types that a type checker loses on the way.
    wanted = ListNotifications(**command)  # type: ignore[arg-type]
    return list(list_notifications(world.runner, ADMIN, wanted).items)


def test_notifications_are_listed_newest_first_in_pages(world: World) -> None:
    written = write(world, *(uuid4() for _ in range(5)))
    seen: list[UUID] = []
    before = None
    while True:
        page = list_notifications(world.runner, ADMIN, ListNotifications(page=Page(2, before)))
        seen += [one.id for one in page.items]
        if page.next is None:
            break
        before = page.next
    assert seen == written[::-1]


def test_a_listed_notification_meets_every_filter(world: World) -> None:
    ada, bob = uuid4(), uuid4()
    killed = dead(world, ada)
    [sent] = write(world, bob)
    end(world, take_one(world))
    [waiting] = write(world, ada)
    assert [one.id for one in listed(world)] == [waiting, sent, killed]
    assert [one.id for one in listed(world, statuses=(S.DEAD,))] == [killed]
    assert [one.id for one in listed(world, statuses=(S.DEAD, S.SENT))] == [sent, killed]
    assert [one.id for one in listed(world, recipient_id=ada)] == [waiting, killed]
    assert [one.id for one in listed(world, recipient_id=ada, statuses=(S.PENDING,))] == [waiting]
    assert len(listed(world, type="match_offered")) == 3
    assert listed(world, type="workspace_ready") == []
    [shown] = listed(world, statuses=(S.DEAD,))
    assert (shown.type, shown.recipient_id, shown.payload) == ("match_offered", ada, {"matchId": "m"})
    assert (shown.attempt_count, shown.last_error) == (1, "sink0: answered 410")
    assert shown.next_attempt_at is None
