"""A project's log read without a stream: who sees what of it, and from where to where."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Connection

from matching_server.domain.calls import Call
from matching_server.domain.errors import EventIdInvalid, EventIdUnknown, EventsCompacted, ProjectNotFound
from matching_server.domain.events import decode_event_id, encode_event_id
from matching_server.domain.model import Match, Role, Side
from matching_server.operations import chat
from matching_server.operations.commands import ListEvents, SendMessage, WatchProject
from matching_server.operations.provisioning import AttemptResult, attempt
from matching_server.operations.watching import EventPage, EventSource, begin_watch, list_events
from matching_server.storage import event_log
from matching_server.storage.event_log import LogBounds
from tests.integration.jobs import finalized, take
from tests.integration.world import World, answers, call, together


@pytest.fixture
def world(world: World) -> World:
    """Workspaces are made."""
    return world.under(auto_provision=True)


@pytest.fixture
def match(world: World) -> Match:
    """Its advisor is active; the project has six events, the last but one of them the welcome."""
    world.advisor(slots=1)
    made = finalized(world)
    assert attempt(world.runner, take(world)) is AttemptResult.COMPLETED
    return made


def advisor(match: Match) -> Call:
    return call(match.matched_advisor_id, Role.ADVISOR)


def read(
    world: World, project: UUID, by: Call | None = None, after: str | None = None, size: int = 50
) -> EventPage:
    return list_events(world.runner, by or call(), ListEvents(project, after, size))


def read_all(world: World, project: UUID, by: Call, size: int) -> list[list[int]]:
    """The numbers on each page, as somebody gets them who goes on until a page is not full."""
    pages: list[list[int]] = []
    after = None
    while not pages or len(pages[-1]) == size:
        page = read(world, project, by, after, size)
        pages.append([event.seq for event in page.events])
        after = page.event_id
    return pages


def id_of(world: World, project: UUID, seq: int) -> str:
    return encode_event_id(world.database.read(event_log.epoch), project, seq)


def reached(world: World, project: UUID, page: EventPage) -> int:
    """The number of the position that a page has reached; a watch begins there."""
    start = begin_watch(world.runner, call(), WatchProject(project, page.event_id), server_id=uuid4())
    assert start.event_id == page.event_id
    return start.seq


def say(world: World, project: UUID, text: str) -> None:
    chat.send_message(world.runner, call(), SendMessage(project, text, uuid4()))


def prune(world: World, project: UUID, through: int) -> None:
    of = {"project": project, "through": through}
    world.run("UPDATE project_event_heads SET pruned_through = :through WHERE project_id = :project", **of)
    world.run("DELETE FROM project_events WHERE project_id = :project AND seq <= :through", **of)


def offer(world: World, match: Match) -> Match:
    """Another advisor is offered the project."""
    return world.assign(match.project_id, world.advisor(slots=1)).match


def test_owner_advisor_and_platform_read_the_whole_log(world: World, match: Match) -> None:
    project = match.project_id
    log = tuple(world.events(project))
    assert len(log) == 6
    for by in (world.client(project), advisor(match), call(), call(None, Role.ADMIN)):
        page = read(world, project, by)
        assert page.events == log
        assert page.event_id == id_of(world, project, 6)
        assert page.epoch == world.database.read(event_log.epoch)


def test_for_everybody_else_the_project_is_not_there(world: World, match: Match) -> None:
    project, missing = match.project_id, uuid4()
    declined = world.decline(offer(world, match), Side.ADVISOR)
    outsiders = [
        call(uuid4(), Role.CLIENT, Role.ADVISOR),
        world.client(world.project()),
        call(world.owner(project), Role.ADVISOR),
        call(match.matched_advisor_id, Role.CLIENT),
        advisor(declined),
    ]
    for by in outsiders:
        # Whatever the id is worth, it tells them nothing.
        for after in (None, "x", id_of(world, project, 1), id_of(world, project, 99)):
            told = []
            for id_ in (project, missing):
                with pytest.raises(ProjectNotFound) as refused:
                    read(world, id_, by, after)
                told.append(str(refused.value).replace(str(id_), "<id>"))
            assert told[0] == told[1]
    with pytest.raises(ProjectNotFound):
        read(world, missing)
    world.release(project, advisor(match).caller.user_id)
    with pytest.raises(ProjectNotFound):
        read(world, project, advisor(match))


@pytest.mark.parametrize("size", [1, 2, 3, 6, 7])
def test_pages_join_without_gap_or_repeat(world: World, match: Match, size: int) -> None:
    pages = read_all(world, match.project_id, call(), size)
    assert [seq for page in pages for seq in page] == [1, 2, 3, 4, 5, 6]
    assert all(len(page) == size for page in pages[:-1])


def test_an_empty_log_has_a_position_to_go_on_from(world: World) -> None:
    project = world.project()
    page = read(world, project)
    assert (page.events, reached(world, project, page)) == ((), 0)
    say(world, project, "first")
    after = read(world, project, after=page.event_id)
    assert [event.seq for event in after.events] == [1]
    assert reached(world, project, after) == 1
    end = read(world, project, after=after.event_id)
    assert (end.events, end.event_id) == ((), after.event_id)


def test_an_advisor_with_an_offer_reads_the_events_of_their_match_alone(world: World, match: Match) -> None:
    project = match.project_id
    offered = offer(world, match)
    say(world, project, "not for them")
    world.approve(offered, Side.CLIENT)
    say(world, project, "nor this")
    by, theirs = advisor(offered), [7, 9]
    assert {event.match_id for event in read(world, project, by).events} == {offered.id}
    for size in (1, 2, 3):
        pages = read_all(world, project, by, size)
        assert [seq for page in pages for seq in page] == theirs
    # What is hidden at the end is behind them; so is a log of nothing but what is hidden.
    assert reached(world, project, read(world, project, by)) == 10
    nothing = read(world, project, by, id_of(world, project, 9))
    assert (nothing.events, reached(world, project, nothing)) == ((), 10)
    # A full page reaches its last event and no farther.
    assert reached(world, project, read(world, project, by, size=2)) == 9


def test_who_goes_on_with_a_watch_misses_nothing_and_gets_nothing_twice(world: World, match: Match) -> None:
    project = match.project_id
    offered = offer(world, match)
    for by, seen in ((call(), 1), (advisor(offered), 0)):
        page = read(world, project, by)
        start = begin_watch(world.runner, by, WatchProject(project, page.event_id), server_id=uuid4())
        say(world, project, "hello")
        live = [
            event
            for event in EventSource(world.database).after(project, start.seq, 100)
            if start.rights.allow(event)
        ]
        assert len(live) == seen
        assert not {event.seq for event in live} & {event.seq for event in page.events}


@pytest.mark.parametrize("seq", [2, 3, 6])
def test_a_log_is_read_on_from_what_is_kept_or_was_just_pruned(world: World, match: Match, seq: int) -> None:
    prune(world, match.project_id, through=2)
    page = read(world, match.project_id, after=id_of(world, match.project_id, seq))
    assert [event.seq for event in page.events] == list(range(seq + 1, 7))
    assert [event.seq for event in read(world, match.project_id).events] == [3, 4, 5, 6]


def test_a_log_that_was_pruned_to_its_end_has_a_position(world: World, match: Match) -> None:
    prune(world, match.project_id, through=6)
    page = read(world, match.project_id)
    assert (page.events, reached(world, match.project_id, page)) == ((), 6)


@pytest.mark.parametrize("seq", [0, 1])
def test_an_id_older_than_what_is_kept_is_told_with_the_oldest_that_works(
    world: World, match: Match, seq: int
) -> None:
    prune(world, match.project_id, through=2)
    with pytest.raises(EventsCompacted) as refused:
        read(world, match.project_id, after=id_of(world, match.project_id, seq))
    oldest = refused.value.metadata["oldest_event_id"]
    assert [event.seq for event in read(world, match.project_id, after=oldest).events] == [3, 4, 5, 6]


def test_an_id_of_another_log_or_of_the_future_is_unknown(world: World, match: Match) -> None:
    project, other = match.project_id, world.project()
    wrong = (
        id_of(world, project, 7),
        id_of(world, project, 2**64 - 1),
        id_of(world, other, 1),
        encode_event_id(uuid4(), project, 1),
    )
    for after in wrong:
        with pytest.raises(EventIdUnknown):
            read(world, project, after=after)


@pytest.mark.parametrize("after", ["x", "1", "é" * 34, "A" * 34, "A" * 10_000])
def test_what_is_no_id_is_told_so(world: World, after: str) -> None:
    with pytest.raises(EventIdInvalid) as refused:
        read(world, world.project(), after=after)
    assert [violation.field for violation in refused.value.violations] == ["after_event_id"]


def test_what_is_pruned_while_it_is_read_is_not_passed_over_in_silence(
    world: World, match: Match, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Retention comes between the look at the log's bounds and that at its events."""
    bounds: Callable[[Connection, UUID], LogBounds] = event_log.bounds

    def then_pruned(conn: Connection, project_id: UUID) -> LogBounds:
        found = bounds(conn, project_id)
        prune(world, project_id, through=4)
        return found

    monkeypatch.setattr(event_log, "bounds", then_pruned)
    page = read(world, match.project_id)
    assert [event.seq for event in page.events] == [1, 2, 3, 4, 5, 6]


def test_pages_read_while_events_arrive_are_the_log(world: World) -> None:
    project = world.project()
    by = world.client(project)

    def write() -> list[int]:
        for number in range(30):
            say(world, project, str(number))
        return []

    def follow() -> list[int]:
        seen: list[int] = []
        after = None
        while seen[-1:] != [30]:
            page = read(world, project, by, after, size=4)
            seen += [event.seq for event in page.events]
            after = page.event_id
            assert decode_event_id(after, page.epoch, project) == (seen[-1] if seen else 0)
        return seen

    outcomes = answers(together(write, follow, follow))
    assert outcomes[1:] == [list(range(1, 31))] * 2
