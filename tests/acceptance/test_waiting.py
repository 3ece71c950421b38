"""Matches that wait: served oldest first, soon after a slot comes free anywhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta

import pytest

from advisor_matching.v1.types_pb2 import Advisor, MatchCriteria, MatchStatus
from tests.support.wait import eventually
from tests.support.watching import watching
from tests.support.world import World

DECLINED = "DECISION_DECLINED"
AVAILABLE = "AVAILABILITY_STATUS_AVAILABLE"
SERVED_SECONDS = 2.0
SLACK_SECONDS = 0.5
"""For a busy machine."""
MATCHED, PENDING = MatchStatus.MATCH_STATUS_MATCHED, MatchStatus.MATCH_STATUS_PENDING


@pytest.fixture(scope="module")
def server_arguments() -> list[tuple[str, ...]]:
    """The first server answers calls alone: what it frees is found by the second."""
    return [("--no-workers",), ()]


@pytest.fixture(scope="module")
def server_settings() -> Mapping[str, object]:
    return {"sweep_seconds": 0.2}


def wait(world: World, count: int = 3) -> list[str]:
    """So many matches that wait, in this order."""
    projects = [world.new_project() for _ in range(count)]
    matches = [world.client(project).create_match(project).match for project in projects]
    assert {match.status for match in matches} == {PENDING}
    return [match.id for match in matches]


def assert_served(world: World, waiting: list[str], expected: str) -> None:
    """The waiting ones' statuses, within the time promised, and as they then stay."""

    def statuses() -> str:
        return " ".join(world.status(match_id) for match_id in waiting)

    eventually(
        lambda: statuses() == expected,
        timeout=SERVED_SECONDS + SLACK_SECONDS,
        what=f"statuses are {expected}",
    )


def by_availability(world: World, server: int) -> list[str]:
    advisor = world.new_advisor(slots=2, status="offline")
    waiting = wait(world)
    world.advisor(advisor, server=server).update_availability(status=AVAILABLE)
    return waiting


def by_more_slots(world: World, server: int) -> list[str]:
    advisor = world.new_advisor(slots=1)
    project = world.new_project()
    world.client(project).create_match(project)
    waiting = wait(world)
    world.advisor(advisor, server=server).update_availability(max_concurrent_projects=3)
    return waiting


def by_a_new_advisor(world: World, server: int) -> list[str]:
    first, *waiting = wait(world, 4)
    advisor = Advisor(id=world.new_person(), display_name="New here", email="new@example.com")
    world.service(server=server).upsert_advisor(advisor)
    world.wait_for_status(first, "matched", timeout=SERVED_SECONDS + SLACK_SECONDS)
    return waiting


def by_declines(world: World, server: int) -> list[str]:
    matches = fill(world, 2)
    waiting = wait(world)
    for project, match_id in matches.items():
        world.client(project, server=server).submit_client_decision(match_id, DECLINED)
    return waiting


def by_withdrawal(world: World, server: int) -> list[str]:
    """The offers that one advisor withdraws from are free for nobody; their slots count with the others'."""
    matches = fill(world, 2)
    waiting = wait(world)
    for match_id in matches.values():
        advisor = world.service().get_match(match_id).matched_advisor.id
        world.advisor(advisor, server=server).update_availability(decline_open_offers=True)
    return waiting


def by_expiry(world: World, server: int) -> list[str]:
    matches = fill(world, 2, expires_in=timedelta(seconds=1))
    waiting = wait(world)
    eventually(lambda: world.statuses().get("expired") == len(matches), what="the offers have expired")
    return waiting


def fill(world: World, count: int, expires_in: timedelta | None = None) -> dict[str, str]:
    """So many advisors with one slot each, all taken: matches by their projects."""
    taken = {}
    for _ in range(count):
        world.new_advisor(slots=1)
        project = world.new_project()
        taken[project] = world.client(project).create_match(project, expires_in=expires_in).match.id
    return taken


@pytest.mark.parametrize("server", [0, 1], ids=["freed-without-workers", "freed-with-workers"])
@pytest.mark.parametrize(
    "free",
    [by_availability, by_more_slots, by_a_new_advisor, by_declines, by_withdrawal, by_expiry],
    ids=lambda free: free.__name__,
)
def test_who_has_waited_longest_is_served_soon_after_a_slot_comes_free(
    world: World, free: Callable[[World, int], list[str]], server: int
) -> None:
    waiting = free(world, server)
    assert_served(world, waiting, "matched matched pending")


def test_a_service_that_waits_is_told_by_event_and_its_owner_by_notification(world: World) -> None:
    [match_id] = wait(world, 1)
    project = world.service().get_match(match_id).project_id
    with watching(world.client(project, server=1), project) as watch:
        advisor = world.new_advisor(status="busy")
        world.advisor(advisor, server=0).update_availability(status=AVAILABLE)
        event = next(watch)
    assert (event.type, event.seq, event.user_id) == ("advisor.matched", 2, "system")
    assert (event.match.advisor_id, event.match.previous_status) == (advisor, PENDING)
    told = world.row("SELECT type, recipient_id FROM notification_outbox WHERE type = 'advisor_found'")
    assert told["recipient_id"] == world.value("SELECT owner_id FROM projects")


def test_who_asks_now_is_served_after_those_who_wait(world: World) -> None:
    first, second = wait(world, 2)
    world.new_advisor(slots=1)
    project = world.new_project()
    created = world.client(project).create_match(project).match
    assert created.status == PENDING
    assert_served(world, [first, second], "matched pending")
    world.new_advisor(slots=2)
    another = world.new_project()
    assert world.client(another).create_match(another).match.status == PENDING
    assert_served(world, [second, created.id], "matched matched")


def test_who_asks_again_while_waiting_is_tried_again(world: World) -> None:
    [match_id] = wait(world, 1)
    advisor = world.new_advisor()
    project = world.service().get_match(match_id).project_id
    again = world.client(project).create_match(project)
    assert again.already_open
    assert (again.match.id, again.match.status, again.match.matched_advisor.id) == (
        match_id,
        MATCHED,
        advisor,
    )


def test_one_whom_nobody_can_serve_holds_up_no_other(world: World) -> None:
    advisor = world.new_advisor(status="offline")
    picky = world.new_project()
    criteria = MatchCriteria(exclude_advisor_ids=[advisor])
    stuck = world.client(picky).create_match(picky, criteria=criteria).match
    [behind] = wait(world, 1)
    world.advisor(advisor).update_availability(status=AVAILABLE)
    assert_served(world, [stuck.id, behind], "pending matched")


def test_the_cool_down_holds_for_those_who_wait_unless_they_allow_previous_advisors(world: World) -> None:
    project, advisor, match = world.matched()
    owner = world.client(project)
    owner.submit_client_decision(match.id, DECLINED)
    world.advisor(advisor).update_availability(status="AVAILABILITY_STATUS_BUSY")
    waiting = owner.create_match(project).match
    [other] = wait(world, 1)
    world.advisor(advisor).update_availability(status=AVAILABLE)
    assert_served(world, [waiting.id, other], "pending matched")

    world.advisor(advisor).update_availability(status="AVAILABILITY_STATUS_BUSY")
    owner.submit_client_decision(waiting.id, DECLINED)
    again = owner.create_match(project, allow_previous=True).match
    assert again.status == PENDING
    world.advisor(advisor, server=1).update_availability(status=AVAILABLE)
    assert_served(world, [again.id], "matched")
