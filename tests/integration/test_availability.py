"""How much work an advisor takes, and how they withdraw from what they were offered."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import pytest

from matching_server.domain.calls import Call
from matching_server.domain.errors import AdvisorNotFound
from matching_server.domain.model import (
    Availability,
    AvailabilityPreferences,
    AvailabilityStatus,
    ClosedReason,
    Decision,
    MatchStatus,
    PoolStatus,
    ProjectComplexity,
    Role,
    Side,
    UnavailableReason,
)
from matching_server.operations import backlog
from matching_server.operations.availability import (
    get_availability,
    get_pool_status,
    update_availability,
)
from matching_server.operations.commands import UpdateAvailability
from tests.integration.world import World, answers, call, together
from tests.support.locks import held
from tests.support.rounds import rounds
from tests.support.wait import eventually

S = MatchStatus
A = AvailabilityStatus


def update(world: World, advisor: UUID, by: Call | None = None, **changes: Any) -> Availability:
    by = by or call(advisor, Role.ADVISOR)
    return update_availability(world.runner, by, UpdateAvailability(advisor, **changes))


def get(world: World, advisor: UUID) -> Availability:
    return get_availability(world.runner, call(), advisor)


def test_a_new_advisor_is_available_with_three_slots(world: World) -> None:
    advisor = world.advisor()
    found = get(world, advisor)
    assert (found.status, found.current_projects, found.max_concurrent_projects) == (A.AVAILABLE, 0, 3)
    assert found.preferences == AvailabilityPreferences()
    assert found.is_available
    assert found.last_active is None


def test_what_is_not_given_stays(world: World) -> None:
    advisor = world.advisor()
    liked = AvailabilityPreferences(True, (ProjectComplexity.COMPLEX,), ("Django", "Rails"))
    update(world, advisor, preferences=liked, max_concurrent_projects=7, status=A.BUSY)
    for change, expected in (
        ({}, (A.BUSY, 7)),
        ({"status": A.OFFLINE}, (A.OFFLINE, 7)),
        ({"max_concurrent_projects": 2}, (A.OFFLINE, 2)),
    ):
        changed = update(world, advisor, **change)
        assert (changed.status, changed.max_concurrent_projects) == expected
        assert changed.preferences == liked
        assert changed == get(world, advisor)


def test_given_preferences_replace_the_old_ones_whole(world: World) -> None:
    advisor = world.advisor()
    update(world, advisor, preferences=AvailabilityPreferences(True, (ProjectComplexity.SIMPLE,), ("Go",)))
    fewer = AvailabilityPreferences(preferred_frameworks=("Rust",))
    assert update(world, advisor, preferences=fewer).preferences == fewer


def test_only_their_own_doing_counts_as_activity(world: World) -> None:
    advisor = world.advisor()
    before = world.now()
    assert update(world, advisor, call(), status=A.BUSY).last_active is None
    changed = update(world, advisor, status=A.AVAILABLE)
    assert changed.last_active is not None
    assert before < changed.last_active < world.now()
    assert changed.updated_at > before


@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        ("UPDATE advisors SET active = false", UnavailableReason.INACTIVE),
        ("UPDATE advisor_availability SET status = 'offline'", UnavailableReason.OFFLINE),
        ("UPDATE advisor_availability SET status = 'busy'", UnavailableReason.BUSY),
        ("SELECT 1", UnavailableReason.AT_CAPACITY),
    ],
)
def test_who_takes_nothing_now_says_why(world: World, sql: str, reason: UnavailableReason) -> None:
    advisor = world.advisor(slots=1)
    world.create()
    world.run(sql)
    found = get(world, advisor)
    assert (found.is_available, found.reason) == (False, reason)


def test_a_maximum_below_the_load_is_allowed_and_gives_nothing_new(world: World) -> None:
    advisor = world.advisor(slots=3)
    held = [world.create() for _ in range(3)]
    changed = update(world, advisor, max_concurrent_projects=1)
    assert (changed.current_projects, changed.max_concurrent_projects) == (3, 1)
    assert changed.reason is UnavailableReason.AT_CAPACITY
    assert [world.match(match.id).status for match in held] == [S.MATCHED] * 3
    waiting = world.create()
    for match in held[:2]:
        world.decline(match, Side.CLIENT)
        backlog.run_pass(world.runner)
        assert world.match(waiting.id).status is S.PENDING
    world.decline(held[2], Side.CLIENT)
    backlog.run_pass(world.runner)
    assert world.match(waiting.id).matched_advisor_id == advisor


def test_coming_back_and_taking_more_wake_the_backlog(world: World) -> None:
    advisor = world.advisor(slots=1)
    world.create()
    waiting = world.create()
    update(world, advisor, status=A.BUSY, max_concurrent_projects=2)
    assert backlog.run_pass(world.runner) == 0
    update(world, advisor, status=A.AVAILABLE)
    assert world.effects[-1].capacity_freed
    assert world.effects[-1].availability_changed == {advisor}
    assert backlog.run_pass(world.runner) == 1
    assert world.match(waiting.id).status is S.MATCHED
    waiting = world.create()
    update(world, advisor, max_concurrent_projects=3)
    assert world.effects[-1].capacity_freed
    assert backlog.run_pass(world.runner) == 1
    assert world.match(waiting.id).status is S.MATCHED


def test_open_offers_are_declined_where_that_is_asked_for(world: World) -> None:
    advisor = world.advisor(slots=9)
    offered, accepted, approved = (world.create() for _ in range(3))
    world.approve(accepted, Side.ADVISOR)
    world.approve(approved, Side.CLIENT)
    finalized = world.approve(world.create())
    declined = world.decline(world.create(), Side.CLIENT)
    changed = update(world, advisor, status=A.OFFLINE, decline_open_offers=True)
    assert changed.current_projects == 1
    for match in (offered, accepted, approved):
        now = world.match(match.id)
        answer = now.decision_of(Side.ADVISOR)
        assert (now.status, answer and answer.decision) == (S.ADVISOR_DECLINED, Decision.DECLINED)
        assert world.told(match.project_id)[-1] == "advisor.match_declined"
        assert world.events(match.project_id)[-1].user_id == advisor
    assert world.match(finalized.id).status is S.FINALIZED
    assert world.match(declined.id) == declined
    owners = [world.owner(match.project_id) for match in (offered, accepted, approved)]
    assert world.notified("advisor_declined") == owners


def test_offers_are_kept_where_it_is_not_asked_for(world: World) -> None:
    advisor = world.advisor()
    match = world.create()
    update(world, advisor, status=A.OFFLINE)
    assert world.match(match.id) == match
    assert world.load(advisor) == 1


def test_who_withdrew_is_not_offered_the_same_again(world: World) -> None:
    advisor = world.advisor()
    match = world.create()
    update(world, advisor, decline_open_offers=True)
    assert world.create(match.project_id).status is S.PENDING


def test_an_overdue_offer_ends_by_its_time_and_not_by_the_withdrawal(world: World) -> None:
    advisor = world.advisor()
    match = world.create()
    world.make_overdue(match.id)
    update(world, advisor, status=A.OFFLINE, decline_open_offers=True)
    after = world.match(match.id)
    assert (after.status, after.closed_reason) == (S.EXPIRED, ClosedReason.EXPIRED)
    assert after.decision_of(Side.ADVISOR) is None


def test_a_withdrawal_spends_its_nonce_once_for_all_offers(world: World) -> None:
    advisor = world.advisor()
    world.create()
    world.create()
    update(world, advisor, call(advisor, Role.ADVISOR, nonce="n1"), decline_open_offers=True)
    assert world.rows("SELECT nonce FROM used_nonces") == [("n1",)]
    assert world.load(advisor) == 0


def test_a_change_waits_for_the_claim_that_is_under_way(world: World) -> None:
    advisor = world.advisor(slots=1)
    for _ in range(rounds(10)):
        project = world.project()
        race: list[Callable[[], object]] = [
            partial(world.create, project),
            partial(update, world, advisor, status=A.BUSY),
        ]
        answers(together(*race))
        match = world.create(project)
        assert (match.status is S.MATCHED) == (world.load(advisor) == 1)
        world.decline(match, Side.CLIENT)
        update(world, advisor, status=A.AVAILABLE)


def test_an_offer_of_a_locked_project_is_declined_when_its_turn_comes(world: World) -> None:
    advisor = world.advisor()
    first, second = world.create(), world.create()
    lock = "SELECT 1 FROM project_event_heads WHERE project_id = :project FOR UPDATE"
    with held(world.conn, lock, project=second.project_id) as holder:

        def release() -> Availability:
            # The first offer is declined, and its slot free, while the second one's project is busy.
            eventually(lambda: world.match(first.id).status is S.ADVISOR_DECLINED, interval=0.001)
            assert world.load(advisor) == 1
            holder.rollback()
            return get(world, advisor)

        withdraw = partial(update, world, advisor, decline_open_offers=True)
        changed, _ = answers(together(withdraw, release))
    assert changed.current_projects == 0


def test_nobody_sees_or_changes_anothers_availability(world: World) -> None:
    advisor, other = world.advisor(), world.advisor()
    stranger = call(other, Role.ADVISOR)
    for wrong, by in ((advisor, stranger), (uuid4(), call()), (uuid4(), stranger)):
        with pytest.raises(AdvisorNotFound, match=str(wrong)):
            get_availability(world.runner, by, wrong)
        with pytest.raises(AdvisorNotFound, match=str(wrong)):
            update(world, wrong, by, status=A.OFFLINE)
    assert get(world, advisor).status is A.AVAILABLE
    assert get_availability(world.runner, call(advisor, Role.ADVISOR), advisor) == get(world, advisor)


def test_the_pool_is_counted_over_active_advisors_and_by_load_over_those_available(world: World) -> None:
    assert get_pool_status(world.runner, call()) == PoolStatus(0, 0, 0, 0, 0, 0, 0)
    for status, load, slots in (
        *(("available", 0, slots) for slots in (1, 3, 3)),
        *(("available", load, 3) for load in (1, 2)),
        # Full, more than full after an emergency or a lowered maximum, and full with one slot.
        *(("available", load, slots) for load, slots in ((3, 3), (4, 3), (1, 1), (2, 1))),
        *(("busy", load, 3) for load in (0, 3, 3)),
        ("offline", 0, 3),
        ("offline", 1, 3),
    ):
        _with_load(world, load, slots=slots, status=status)
    for status in A:
        _with_load(world, 1, status=status.value, active=False)
    assert get_pool_status(world.runner, call()) == PoolStatus(
        total=14, available=9, busy=3, offline=2, idle=3, with_slot=2, at_capacity=4
    )
    world.run("UPDATE advisor_availability SET current_projects = 0")


def _with_load(world: World, load: int, **columns: Any) -> None:
    world.run(
        "UPDATE advisor_availability SET current_projects = :load WHERE advisor_id = :id",
        load=load,
        id=world.advisor(**columns),
    )
