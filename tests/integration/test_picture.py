"""A server's picture of the pool: never wrong for long, whoever changes the pool, and never unsure for free."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest

from matching_server.domain.effects import Load
from matching_server.domain.model import ProjectComplexity, ScoringWeights, TechStack
from matching_server.domain.scoring import PoolAdvisor, RankingRequest
from matching_server.operations import picture as pictures
from matching_server.operations.picture import Picture
from matching_server.storage.database import Database
from tests.integration.world import World, together
from tests.support.databases import transaction
from tests.support.seed import insert_advisors

NOW = datetime(2026, 3, 4, 12, tzinfo=UTC)


def anybody(**more: Any) -> RankingRequest:
    return RankingRequest(
        owner_id=uuid4(),
        tech_stack=TechStack(),
        complexity=ProjectComplexity.MEDIUM,
        weights=ScoringWeights(40, 35, 15, 10),
        owner_timezone=None,
        **more,
    )


def proposed(picture: Picture) -> UUID | None:
    """Whom it proposes, without anything coming of it."""
    proposal = picture.propose(anybody(), NOW)
    proposal.end()
    return proposal.best.advisor.id if proposal.best else None


@pytest.fixture
def remembering(database_url: str) -> Iterator[Picture]:
    """A picture that rests on one look for as long as the test takes."""
    opened = Database(database_url, pool_size=2, application_name="tests-picture")
    yield Picture(opened, max_age=1_000)
    opened.close()


def test_a_cold_start_knows_everybody(world: World, remembering: Picture) -> None:
    ids = insert_advisors(world.conn, 5_000)
    ranking, everybody = remembering.survey(anybody(), NOW, 5)
    assert {advisor.id for advisor in everybody} == set(ids)
    assert (ranking.pool_size, ranking.free) == (5_000, 5_000)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE advisor_availability SET status = 'busy' WHERE advisor_id = :id",
        "UPDATE advisor_availability SET max_concurrent_projects = 1, current_projects = 1 WHERE advisor_id = :id",
        "UPDATE advisors SET active = false WHERE id = :id",
        "UPDATE advisors SET rating = 0 WHERE id = :id",
        "DELETE FROM auth.users WHERE id = :id",
    ],
)
@pytest.mark.plants_violations("load_is_counted")
def test_a_look_sees_what_anybody_changed(world: World, remembering: Picture, change: str) -> None:
    best, other = world.advisor(rating=5), world.advisor(rating=4)
    assert proposed(remembering) == best
    world.run(change, id=best)
    assert proposed(remembering) == best
    remembering.look()
    assert proposed(remembering) == other


def test_who_is_deleted_and_made_anew_is_the_new_one(world: World, remembering: Picture) -> None:
    best = world.advisor(rating=5)
    for _ in range(5):
        world.run("UPDATE advisor_availability SET updated_at = clock_timestamp()")
    remembering.look()
    world.run("DELETE FROM auth.users WHERE id = :id", id=best)
    world.run("INSERT INTO auth.users (id) VALUES (:id)", id=best)
    world.run("INSERT INTO advisors (id, display_name) VALUES (:id, 'Again')", id=best)
    world.run("INSERT INTO advisor_availability (advisor_id) VALUES (:id)", id=best)
    remembering.look()
    proposal = remembering.propose(anybody(), NOW)
    assert proposal.best is not None
    assert (proposal.best.advisor.summary.display_name, proposal.best.advisor.summary.rating) == (
        "Again",
        None,
    )


def test_a_change_that_commits_after_later_ones_is_not_missed(
    world: World, remembering: Picture, database_url: str
) -> None:
    """Its transaction is the older one, and was still running at the look that saw the younger's change."""
    early, late = world.advisor(rating=5), world.advisor(rating=4)
    third = world.advisor(rating=3)
    busy = "UPDATE advisor_availability SET status = 'busy' WHERE advisor_id = '{}'"
    with transaction(database_url) as slow:
        slow.exec_driver_sql(busy.format(early))
        world.run(busy.format(late))
        remembering.look()
        assert proposed(remembering) == early
    remembering.look()
    assert proposed(remembering) == third


