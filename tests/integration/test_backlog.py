"""Who has waited longest is served first, whoever asks meanwhile."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import text

from matching_server.domain.model import MatchCriteria, MatchStatus, PendingReason, Side
from matching_server.operations import backlog
from tests.integration.world import World, answers, call, together
from tests.support.locks import held
from tests.support.seed import insert_advisors, insert_projects
from tests.support.wait import eventually

S = MatchStatus
TURN = "SELECT pg_advisory_xact_lock(hashtext('advisor_matching.backlog'))"


def statuses(world: World, *match_ids: UUID) -> list[MatchStatus]:
    return [world.match(id_).status for id_ in match_ids]


def waiting(world: World, count: int = 1) -> list[UUID]:
    """Matches that wait, the oldest first."""
    return [world.create(project).id for project in insert_projects(world.conn, count)]


def test_the_oldest_is_served_first_as_far_as_slots_go(world: World) -> None:
    first, second, third = waiting(world, 3)
    world.advisor(slots=2)
    assert backlog.run_pass(world.runner) == 2
    assert statuses(world, first, second, third) == [S.MATCHED, S.MATCHED, S.PENDING]
    assert backlog.run_pass(world.runner) == 0


def test_who_was_served_has_what_an_offer_has_and_its_owner_is_told(world: World) -> None:
    [waited] = waiting(world)
    advisor = world.advisor(preferences={"auto_accept": True})
    before = world.match(waited)
    assert before.pending_reason is PendingReason.NO_ADVISORS_AVAILABLE
    backlog.run_pass(world.runner)
    match = world.match(waited)
    assert (match.status, match.matched_advisor_id) == (S.ADVISOR_ACCEPTED, advisor)
    assert (match.pending_reason, match.expires_at) == (None, before.expires_at)
    assert world.told(match.project_id) == [
        "advisor.match_pending",
        "advisor.matched",
        "advisor.accepted",
    ]
    assert world.notified("advisor_found") == [world.owner(match.project_id)]
    assert world.notified("match_offered") == [advisor]
    assert world.load(advisor) == 1


def test_a_newcomer_goes_behind_who_waits_already(world: World) -> None:
    [older] = waiting(world)
    world.advisor(slots=1)
    newcomer = world.create()
    assert statuses(world, older, newcomer.id) == [S.MATCHED, S.PENDING]
    assert newcomer.pending_reason is PendingReason.ALL_ADVISORS_BUSY


def test_a_newcomer_is_served_in_the_same_call_where_there_is_enough(world: World) -> None:
    [older] = waiting(world)
    advisor = world.advisor(slots=2)
    newcomer = world.create()
    assert (newcomer.status, newcomer.matched_advisor_id) == (S.MATCHED, advisor)
    assert statuses(world, older) == [S.MATCHED]
    assert world.told(newcomer.project_id) == ["advisor.match_pending", "advisor.matched"]


@pytest.mark.parametrize("why", ["excluded", "owner", "declined", "overdue"])
def test_one_who_waits_for_somebody_else_holds_nobody_up(world: World, why: str) -> None:
    advisor = world.advisor(slots=1, status="offline")
    project = world.project(owner_id=advisor) if why == "owner" else world.project()
    if why == "declined":
        world.run("UPDATE advisor_availability SET status = 'available'")
        world.decline(world.create(project), Side.ADVISOR)
        world.run("UPDATE advisor_availability SET status = 'offline'")
    criteria = MatchCriteria(exclude_advisor_ids=(advisor,) if why == "excluded" else ())
    older = world.create(project, call(), criteria=criteria)
    assert older.status is S.PENDING
    if why == "overdue":
        world.make_overdue(older.id)
    world.run("UPDATE advisor_availability SET status = 'available'")
    newcomer = world.create()
    assert newcomer.matched_advisor_id == advisor
    assert statuses(world, older.id) == [S.PENDING]


def test_asking_again_tries_again(world: World) -> None:
    [waited] = waiting(world)
    world.advisor()
    again = world.ask_for(world.match(waited).project_id)
    assert not isinstance(again, bytes)
    assert (again.match.id, again.match.status, again.already_open) == (waited, S.MATCHED, True)


def test_who_would_not_wait_comes_after_those_who_do(world: World) -> None:
    [older] = waiting(world)
    world.advisor(slots=1)
    with pytest.raises(Exception, match="every eligible advisor is busy"):
        world.create(require_immediate=True)
    assert statuses(world, older) == [S.MATCHED]


@pytest.mark.parametrize("side", list(Side))
def test_who_declined_or_was_declined_is_not_offered_again_within_the_cool_down(
    world: World, side: Side
) -> None:
    first, second = insert_advisors(world.conn, 2)
    match = world.create()
    world.decline(match, side)
    offered = world.create(match.project_id)
    assert {match.matched_advisor_id, offered.matched_advisor_id} == {first, second}
    world.decline(offered, side)
    assert world.create(match.project_id).status is S.PENDING
    assert backlog.run_pass(world.runner) == 0
    # Another project may have them, and so may this one once the time is over.
    assert world.create().status is S.MATCHED
    later = world.under(decline_cooldown=timedelta(0))
    assert backlog.run_pass(later.runner) == 1


@pytest.mark.parametrize("side", list(Side))
def test_previous_advisors_are_offered_where_they_are_allowed(world: World, side: Side) -> None:
    advisor = world.advisor()
    match = world.create()
    world.decline(match, side)
    assert world.create(match.project_id, allow_previous=True).matched_advisor_id == advisor


def test_that_previous_advisors_are_allowed_is_kept_with_a_waiting_match(world: World) -> None:
    advisor = world.advisor()
    match = world.create()
    world.decline(match, Side.ADVISOR)
    world.run("UPDATE advisor_availability SET status = 'busy'")
    again = world.create(match.project_id, allow_previous=True)
    assert (again.status, again.allow_previous) == (S.PENDING, True)
    assert world.match(again.id).allow_previous
    world.run("UPDATE advisor_availability SET status = 'available'")
    assert backlog.run_pass(world.runner) == 1
    assert world.match(again.id).matched_advisor_id == advisor


def test_the_cool_down_is_counted_from_the_decision(world: World) -> None:
    advisor = world.advisor()
    match = world.create()
    world.decline(match, Side.ADVISOR)
    world.run(
        "UPDATE advisor_match_requests SET advisor_decided_at = clock_timestamp() - interval '167 h 59 min'"
    )
    assert world.create(match.project_id).status is S.PENDING
    world.run(
        "UPDATE advisor_match_requests SET advisor_decided_at = clock_timestamp() - interval '168 h 1 s'"
    )
    assert world.create(match.project_id).matched_advisor_id == advisor


def test_one_pass_at_a_time_and_a_background_pass_leaves_it_to_the_other(world: World) -> None:
    [waited] = waiting(world)
    world.advisor()
    with held(world.conn, TURN):
        assert backlog.run_pass(world.runner, wait=False) == 0
    assert statuses(world, waited) == [S.PENDING]
    assert backlog.run_pass(world.runner, wait=False) == 1


def test_a_call_waits_for_the_pass_that_is_under_way(world: World) -> None:
    [waited] = waiting(world)
    world.advisor()
    tried = text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
        " AND query LIKE 'SELECT pg_try_advisory_xact_lock%'"
    )
    with held(world.conn, TURN) as holder:

        def release() -> int:
            # The call has asked for its turn, and has not got it.
            eventually(lambda: world.conn.execute(tried).scalar_one(), interval=0.001)
            holder.rollback()
            return 0

        served, _ = answers(together(lambda: backlog.run_pass(world.runner), release))
    assert served == 1
    assert statuses(world, waited) == [S.MATCHED]


def test_passes_at_the_same_moment_serve_each_match_once(world: World) -> None:
    matches = waiting(world, 12)
    advisor = world.advisor(slots=12)
    served = answers(together(*[lambda: backlog.run_pass(world.runner) for _ in range(4)]))
    assert sum(served) == 12
    assert statuses(world, *matches) == [S.MATCHED] * 12
    assert world.load(advisor) == 12


def test_a_pass_can_stop_after_the_match_it_was_for(world: World) -> None:
    first, second, third = waiting(world, 3)
    world.advisor()
    assert backlog.run_pass(world.runner, until=second) == 2
    assert statuses(world, first, second, third) == [S.MATCHED, S.MATCHED, S.PENDING]


def test_a_project_that_somebody_keeps_holds_nobody_up(world: World) -> None:
    oldest, next_one = waiting(world, 2)
    world.advisor(slots=2)
    project = world.match(oldest).project_id
    head = "SELECT FROM project_event_heads WHERE project_id = :id FOR UPDATE"
    with held(world.conn, head, id=project):
        newcomer = world.create()
        assert statuses(world, oldest, next_one) == [S.PENDING, S.MATCHED]
        assert newcomer.status is S.MATCHED
    assert newcomer.matched_advisor_id is not None
    assert world.load(newcomer.matched_advisor_id) == 2
