"""A signed call works once; a request that carries an id is answered as the first time."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from uuid import UUID, uuid4

import pytest

from matching_server.domain.calls import Call
from matching_server.domain.errors import (
    DuplicateMatchRequest,
    IdempotencyMismatch,
    InvalidTransition,
    MatchExpired,
    ProjectNotFound,
    Unauthenticated,
)
from matching_server.domain.model import Decision, MatchStatus, Role, Side
from matching_server.operations.commands import CreatedMatch
from matching_server.storage import requests
from matching_server.storage.database import Transaction
from tests.integration.world import World, answers, call, encoded, together
from tests.support.rounds import rounds

S = MatchStatus


def nonces(world: World) -> list[str]:
    return [row[0] for row in world.rows("SELECT nonce FROM used_nonces ORDER BY used_at")]


def refuse_replay(world: World, project: UUID, again: Call) -> None:
    with pytest.raises(Unauthenticated) as refused:
        world.ask_for(project, again)
    assert refused.value.metadata == {"detail": "REPLAYED"}


def test_a_nonce_is_spent_with_what_it_authorized(world: World) -> None:
    world.advisor()
    project = world.project()
    signed = world.client(project, nonce="n1")
    world.create(project, signed)
    assert nonces(world) == ["n1"]
    refuse_replay(world, project, world.client(project, nonce="n1"))
    assert world.told(project) == ["advisor.matched"]


def test_a_nonce_of_another_key_is_another_nonce(world: World) -> None:
    world.advisor()
    project = world.project()
    world.create(project, world.client(project, nonce="n1"))
    world.run("UPDATE used_nonces SET kid = 'other'")
    world.create(project, world.client(project, nonce="n1"))


def test_a_replay_is_refused_even_where_the_answer_is_kept(world: World) -> None:
    world.advisor()
    project, request = world.project(), uuid4()
    world.create(project, world.client(project, nonce="n1", request_id=request))
    refuse_replay(world, project, world.client(project, nonce="n1", request_id=request))


def test_the_same_handling_of_a_call_may_come_back_after_its_commit_was_lost(world: World) -> None:
    world.advisor()
    project = world.project()
    signed = world.client(project, nonce="n1")
    first = world.create(project, signed)
    assert world.create(project, signed) == first


def test_a_call_that_fails_spends_nothing(world: World) -> None:
    project = world.project()
    stranger = call(uuid4(), Role.CLIENT, nonce="n1")
    for _ in range(2):
        with pytest.raises(ProjectNotFound):
            world.create(project, stranger)
    assert nonces(world) == []


def test_a_failure_that_is_returned_keeps_what_was_written_and_the_nonce(world: World) -> None:
    world.advisor()
    match = world.create()
    world.make_overdue(match.id)
    signed = world.client(match.project_id, nonce="n1")
    with pytest.raises(MatchExpired):
        world.decide(match, Side.CLIENT, Decision.APPROVED, signed)
    assert world.match(match.id).status is S.EXPIRED
    assert nonces(world) == ["n1"]
    with pytest.raises(Unauthenticated):
        world.decide(match, Side.CLIENT, Decision.APPROVED, world.client(match.project_id, nonce="n1"))


def test_a_failure_that_is_raised_keeps_nothing(world: World) -> None:
    world.advisor()
    match = world.approve(world.create())
    signed = world.client(match.project_id, nonce="n1")
    with pytest.raises(InvalidTransition):
        world.decide(match, Side.CLIENT, Decision.DECLINED, signed)
    assert nonces(world) == []


def test_a_repeated_request_gets_the_bytes_of_the_first_answer(world: World) -> None:
    world.advisor()
    project, request = world.project(), uuid4()
    first = world.ask_for(project, world.client(project, request_id=request))
    assert isinstance(first, CreatedMatch)
    world.approve(first.match)
    again = world.ask_for(project, world.client(project, request_id=request))
    assert again == encoded(first)
    assert bytes(world.ask("SELECT answer FROM idempotent_requests")) == encoded(first)


def test_ones_own_request_is_answered_even_by_who_asks_to_be_told_of_an_open_match(world: World) -> None:
    world.advisor()
    project, request = world.project(), uuid4()
    mine = [world.client(project, request_id=request) for _ in range(2)]
    first = world.ask_for(project, mine[0], fail_if_open=True)
    assert isinstance(first, CreatedMatch)
    assert world.ask_for(project, mine[1], fail_if_open=True) == encoded(first)
    with pytest.raises(DuplicateMatchRequest):
        world.ask_for(project, world.client(project, request_id=uuid4()), fail_if_open=True)


def test_a_request_that_had_to_wait_keeps_the_answer_that_was_given(world: World) -> None:
    project, request = world.project(), uuid4()
    older = world.create()
    world.advisor(slots=2)
    # Others wait: the match is stored as pending, then the backlog is served, then it is answered.
    first = world.ask_for(project, world.client(project, request_id=request))
    assert isinstance(first, CreatedMatch)
    assert first.match.status is S.MATCHED
    assert world.match(older.id).status is S.MATCHED
    assert world.ask_for(project, world.client(project, request_id=request)) == encoded(first)


@pytest.mark.parametrize("other", [{"body": b"another body"}, {"method": "/another.Service/Method"}])
def test_an_id_that_was_used_for_something_else_is_a_mismatch(world: World, other: dict[str, str]) -> None:
    world.advisor()
    project, request = world.project(), uuid4()
    world.create(project, world.client(project, request_id=request))
    with pytest.raises(IdempotencyMismatch, match=str(request)):
        world.ask_for(project, world.client(project, request_id=request, **other))


def test_an_id_belongs_to_its_caller(world: World) -> None:
    world.advisor()
    project, request = world.project(), uuid4()
    world.create(project, world.client(project, request_id=request))
    created = world.ask_for(project, call(request_id=request))
    assert isinstance(created, CreatedMatch)
    assert created.already_open


def test_an_answer_is_forgotten_after_24_hours(world: World) -> None:
    world.advisor()
    project, request = world.project(), uuid4()
    first = world.create(project, world.client(project, request_id=request))
    world.decline(first, Side.CLIENT)
    world.run("UPDATE idempotent_requests SET created_at = clock_timestamp() - interval '23 h 59 min'")
    kept = world.ask_for(project, world.client(project, request_id=request))
    assert isinstance(kept, bytes)
    world.run("UPDATE idempotent_requests SET created_at = clock_timestamp() - interval '24 h 1 s'")
    fresh = world.ask_for(project, world.client(project, request_id=request, body=b"another body"))
    assert isinstance(fresh, CreatedMatch)
    assert fresh.match.id != first.id
    again = world.ask_for(project, world.client(project, request_id=request, body=b"another body"))
    assert again == encoded(fresh)


def test_a_request_that_failed_may_be_made_again(world: World) -> None:
    project, request = world.project(), uuid4()
    with pytest.raises(Exception, match="no eligible advisor"):
        world.ask_for(project, world.client(project, request_id=request), require_immediate=True)
    world.advisor()
    made = world.ask_for(project, world.client(project, request_id=request), require_immediate=True)
    assert isinstance(made, CreatedMatch)


@pytest.mark.parametrize("fail_if_open", [False, True])
def test_duplicates_at_the_same_moment_have_one_effect_and_one_answer(
    world: World, fail_if_open: bool
) -> None:
    advisor = world.advisor(slots=100)
    count = rounds(8)
    for _ in range(count):
        project, request = world.project(), uuid4()
        mine = [world.client(project, request_id=request, nonce=str(uuid4())) for _ in range(4)]
        ask = partial(world.ask_for, project, fail_if_open=fail_if_open)
        found = answers(together(*[partial(ask, one) for one in mine]))
        [made] = [one for one in found if isinstance(one, CreatedMatch)]
        assert [one for one in found if isinstance(one, bytes)] == [encoded(made)] * 3
        assert world.told(project) == ["advisor.matched"]
    assert world.load(advisor) == count


@pytest.mark.parametrize("fail_if_open", [False, True])
def test_whoever_of_several_duplicates_was_answered_has_spent_the_nonce(
    world: World, fail_if_open: bool
) -> None:
    world.advisor(slots=100)
    for turn in range(rounds(5)):
        project, request = world.project(), uuid4()
        mine = [world.client(project, request_id=request, nonce=f"{turn}.{number}") for number in range(4)]
        answers(together(*[partial(world.ask_for, project, one, fail_if_open=fail_if_open) for one in mine]))
        for one in mine:
            refuse_replay(world, project, replace(one, id=uuid4()))


def test_who_comes_second_with_an_answer_leaves_no_trace(world: World) -> None:
    """Both have looked and found no answer; the second one's effect is undone with its answer."""
    mine = call(request_id=uuid4())

    def late(tx: Transaction) -> None:
        assert requests.admit(tx.conn, mine) is None
        world.database.transact(lambda first: requests.store_answer(first.conn, mine, b"first"))
        requests.store_answer(tx.conn, mine, b"second")

    with pytest.raises(requests.AnsweredMeanwhile):
        world.database.transact(late)
    assert world.database.read(lambda conn: requests.answer_of(conn, mine)) == b"first"
