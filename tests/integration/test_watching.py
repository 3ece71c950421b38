"""Who may watch a project, what of it they see, and where a watch begins."""

from __future__ import annotations

from uuid import UUID, uuid4

import pytest

from matching_server.domain.calls import Call
from matching_server.domain.errors import (
    EventIdInvalid,
    EventIdUnknown,
    EventsCompacted,
    ProjectNotFound,
    Unauthenticated,
)
from matching_server.domain.events import encode_event_id
from matching_server.domain.model import Match, Role, Side
from matching_server.operations import provisioning
from matching_server.operations.commands import WatchProject
from matching_server.operations.watching import EventSource, WatchRights, WatchStart, begin_watch
from matching_server.storage import event_log
from tests.integration.world import World, call

EVERYTHING = WatchRights(everything=True)


def begin(world: World, project: UUID, by: Call | None = None, **command: object) -> WatchStart:
    # The fields are given by name, a few at a time, with types that a type checker loses on the way.
    return begin_watch(world.runner, by or call(), WatchProject(project, **command), server_id=uuid4())  # type: ignore[arg-type]


def rights(world: World, project: UUID, by: Call) -> WatchRights | None:
    return EventSource(world.database).rights(by.caller, project)


def id_of(world: World, project: UUID, seq: int) -> str:
    return encode_event_id(world.database.read(event_log.epoch), project, seq)


def finalized(world: World) -> Match:
    """Its project has four events."""
    world.advisor()
    return world.approve(world.create())


def prune(world: World, project: UUID, through: int) -> None:
    of = {"project": project, "through": through}
    world.run("UPDATE project_event_heads SET pruned_through = :through WHERE project_id = :project", **of)
    world.run("DELETE FROM project_events WHERE project_id = :project AND seq <= :through", **of)


def test_owner_and_platform_see_everything(world: World) -> None:
    project = world.project()
    for by in (world.client(project), call(), call(uuid4(), Role.ADMIN)):
        assert rights(world, project, by) == EVERYTHING
        assert begin(world, project, by).rights == EVERYTHING


def test_a_stranger_sees_nothing_not_even_that_there_is_a_project(world: World) -> None:
    project, other = world.project(), world.project()
    world.advisor(status="busy")
    world.create(project)
    owner = world.owner(project)
    strangers = [world.client(other), call(owner, Role.ADVISOR), call(uuid4(), Role.ADVISOR, Role.CLIENT)]
    for by in strangers:
        assert rights(world, project, by) is None
        with pytest.raises(ProjectNotFound, match=str(project)):
            begin(world, project, by)
    with pytest.raises(ProjectNotFound):
        begin(world, uuid4(), call())
    assert EventSource(world.database).rights(call().caller, uuid4()) is None


def test_an_advisor_to_whom_a_match_is_offered_sees_that_match_alone(world: World) -> None:
    first, second = world.advisor(), world.advisor()
    project = world.project()
    declined = world.create(project)
    world.decline(declined, Side.CLIENT)
    offered = world.create(project)
    assert {declined.matched_advisor_id, offered.matched_advisor_id} == {first, second}
    may = rights(world, project, call(offered.matched_advisor_id, Role.ADVISOR))
    assert may == WatchRights(everything=False, matches=frozenset({offered.id}), by_place=True)
    assert [may.allow(event) for event in world.events(project)] == [False, False, True]
    # It takes the role, and the offer.
    assert rights(world, project, call(offered.matched_advisor_id, Role.CLIENT)) is None
    assert rights(world, project, call(declined.matched_advisor_id, Role.ADVISOR)) is None


def test_the_right_of_an_offer_ends_with_it(world: World) -> None:
    advisor = world.advisor()
    by = call(advisor, Role.ADVISOR)
    match = world.create()
    assert rights(world, match.project_id, by) is not None
    approved = world.approve(match, Side.CLIENT)
    assert rights(world, match.project_id, by) is not None
    world.decline(approved, Side.ADVISOR)
    assert rights(world, match.project_id, by) is None


def test_an_active_advisor_sees_everything_while_the_access_row_is_active(world: World) -> None:
    on = world.under(auto_provision=True)
    world.advisor()
    match = on.approve(on.create())
    by = call(match.matched_advisor_id, Role.ADVISOR)
    assert rights(world, match.project_id, by) == WatchRights(
        everything=False, matches=frozenset({match.id}), by_place=True
    )
    [job] = provisioning.take_jobs(on.runner, 1)
    provisioning.attempt(on.runner, job)
    assert rights(world, match.project_id, by) == WatchRights(everything=True, by_place=True)
    world.run("UPDATE project_advisors SET status = 'inactive'")
    world.run("UPDATE advisor_availability SET current_projects = 0")
    assert rights(world, match.project_id, by) is None


