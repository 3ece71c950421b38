"""The log of a project, and the watch that follows it."""

from __future__ import annotations

import uuid

import pytest

from matching_client import (
    EventIdInvalid,
    EventIdUnknown,
    ProjectNotFound,
    StreamEvicted,
)
from tests.support.parties import APPROVED, DECLINED, Service, refused
from tests.support.watching import watching


def test_a_watch_tells_of_everything_that_comes_after_it_began(service: Service) -> None:
    service.new_advisor()
    project = service.new_project()
    owner = service.owner(project)
    with watching(owner, project.id) as watch:
        match = owner.create_match(project.id).match
        event = next(watch)
        assert (event.type, event.seq, event.match.match_id) == ("advisor.matched", 1, match.id)
        assert (event.project_id, event.user_id) == (project.id, project.owner_id)
        owner.send_message(project.id, "hello")
        message = next(watch)
        assert (message.type, message.message.text, message.message.seq) == ("message.new", "hello", 2)
        assert watch.last_event_id == message.id
    assert list(owner.list_project_events(project.id).events) == [event, message]


def test_a_watch_resumes_after_any_event_and_misses_nothing(service: Service) -> None:
    project, _, match = service.matched()
    owner = service.owner(project)
    owner.submit_client_decision(match.id, APPROVED)
    first, second = owner.list_project_events(project.id).events
    owner.submit_client_decision(match.id, DECLINED)
    with watching(owner, project.id, from_start=True) as watch:
        assert [next(watch).seq for _ in range(3)] == [1, 2, 3]
    with watching(owner, project.id, last_event_id=first.id) as watch:
        assert [next(watch).seq for _ in range(2)] == [2, 3]
    with watching(owner, project.id, last_event_id=second.id) as watch:
        assert next(watch).type == "advisor.match_declined"
    with watching(owner, project.id, from_start=True, types=["advisor.match_declined"]) as watch:
        assert next(watch).seq == 3


def test_a_watch_that_began_where_nothing_had_happened_has_a_place_to_resume_from(service: Service) -> None:
    service.new_advisor()
    project = service.new_project()
    owner = service.owner(project)
    with watching(owner, project.id) as watch:
        place = watch.last_event_id
    owner.create_match(project.id)
    with watching(owner, project.id, last_event_id=place) as watch:
        assert next(watch).seq == 1


def test_events_are_listed_page_by_page(service: Service) -> None:
    project = service.new_project()
    owner = service.owner(project)
    for number in range(5):
        owner.send_message(project.id, str(number))
    seen, after = [], ""
    for _ in range(3):
        page = owner.list_project_events(project.id, after_event_id=after, page_size=2)
        seen += [event.message.text for event in page.events]
        after = page.last_event_id
    assert seen == ["0", "1", "2", "3", "4"]
    rest = owner.list_project_events(project.id, after_event_id=after)
    assert (list(rest.events), rest.last_event_id) == ([], after)


def test_an_id_of_no_event_of_this_log_is_refused(service: Service) -> None:
    project, other = service.new_project(), service.new_project()
    owner = service.owner(project)
    foreign = service.owner(other).list_project_events(other.id).last_event_id
    for id_, kind in (("no id", EventIdInvalid), (foreign, EventIdUnknown)):
        listed = refused(lambda id_=id_: owner.list_project_events(project.id, after_event_id=id_))  # type: ignore[misc]
        assert isinstance(listed, kind)
        watched = refused(lambda id_=id_: owner.watch(project.id, last_event_id=id_))  # type: ignore[misc]
        assert isinstance(watched, kind)
        fields = [violation.field for violation in watched.field_violations]
        assert fields == (["last_event_id"] if kind is EventIdInvalid else [])


def test_a_fourth_watch_ends_the_oldest_and_one_of_the_same_name_its_predecessor(service: Service) -> None:
    project = service.new_project()
    owner = service.owner(project)
    watches = [owner.watch(project.id, watch_id=str(number)) for number in range(4)]
    with pytest.raises(StreamEvicted):
        next(watches[0])
    replacing = owner.watch(project.id, watch_id="2")
    with pytest.raises(StreamEvicted):
        next(watches[2])
    owner.send_message(project.id, "hello")
    for watch in (watches[1], watches[3], replacing):
        assert next(watch).message.text == "hello"
        watch.close()


def test_an_advisor_sees_the_events_of_their_offer_alone_until_it_ends(service: Service) -> None:
    project, advisor, match = service.matched()
    owner, adviser = service.owner(project), service.advisor(advisor)
    with watching(adviser, project.id, from_start=True) as watch:
        owner.send_message(project.id, "not for the advisor")
        assert next(watch).type == "advisor.matched"
        owner.submit_client_decision(match.id, DECLINED)
        assert next(watch).type == "advisor.match_declined"
        with pytest.raises(ProjectNotFound):
            next(watch)
    assert isinstance(refused(lambda: adviser.list_project_events(project.id)), ProjectNotFound)


@pytest.mark.parametrize("role", ["client", "advisor"])
def test_strangers_watch_nothing(service: Service, role: str) -> None:
    project = service.new_project()
    stranger = service.caller(str(uuid.uuid4()), role)
    assert isinstance(refused(lambda: stranger.watch(project.id)), ProjectNotFound)
    assert isinstance(refused(lambda: stranger.list_project_events(project.id)), ProjectNotFound)
