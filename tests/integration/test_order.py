"""Nobody takes an advisor for whom an older request waits, whatever happens in the middle of being served."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from functools import partial
from uuid import UUID

import pytest
from sqlalchemy import Connection

from matching_server.domain.errors import AllAdvisorsBusy
from matching_server.domain.model import Match, MatchCriteria, MatchStatus
from matching_server.operations import backlog
from tests.integration.world import WAIT, World
from tests.support.locks import held, wait_for_waiter_on
from tests.support.seed import insert_advisors

S = MatchStatus


@pytest.fixture
def ada(world: World) -> UUID:
    """Ranks before Bob; each has one slot, and nobody is available yet."""
    return insert_advisors(world.conn, 1, slots=1, status="offline")[0]


@pytest.fixture
def bob(world: World) -> UUID:
    [advisor] = insert_advisors(world.conn, 1, slots=1, status="offline")
    world.run(
        "UPDATE advisor_availability SET last_assigned_at = clock_timestamp() WHERE advisor_id = :id",
        id=advisor,
    )
    return advisor


def waiting(world: World, *excluded: UUID) -> Match:
    """A match that waits for anybody but these."""
    match = world.create(criteria=MatchCriteria(exclude_advisor_ids=excluded))
    assert match.status is S.PENDING
    return match


def becomes(world: World, advisor: UUID, status: str) -> None:
    """By SQL: no server is told."""
    world.run(
        "UPDATE advisor_availability SET status = :status WHERE advisor_id = :id", status=status, id=advisor
    )


def locked(world: World, project_id: UUID) -> AbstractContextManager[Connection]:
    """Another transaction of the project is under way."""
    return held(
        world.conn, "SELECT FROM project_event_heads WHERE project_id = :id FOR UPDATE", id=project_id
    )


def advisors(world: World, *matches: Match) -> list[UUID | None]:
    """Whom each of them was given."""
    return [world.match(match.id).matched_advisor_id for match in matches]


def test_an_advisor_who_comes_free_while_a_younger_one_is_served_goes_to_the_older(
    world: World, ada: UUID, bob: UUID
) -> None:
    older, younger = waiting(world, bob), waiting(world)
    becomes(world, bob, "available")
    with ThreadPoolExecutor(1) as pool:
        with locked(world, younger.project_id) as other:
            served = pool.submit(backlog.run_pass, world.runner)
            # The younger one's turn: for the older one nobody is free.
            wait_for_waiter_on(world.conn, other)
            becomes(world, ada, "available")
        assert served.result(WAIT) == 2
    assert advisors(world, older, younger) == [ada, bob]


def test_who_could_not_be_served_a_moment_ago_still_comes_before_the_younger(
    world: World, ada: UUID, bob: UUID
) -> None:
    older, between, younger = waiting(world, bob), waiting(world, ada), waiting(world, bob)
    becomes(world, ada, "available")
    with ThreadPoolExecutor(1) as pool, locked(world, between.project_id) as second:
        with locked(world, older.project_id) as first:
            served = pool.submit(backlog.run_pass, world.runner)
            wait_for_waiter_on(world.conn, first)
            # Gone before the older one could have her, and back once the next one's turn has begun.
            becomes(world, ada, "busy")
            becomes(world, bob, "available")
        wait_for_waiter_on(world.conn, second)
        becomes(world, ada, "available")
        second.rollback()
        assert served.result(WAIT) == 2
    assert advisors(world, older, between, younger) == [ada, bob, None]


def test_who_would_not_wait_does_not_take_what_others_wait_for(world: World, ada: UUID) -> None:
    older = waiting(world)
    project = world.project()
    world.run("INSERT INTO project_event_heads (project_id) VALUES (:id)", id=project)
    with ThreadPoolExecutor(1) as pool:
        with locked(world, project) as other:
            asked = pool.submit(partial(world.create, project, require_immediate=True))
            # It has looked after those who wait, and nobody was free.
            wait_for_waiter_on(world.conn, other)
            becomes(world, ada, "available")
        with pytest.raises(AllAdvisorsBusy):
            asked.result(WAIT)
    backlog.run_pass(world.runner)
    assert advisors(world, older) == [ada]
