"""The directory: what an upsert keeps, who sees what, and lists that lose nothing between two pages."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import pytest

from matching_server.domain.calls import Call
from matching_server.domain.errors import AdvisorNotFound
from matching_server.domain.model import (
    Advisor,
    ClosedReason,
    MatchStatus,
    Project,
    ProjectComplexity,
    Role,
    Side,
    TechStack,
)
from matching_server.operations import directory
from matching_server.operations.commands import ListAdvisors, Page
from tests.integration.world import World, answers, call, together
from tests.support.rounds import rounds
from tests.support.seed import insert_advisors, insert_user

S = MatchStatus
ADA = Advisor(
    id=uuid4(),
    display_name="Ada",
    skills=("Go", "SQL"),
    specialties=("payments",),
    rating=4.5,
    avatar_url="https://example.com/ada.png",
    email="ada@example.com",
    languages=("go",),
    frameworks=("Django",),
    timezone="Europe/London",
    active=True,
)


def upsert(world: World, advisor: Advisor) -> Advisor:
    return directory.upsert_advisor(world.runner, call(), advisor)


def get(world: World, advisor: UUID, by: Call | None = None) -> Advisor:
    return directory.get_advisor(world.runner, by or call(), advisor)


def save(world: World, project: Project) -> Project:
    return directory.upsert_project(world.runner, call(), project)


def page_through(world: World, size: int, by: Call | None = None, **filters: Any) -> list[Advisor]:
    found: list[Advisor] = []
    page = directory.list_advisors(world.runner, by or call(), ListAdvisors(page=Page(size), **filters))
    while page.next is not None:
        assert len(page.items) == size
        found += page.items
        page = directory.list_advisors(
            world.runner, by or call(), ListAdvisors(page=Page(size, page.next), **filters)
        )
    return [*found, *page.items]


def test_an_advisor_is_read_as_they_were_written(world: World) -> None:
    assert upsert(world, ADA) == ADA
    assert get(world, ADA.id) == ADA
    assert world.create().matched_advisor_id == ADA.id


def test_a_new_advisor_is_active_and_in_the_pool_unless_told_otherwise(world: World) -> None:
    bob = upsert(world, Advisor(uuid4(), "Bob"))
    assert bob.active
    assert world.load(bob.id) == 0
    upsert(world, Advisor(uuid4(), "Eve", active=False))
    assert world.create().matched_advisor_id == bob.id


def test_an_upsert_keeps_what_is_unset_and_replaces_what_is_set(world: World) -> None:
    upsert(world, ADA)
    changed = upsert(world, Advisor(ADA.id, "Ada L.", skills=("Rust",)))
    assert changed == replace(
        ADA, display_name="Ada L.", skills=("Rust",), specialties=(), languages=(), frameworks=()
    )
    zero = upsert(world, replace(changed, rating=0.0, timezone="UTC", email="new@example.com"))
    assert (zero.rating, zero.timezone, zero.email) == (0.0, "UTC", "new@example.com")


def test_an_upsert_leaves_the_load_and_the_preferences_alone(world: World) -> None:
    upsert(world, ADA)
    world.run("UPDATE advisor_availability SET availability_preferences = '{\"auto_accept\": true}'")
    match = world.create()
    upsert(world, replace(ADA, rating=1.0))
    assert world.load(ADA.id) == 1
    assert match.status is S.ADVISOR_ACCEPTED
    assert world.create().status is S.ADVISOR_ACCEPTED


def test_an_inactive_advisor_comes_back_by_an_upsert(world: World) -> None:
    upsert(world, replace(ADA, active=False))
    assert upsert(world, replace(ADA, active=None)).active is False
    waiting = world.create()
    assert upsert(world, ADA).active
    assert world.effects[-1].capacity_freed
    assert world.create(waiting.project_id).matched_advisor_id == ADA.id


def test_a_project_is_read_as_it_was_written(world: World) -> None:
    stack = TechStack("Django", ("Python", "SQL"), ("payments",))
    shop = Project(uuid4(), uuid4(), "Shop", stack, ProjectComplexity.COMPLEX, "Asia/Kolkata", "hi-IN")
    assert save(world, shop) == shop
    assert directory.get_project(world.runner, call(), shop.id) == shop
    assert save(world, replace(shop, name="Store", tech_stack=TechStack())).tech_stack == TechStack()


def test_a_complexity_that_is_not_stated_reads_as_medium(world: World) -> None:
    shop = save(world, Project(uuid4(), uuid4(), "Shop"))
    assert shop.project_complexity is ProjectComplexity.MEDIUM
    assert world.ask("SELECT project_complexity FROM projects") is None


def test_zone_and_locale_belong_to_the_owner_and_hold_for_all_their_projects(world: World) -> None:
    owner = uuid4()
    one = save(world, Project(uuid4(), owner, "One", owner_timezone="UTC", owner_locale="en-GB"))
    other = save(world, Project(uuid4(), owner, "Other", owner_locale="de-DE"))
    assert (other.owner_timezone, other.owner_locale) == ("UTC", "de-DE")
    read = directory.get_project(world.runner, call(), one.id)
    assert (read.owner_timezone, read.owner_locale) == ("UTC", "de-DE")
    assert save(world, replace(one, owner_timezone=None, owner_locale=None)) == read


def test_a_person_who_is_owner_and_advisor_keeps_both(world: World) -> None:
    upsert(world, ADA)
    save(world, Project(uuid4(), ADA.id, "Own", owner_timezone="Asia/Tokyo", owner_locale="ja"))
    assert get(world, ADA.id) == ADA
    assert upsert(world, ADA).timezone == "Europe/London"


def test_an_e_mail_address_is_for_its_person_and_the_platform(world: World) -> None:
    upsert(world, ADA)
    other = call(uuid4(), Role.ADVISOR, Role.CLIENT)
    for by in (call(), call(uuid4(), Role.ADMIN), call(ADA.id, Role.ADVISOR)):
        assert get(world, ADA.id, by).email == ADA.email
        assert [one.email for one in page_through(world, 5, by)] == [ADA.email]
    assert get(world, ADA.id, other) == replace(ADA, email=None)
    assert page_through(world, 5, other) == [replace(ADA, email=None)]


def test_an_inactive_advisor_can_be_read_and_is_not_listed(world: World) -> None:
    upsert(world, replace(ADA, active=False))
    assert get(world, ADA.id).active is False
    assert page_through(world, 5) == []
    with pytest.raises(AdvisorNotFound):
        get(world, uuid4())


FILTERS: list[tuple[dict[str, Any], set[str]]] = [
    ({}, {"free", "busy", "full", "other"}),
    ({"skill": "go"}, {"free", "busy", "full"}),
    ({"skill": "PAYMENTS"}, {"free"}),
    ({"skill": "payment"}, set()),
    ({"skill": ""}, set()),
    ({"framework": "django"}, {"busy", "other"}),
    ({"framework": "Go"}, set()),
    ({"available": True}, {"free", "other"}),
    ({"available": False}, {"busy", "full"}),
    ({"skill": "GO", "framework": "DJANGO"}, {"busy"}),
    ({"skill": "go", "framework": "django", "available": True}, set()),
]


def test_filters_narrow_the_list_together(world: World) -> None:
    world.advisor(display_name="free", skills=["Go"], specialties=["Payments"])
    world.advisor(display_name="busy", skills=["go"], frameworks=["Django"], status="busy")
    world.advisor(display_name="full", skills=["GO"])
    world.advisor(display_name="other", frameworks=["DJANGO", "Rails"])
    world.advisor(display_name="gone", skills=["Go"], active=False)
    world.run(
        "UPDATE advisor_availability SET max_concurrent_projects = 1, current_projects = 1"
        " WHERE advisor_id = (SELECT id FROM advisors WHERE display_name = 'full')"
    )
    found = [(asked, {one.display_name for one in page_through(world, 50, **asked)}) for asked, _ in FILTERS]
    assert found == FILTERS
    world.run("UPDATE advisor_availability SET current_projects = 0")


def test_pages_hold_everybody_once_newest_first(world: World) -> None:
    # Some were created in the same instant: then the id decides.
    for _ in range(2):
        insert_advisors(world.conn, 10)
    world.run("UPDATE advisors SET created_at = date_trunc('second', created_at)")
    expected = [row[0] for row in world.rows("SELECT id FROM advisors ORDER BY created_at DESC, id DESC")]
    for size in (1, 3, 7, 20, 21):
        assert [one.id for one in page_through(world, size)] == expected


def test_newcomers_between_two_pages_move_nothing(world: World) -> None:
    old = insert_advisors(world.conn, 6)
    first = directory.list_advisors(world.runner, call(), ListAdvisors(page=Page(3)))
    insert_advisors(world.conn, 3)
    second = directory.list_advisors(world.runner, call(), ListAdvisors(page=Page(3, first.next)))
    assert second.next is None
    assert {one.id for one in (*first.items, *second.items)} == set(old)


@pytest.mark.parametrize("way", ["deactivate", "upsert"])
def test_a_deactivated_advisor_loses_open_offers_and_nothing_else(world: World, way: str) -> None:
    upsert(world, ADA)
    world.run("UPDATE advisor_availability SET max_concurrent_projects = 9")
    offered, accepted = world.create(), world.approve(world.create(), Side.ADVISOR)
    finalized = world.approve(world.create())
    admin = call(uuid4(), Role.ADMIN)
    if way == "deactivate":
        assert directory.deactivate_advisor(world.runner, admin, ADA.id, "on leave").active is False
    else:
        assert directory.upsert_advisor(world.runner, admin, replace(ADA, active=False)).active is False
    for match in (offered, accepted):
        now = world.match(match.id)
        assert (now.status, now.closed_reason) == (S.EXPIRED, ClosedReason.ADVISOR_DEACTIVATED)
        event = world.events(match.project_id)[-1]
        assert (event.type.value, event.user_id) == ("advisor.match_expired", admin.caller.user_id)
    assert world.match(finalized.id) == finalized
    assert world.load(ADA.id) == 1
    assert world.notified("offer_ended") == [ADA.id, ADA.id]
    assert world.create().status is S.PENDING


def test_a_deactivation_is_noted_once(world: World) -> None:
    upsert(world, ADA)
    admin = call(uuid4(), Role.ADMIN)
    for _ in range(2):
        assert directory.deactivate_advisor(world.runner, admin, ADA.id, "on leave").active is False
    noted = world.rows("SELECT intervention_type, reason, created_by FROM admin_matching_interventions")
    assert noted == [("advisor_deactivated", "on leave", admin.caller.user_id)]
    with pytest.raises(AdvisorNotFound):
        directory.deactivate_advisor(world.runner, admin, uuid4(), None)


def test_no_offer_slips_past_a_deactivation(world: World) -> None:
    for _ in range(rounds(10)):
        advisor, project = world.advisor(), world.project(owner_id=insert_user(world.conn))
        race: list[Callable[[], object]] = [
            partial(world.create, project, call()),
            partial(directory.deactivate_advisor, world.runner, call(), advisor, None),
        ]
        answers(together(*race))
        assert world.load(advisor) == 0
        assert world.create(project, call()).status is S.PENDING
        world.decline(world.create(project, call()), Side.CLIENT)
