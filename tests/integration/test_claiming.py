"""A slot is never given twice, and nobody is turned away while one is free."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from functools import partial
from uuid import UUID

import pytest
from sqlalchemy import Connection, text

from matching_server.domain.errors import TransactionConflict
from matching_server.domain.model import Decision, Match, MatchStatus, Side
from matching_server.storage import availability
from matching_server.storage.availability import AsRanked, Claim
from matching_server.storage.database import Database, Transaction
from tests.integration.world import WAIT, World, answers, together
from tests.support.locks import held, wait_for_waiters
from tests.support.rounds import rounds
from tests.support.seed import insert_advisors, insert_projects

S = MatchStatus


def locked(conn: Connection, advisor_id: UUID) -> AbstractContextManager[Connection]:
    """Another transaction holds an advisor's row, until it ends or the block does."""
    return held(
        conn, "SELECT 1 FROM advisor_availability WHERE advisor_id = :id FOR NO KEY UPDATE", id=advisor_id
    )


def as_ranked(world: World, advisor_id: UUID, load: int) -> AsRanked:
    """The advisor as they are stored, ranked with that load."""
    query = "SELECT profile_version FROM advisor_availability WHERE advisor_id = :id"
    return AsRanked(advisor_id, load, world.ask(query, id=advisor_id))


def rank_first(world: World, advisor_id: UUID) -> None:
    """Whoever has been assigned comes after those who never were."""
    world.run(
        "UPDATE advisor_availability SET last_assigned_at = clock_timestamp() WHERE advisor_id <> :id",
        id=advisor_id,
    )


def test_a_claim_takes_one_slot_and_tells_the_load_before(world: World) -> None:
    advisor = world.advisor(slots=2)
    ranked = as_ranked(world, advisor, load=1)
    claims = [
        world.database.transact(lambda tx: availability.claim_first_choice(tx, ranked)).value
        for _ in range(3)
    ]
    assert claims == [Claim(advisor, 0, 2), Claim(advisor, 1, 2), None]
    [(load, has_slot, last)] = world.rows(
        "SELECT current_projects, has_slot, last_assigned_at FROM advisor_availability"
    )
    assert (load, has_slot) == (2, False)
    assert last is not None
    world.run("UPDATE advisor_availability SET current_projects = 0")


@pytest.mark.parametrize(
    "change",
    ["status = 'busy'", "status = 'offline'", "current_projects = max_concurrent_projects"],
)
def test_a_claim_is_refused_by_the_row_whatever_the_ranking_thought(
    world: World, database: Database, change: str
) -> None:
    advisor = world.advisor()
    ranked = as_ranked(world, advisor, load=2)

    def claims(tx: Transaction) -> list[Claim | None]:
        return [
            availability.claim_first_choice(tx, ranked),
            availability.claim_unlocked(tx, [advisor]),
            availability.claim_anybody(tx, []),
        ]

    world.run(f"UPDATE advisor_availability SET {change}")
    assert database.transact(claims).value == [None] * 3
    world.run("UPDATE advisor_availability SET current_projects = 0")


def test_deactivation_takes_the_slots_away_and_coming_back_returns_them(world: World) -> None:
    advisor = world.advisor()
    for active in (False, True):
        world.run("UPDATE advisors SET active = :active", active=active)
        [row] = world.rows("SELECT advisor_active, has_slot FROM advisor_availability")
        assert row == (active, active)
    late = world.advisor(active=False)
    assert world.ask("SELECT has_slot FROM advisor_availability WHERE advisor_id = :id", id=late) is False
    assert world.create().matched_advisor_id == advisor


def test_the_next_choices_are_taken_in_order_past_full_and_locked_ones(world: World) -> None:
    locked_one, full, third, fourth = insert_advisors(world.conn, 4)
    world.run("UPDATE advisor_availability SET status = 'busy' WHERE advisor_id = :id", id=full)
    with locked(world.conn, locked_one):
        claim = world.database.transact(
            lambda tx: availability.claim_unlocked(tx, [locked_one, full, third, fourth])
        ).value
    assert claim == Claim(third, 0, 3)
    world.run("UPDATE advisor_availability SET current_projects = 0")


def test_a_first_choice_that_comes_free_in_a_moment_is_waited_for(world: World) -> None:
    best, _ = insert_advisors(world.conn, 2)
    rank_first(world, best)
    with ThreadPoolExecutor(1) as pool:
        with locked(world.conn, best):
            asked = pool.submit(world.create, world.project())
            wait_for_waiters(world.conn)
        assert asked.result(WAIT).matched_advisor_id == best