def test_a_look_reads_what_has_changed_and_no_more(
    world: World, remembering: Picture, monkeypatch: pytest.MonkeyPatch
) -> None:
    insert_advisors(world.conn, 3_000)
    remembering.look()
    # The transactions that the first look could not rule out are over by the second.
    remembering.look()
    read: list[int] = []
    put = remembering._put

    def counted(page: list[PoolAdvisor]) -> None:
        read.append(len(page))
        put(page)

    monkeypatch.setattr(remembering, "_put", counted)
    remembering.look()
    changed = world.ask("SELECT advisor_id FROM advisor_availability LIMIT 1")
    world.run("UPDATE advisor_availability SET status = 'offline' WHERE advisor_id = :id", id=changed)
    remembering.look()
    assert read == [1]


def test_a_ranking_never_rests_on_a_look_that_is_too_old(
    world: World, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after an hour of sleep: the clock goes on, and nobody has told of anything."""
    opened = Database(database_url, pool_size=2, application_name="tests-picture")
    picture = Picture(opened)
    best, other = world.advisor(rating=5), world.advisor(rating=4)
    assert proposed(picture) == best
    world.run("UPDATE advisor_availability SET status = 'offline' WHERE advisor_id = :id", id=best)
    assert proposed(picture) == best
    asleep = pictures.boot_clock() + 3_600
    monkeypatch.setattr(pictures, "boot_clock", lambda: asleep)
    assert proposed(picture) == other
    opened.close()


def test_two_proposals_under_way_are_ranked_as_if_one_had_come_after_the_other(
    world: World, remembering: Picture
) -> None:
    ids = insert_advisors(world.conn, 3, slots=2)
    proposals = [remembering.propose(anybody(), NOW) for _ in range(6)]
    found = [proposal.best.advisor.id for proposal in proposals if proposal.best]
    assert sorted(found[:3]) == sorted(found[3:]) == sorted(ids)
    assert proposed(remembering) is None
    for proposal in proposals:
        proposal.end()
        proposal.end()
    assert proposed(remembering) == min(ids, key=str)


def test_a_load_that_another_server_tells_of_counts_once_and_never_backwards(
    world: World, remembering: Picture
) -> None:
    advisor = world.advisor(slots=2)
    other = world.advisor(slots=2)
    remembering.look()
    row = "SELECT version, profile_version FROM advisor_availability WHERE advisor_id = :id"
    [(version, profile)] = world.rows(row, id=advisor)
    full = Load(advisor, 2, NOW, version + 2, profile)
    half = Load(advisor, 1, NOW, version + 1, profile)
    for load in (full, half, full):
        remembering.set_loads([load])
    assert proposed(remembering) == other


def test_whoever_is_told_of_and_not_known_is_read(world: World, remembering: Picture) -> None:
    remembering.look()
    newcomer = world.advisor()
    remembering.set_loads([Load(newcomer, 0, None, 1, 1)])
    assert proposed(remembering) == newcomer
    world.run("DELETE FROM auth.users WHERE id = :id", id=newcomer)
    remembering.read_again([newcomer])
    assert proposed(remembering) is None


def test_looks_and_rankings_at_the_same_moment_leave_the_picture_right(
    world: World, remembering: Picture
) -> None:
    insert_advisors(world.conn, 500)

    def rank_often() -> None:
        for _ in range(200):
            proposed(remembering)

    def look_often() -> None:
        for _ in range(50):
            world.database.transact(
                lambda tx: tx.conn.exec_driver_sql(
                    "UPDATE advisor_availability SET status = CASE WHEN random() < 0.5 THEN 'busy' ELSE 'available' END"
                    " WHERE random() < 0.1"
                )
            )
            remembering.look()

    assert together(rank_often, rank_often, look_often) == [None] * 3
    free = world.ask("SELECT count(*) FROM advisor_availability WHERE has_slot AND status = 'available'")
    assert remembering.rank(anybody(), NOW).free == free


def test_what_the_platform_has_put_into_lists_that_is_no_word_is_passed_over(world: World) -> None:
    advisor = world.advisor()
    world.run("UPDATE advisors SET skills = ARRAY['payments', NULL, ''], languages = ARRAY[NULL]::text[]")
    world.picture.look()
    match = world.create()
    assert match.matched_advisor is not None
    assert (match.matched_advisor.id, match.matched_advisor.skills) == (advisor, ("payments",))