def test_a_watch_begins_with_what_comes_next(world: World) -> None:
    project = world.project()
    assert begin(world, project).seq == 0
    world.advisor()
    match = world.approve(world.create(project))
    start = begin(world, project)
    assert (start.seq, start.event_id) == (4, id_of(world, project, 4))
    world.run("UPDATE advisor_availability SET status = 'busy'")
    world.create(match.project_id)
    after = EventSource(world.database).after(project, start.seq, 10)
    assert [event.type.value for event in after] == ["advisor.match_pending"]


def test_a_watch_from_the_start_begins_with_what_is_kept(world: World) -> None:
    match = finalized(world)
    assert begin(world, match.project_id, from_start=True).seq == 0
    prune(world, match.project_id, through=2)
    start = begin(world, match.project_id, from_start=True)
    assert start.seq == 2
    assert [event.seq for event in EventSource(world.database).after(match.project_id, 2, 10)] == [3, 4]


@pytest.mark.parametrize("seq", [2, 3, 4])
def test_a_watch_goes_on_after_an_id_that_is_kept_or_just_pruned(world: World, seq: int) -> None:
    project = finalized(world).project_id
    prune(world, project, through=2)
    for from_start in (False, True):
        start = begin(world, project, last_event_id=id_of(world, project, seq), from_start=from_start)
        assert (start.seq, start.event_id) == (seq, id_of(world, project, seq))


@pytest.mark.parametrize("seq", [0, 1])
def test_an_id_older_than_what_is_kept_is_told_with_the_oldest_that_works(world: World, seq: int) -> None:
    project = finalized(world).project_id
    prune(world, project, through=2)
    with pytest.raises(EventsCompacted) as refused:
        begin(world, project, last_event_id=id_of(world, project, seq))
    oldest = refused.value.metadata["oldest_event_id"]
    assert begin(world, project, last_event_id=oldest).seq == 2
    assert EventSource(world.database).compacted(project).metadata == refused.value.metadata


def test_an_id_of_another_log_or_of_the_future_is_unknown(world: World) -> None:
    project = finalized(world).project_id
    other = world.create().project_id
    epoch = world.database.read(event_log.epoch)
    for wrong in (
        id_of(world, project, 5),
        id_of(world, project, 2**64 - 1),
        id_of(world, other, 1),
        encode_event_id(uuid4(), project, 1),
    ):
        with pytest.raises(EventIdUnknown):
            begin(world, project, last_event_id=wrong)
    assert EventSource(world.database).epoch == epoch


@pytest.mark.parametrize("text", ["x", "1", "../1", "é" * 34, "A" * 34, "A" * 10_000])
def test_what_is_no_id_is_told_so(world: World, text: str) -> None:
    project = world.project()
    with pytest.raises(EventIdInvalid) as refused:
        begin(world, project, last_event_id=text)
    assert refused.value.violations[0].field == "last_event_id"


def test_a_stranger_learns_nothing_from_an_id(world: World) -> None:
    project = finalized(world).project_id
    stranger = call(uuid4(), Role.CLIENT)
    for text in ("x", id_of(world, project, 1), id_of(world, project, 99)):
        with pytest.raises(ProjectNotFound):
            begin(world, project, stranger, last_event_id=text)


def test_opening_a_watch_spends_its_nonce(world: World) -> None:
    project = world.project()
    begin(world, project, world.client(project, nonce="n1"))
    with pytest.raises(Unauthenticated):
        begin(world, project, world.client(project, nonce="n1"))


def test_the_logs_that_went_on_are_those_with_a_higher_number(world: World) -> None:
    moved, seen = finalized(world).project_id, finalized(world).project_id
    assert EventSource(world.database).moved_on({moved: 3, seen: 4, uuid4(): 0}) == [moved]


def test_owners_are_told_from_whoever_else_may_watch(world: World) -> None:
    project, other = world.project(), world.project()
    watched = [
        (project, world.client(project).caller),
        (other, world.client(project).caller),
        (project, call(world.owner(project), Role.ADVISOR).caller),
        (uuid4(), world.client(project).caller),
        (other, world.client(other).caller),
    ]
    assert EventSource(world.database).owned(watched) == [True, False, False, False, True]