def test_a_first_choice_that_stays_locked_is_passed_over_soon(world: World) -> None:
    best, next_best = insert_advisors(world.conn, 2)
    rank_first(world, best)
    project = world.project()
    with locked(world.conn, best):
        began = time.monotonic()
        match = world.create(project)
        took = time.monotonic() - began
    assert match.matched_advisor_id == next_best
    # It waits 100 ms for the row; the rest is a busy machine.
    assert 0.1 <= took < 1.5


def test_a_sole_advisor_whose_row_is_locked_is_matched_and_not_pending(world: World) -> None:
    advisor = world.advisor(slots=2)
    project = world.project()
    with ThreadPoolExecutor(1) as pool:
        with locked(world.conn, advisor) as other:
            asked = pool.submit(world.create, project)
            # Until long after the first choice gave up.
            other.execute(text("SELECT pg_sleep(0.3)"))
            wait_for_waiters(world.conn)
            assert not asked.done()
        match = asked.result(WAIT)
    assert (match.status, match.matched_advisor_id) == (S.MATCHED, advisor)


def test_a_lock_that_nobody_lets_go_is_a_conflict_and_not_a_pending_match(world: World) -> None:
    advisor = world.advisor()
    project = world.project()
    with locked(world.conn, advisor), pytest.raises(TransactionConflict):
        world.create(project)
    assert world.ask("SELECT count(*) FROM advisor_match_requests") == 0


def test_a_slot_that_came_free_after_the_ranking_is_found(world: World) -> None:
    """The ranking sees a full advisor; by the time of the claim another transaction has freed the slot."""
    full, decoy = insert_advisors(world.conn, 2, slots=1)
    taken = world.create(world.project())
    assert taken.matched_advisor_id is not None
    freed = taken.matched_advisor_id
    other_one = ({full, decoy} - {freed}).pop()
    project = world.project()
    with ThreadPoolExecutor(1) as pool:
        with locked(world.conn, other_one) as other:
            asked = pool.submit(world.create, project)
            wait_for_waiters(world.conn)
            # While the first choice is waited for, it is lost for good, and the full one comes free.
            world.decline(taken, Side.CLIENT)
            busy = text("UPDATE advisor_availability SET status = 'busy' WHERE advisor_id = :id")
            other.execute(busy, {"id": other_one})
            other.commit()
        match = asked.result(WAIT)
    assert (match.status, match.matched_advisor_id) == (S.MATCHED, freed)
    assert (match.match_reason or "").endswith("(0 of 1 slots taken).")


def test_who_may_not_be_offered_is_not_claimed_as_anybody_either(world: World) -> None:
    first, second = insert_advisors(world.conn, 2)
    claim = world.database.transact(lambda tx: availability.claim_anybody(tx, [first])).value
    assert claim is not None
    assert claim.advisor_id == second
    none = world.database.transact(lambda tx: availability.claim_anybody(tx, [first, second])).value
    assert none is None
    world.run("UPDATE advisor_availability SET current_projects = 0")


def test_sixteen_callers_never_take_more_slots_than_there_are(world: World) -> None:
    advisors = insert_advisors(world.conn, 5, slots=3)
    for _ in range(rounds(5)):
        projects = insert_projects(world.conn, 24)
        chunks = [projects[index::16] for index in range(16)]
        made = answers(
            together(*[lambda chunk=chunk: [world.create(one) for one in chunk] for chunk in chunks])
        )
        found = [world.match(match.id) for chunk in made for match in chunk]
        assert sorted(match.status for match in found) == [S.MATCHED] * 15 + [S.PENDING] * 9
        assert [world.load(advisor) for advisor in advisors] == [3] * 5
        _clear(world, found)


def _clear(world: World, found: list[Match]) -> None:
    """The pending ones first, so that nobody gets the slots."""
    for match in sorted(found, key=lambda match: match.status is S.MATCHED):
        world.decline(match, Side.CLIENT)


def test_claims_and_returns_under_load_keep_the_count(world: World) -> None:
    """Each caller asks and declines again and again; the audit counts at the end."""
    advisors = insert_advisors(world.conn, 3, slots=2)
    highest = 0
    done = threading.Event()

    def watch() -> None:
        nonlocal highest
        while not done.is_set():
            highest = max(highest, *(world.load(advisor) for advisor in advisors))

    def live(projects: list[UUID]) -> None:
        for project in projects:
            match = world.create(project)
            world.decide(match, Side.CLIENT, Decision.DECLINED)

    projects = insert_projects(world.conn, rounds(72))
    watcher = threading.Thread(target=watch)
    watcher.start()
    answers(together(*[partial(live, projects[index::12]) for index in range(12)]))
    done.set()
    watcher.join()
    assert 0 < highest <= 2
    assert [world.load(advisor) for advisor in advisors] == [0, 0, 0]
