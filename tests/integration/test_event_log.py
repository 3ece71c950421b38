"""One numbered log a project, whose end is also the lock under which the project's transactions queue up."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from matching_server.domain.events import EventPayload, EventType, ReleasedPayload
from matching_server.storage import event_log
from matching_server.storage.database import Transaction
from matching_server.storage.event_log import LogBounds, lock_project
from tests.integration.world import WAIT, World, answers, call, together
from tests.support.locks import held, wait_for_waiters
from tests.support.rounds import rounds

LOCK_HEAD = "SELECT 1 FROM project_event_heads WHERE project_id = :project FOR UPDATE"


def note(text: str = "noted") -> EventPayload:
    """An event of no match, so that the audit has nothing to ask of it."""
    return ReleasedPayload(match_id=None, advisor_id=UUID(int=1), reason=text)


def append(world: World, project: UUID, *notes: str, user: UUID | None = None) -> tuple[list[int], datetime]:
    """Appends in one transaction; the numbers given, and the transaction's clock."""

    def work(tx: Transaction) -> tuple[list[int], datetime]:
        with lock_project(tx, project) as log:
            assert log is not None
            numbers = []
            for one in notes or ("noted",):
                numbers.append(log.next_seq)
                log.append(EventType.RELEASED, note(one), user_id=user)
            return numbers, log.now

    return world.database.transact(work, correlation_id="test").value


def test_numbers_begin_at_one_and_have_no_gap(world: World) -> None:
    project, user = world.project(), uuid4()
    assert append(world, project, "a", "b", user=user)[0] == [1, 2]
    assert append(world, project, "c")[0] == [3]
    events = world.events(project)
    assert [event.seq for event in events] == [1, 2, 3]
    assert [event.payload for event in events] == [note("a"), note("b"), note("c")]
    assert [event.user_id for event in events] == [user, user, None]
    assert {event.correlation_id for event in events} == {"test"}
    assert {event.project_id for event in events} == {project}
    bounds = world.database.read(lambda conn: event_log.bounds(conn, project))
    assert bounds == LogBounds(pruned_through=0, last_seq=3)


def test_numbers_have_no_gap_whoever_appends_at_once_and_whoever_gives_up(world: World) -> None:
    project = world.project()

    def give_up(tx: Transaction) -> None:
        with lock_project(tx, project) as log:
            assert log is not None
            log.append(EventType.RELEASED, note("given up"))
            raise KeyError

    def live(number: int) -> None:
        for turn in range(rounds(10)):
            append(world, project, *[f"{number}/{turn}/{part}" for part in range(1 + turn % 3)])
            with pytest.raises(KeyError):
                world.database.transact(give_up)

    answers(together(*[partial(live, number) for number in range(8)]))
    events = world.events(project)
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert all(event.payload != note("given up") for event in events)
    # Order of numbers is order of commits: the clocks of their transactions never go back.
    times = [event.created_at for event in events]
    assert times == sorted(times)


def test_the_clock_is_read_after_the_wait_for_the_lock(world: World) -> None:
    project = world.project()
    append(world, project)
    with ThreadPoolExecutor(1) as pool:
        with held(world.conn, LOCK_HEAD, project=project) as holder:
            waiting = pool.submit(append, world, project)
            wait_for_waiters(world.conn)
            holder.execute(text("UPDATE project_event_heads SET last_seq = last_seq"))
            ended: datetime = holder.execute(text("SELECT clock_timestamp()")).scalar_one()
        numbers, now = waiting.result(WAIT)
    assert numbers == [2]
    assert now > ended


def test_a_waiting_transaction_sees_what_the_one_before_it_committed(world: World) -> None:
    project = world.project()
    append(world, project)

    def first(tx: Transaction) -> datetime:
        with lock_project(tx, project) as log:
            assert log is not None
            log.append(EventType.RELEASED, note("first"))
            waiting.append(pool.submit(append, world, project))
            wait_for_waiters(world.conn)
            return log.now

    waiting: list[Future[tuple[list[int], datetime]]] = []
    with ThreadPoolExecutor(1) as pool:
        before = world.database.transact(first).value
        numbers, now = waiting[0].result(WAIT)
    assert numbers == [3]
    assert now > before


def test_a_project_that_does_not_exist_gets_no_log(world: World) -> None:
    missing = uuid4()

    def work(tx: Transaction) -> bool:
        with lock_project(tx, missing) as log:
            return log is None

    assert world.database.transact(work).value
    assert world.ask("SELECT count(*) FROM project_event_heads") == 0
    assert world.database.read(lambda conn: event_log.bounds(conn, missing)) == LogBounds(0, 0)


def test_the_log_outlives_its_project(world: World) -> None:
    project = world.project()
    append(world, project)
    world.run("DELETE FROM projects WHERE id = :id", id=project)
    assert append(world, project)[0] == [2]


def test_who_does_not_want_to_wait_does_not(world: World) -> None:
    project = world.project()
    append(world, project)

    def work(tx: Transaction) -> bool:
        with lock_project(tx, project, wait=False) as log:
            return log is None

    with held(world.conn, LOCK_HEAD, project=project):
        assert world.database.transact(work).value
    assert not world.database.transact(work).value


def test_two_projects_do_not_wait_for_each_other(world: World) -> None:
    one, other = world.project(), world.project()
    append(world, one)
    append(world, other)
    with held(world.conn, LOCK_HEAD, project=one):
        assert append(world, other)[0] == [2]


def test_what_was_appended_is_told_only_by_who_committed_it(world: World) -> None:
    project = world.project()

    def fail(tx: Transaction) -> None:
        with lock_project(tx, project) as log:
            assert log is not None
            log.append(EventType.RELEASED, note())
        raise KeyError

    with pytest.raises(KeyError):
        world.runner.system(fail)
    assert world.effects == []
    assert world.events(project) == []
    world.advisor()
    world.create(project, call())
    assert world.effects[-1].events == world.events(project)


def test_a_page_of_the_log_begins_after_its_number(world: World) -> None:
    project, other = world.project(), world.project()
    append(world, project, *"abcde")
    append(world, other, *"xy")

    def page(after: int, limit: int) -> list[int]:
        events = world.database.read(lambda conn: event_log.read_after(conn, project, after, limit))
        return [event.seq for event in events]

    assert page(0, 2) == [1, 2]
    assert page(2, 2) == [3, 4]
    assert page(4, 2) == [5]
    assert page(5, 2) == []
    seen = {project: 4, other: 2, uuid4(): 0}
    assert world.database.read(lambda conn: event_log.moved_on(conn, seen)) == [project]


def test_pruning_forgets_the_oldest_and_moves_the_mark_with_them(world: World) -> None:
    project, fresh = world.project(), world.project()
    append(world, project, *"abc")
    world.run("UPDATE project_events SET created_at = created_at - interval '2 days'")
    append(world, project, "d")
    append(world, fresh)
    day = timedelta(days=1)
    assert world.database.read(lambda conn: event_log.prunable(conn, day, 10)) == [project]

    def prune(tx: Transaction) -> int:
        with lock_project(tx, project) as log:
            assert log is not None
            return event_log.prune(tx, project, day)

    assert world.database.transact(prune).value == 3
    assert [event.seq for event in world.events(project)] == [4]
    assert world.database.read(lambda conn: event_log.bounds(conn, project)) == LogBounds(3, 4)
    assert world.database.transact(prune).value == 0
    assert world.database.read(lambda conn: event_log.prunable(conn, day, 10)) == []
    assert append(world, project)[0] == [5]
