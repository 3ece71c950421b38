"""The directory, availability, the chat, and lists page by page."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import pytest

from advisor_matching.v1.types_pb2 import (
    ActorType,
    Advisor,
    AvailabilityStatus,
    ChatMessageType,
    ChatMode,
    Project,
    ProjectComplexity,
    TechStack,
)
from matching_client import (
    AdvisorNotFound,
    IdempotencyMismatch,
    InvalidArgument,
    ProjectNotFound,
)
from tests.support.parties import DECLINED, Service, refused


def test_a_project_is_stored_as_it_was_given_and_read_by_those_it_concerns(service: Service) -> None:
    stack = TechStack(framework="react", languages=["TypeScript"], complexity_factors=["payments"])
    project = service.new_project(name="Shop", technology_stack=stack, owner_timezone="Europe/Berlin")
    assert (project.name, project.technology_stack) == ("Shop", stack)
    assert project.project_complexity == ProjectComplexity.PROJECT_COMPLEXITY_MEDIUM
    other = service.new_project(owner_id=project.owner_id, owner_locale="de")
    assert (other.owner_timezone, other.owner_locale) == ("Europe/Berlin", "de")
    assert service.owner(project).get_project(project.id).owner_locale == "de"
    assert not other.HasField("technology_stack")
    advisor = service.new_advisor()
    assert isinstance(refused(lambda: service.advisor(advisor).get_project(project.id)), ProjectNotFound)
    service.owner(project).create_match(project.id)
    assert service.advisor(advisor).get_project(project.id).id == project.id
    assert isinstance(refused(lambda: service.stranger("client").get_project(project.id)), ProjectNotFound)


def test_an_upsert_keeps_what_it_leaves_out_of_an_advisor(service: Service) -> None:
    first = service.new_advisor(email="ada@example.com", rating=4.0, skills=["a"], timezone="UTC")
    assert first.active
    again = service.platform.upsert_advisor(Advisor(id=first.id, display_name="Ada L."))
    kept = (again.email, again.rating, again.timezone, again.active)
    assert kept == ("ada@example.com", 4.0, "UTC", True)
    assert (again.display_name, list(again.skills)) == ("Ada L.", [])


def test_an_address_is_shown_to_the_person_and_the_platform_alone(service: Service) -> None:
    advisor = service.new_advisor(email="ada@example.com")
    for reader, shown in (
        (service.advisor(advisor), True),
        (service.platform, True),
        (service.admin, True),
        (service.stranger("client"), False),
        (service.stranger("advisor"), False),
    ):
        assert reader.get_advisor(advisor.id).HasField("email") is shown
        (listed,) = reader.list_advisors().advisors
        assert listed.HasField("email") is shown
    assert isinstance(refused(lambda: service.platform.get_advisor(str(uuid.uuid4()))), AdvisorNotFound)


def test_advisors_are_found_by_skill_framework_and_whether_they_are_free(service: Service) -> None:
    one = service.new_advisor(skills=["Payments"], frameworks=["react"])
    two = service.new_advisor(specialties=["payments"], status="AVAILABILITY_STATUS_BUSY")
    browsing = service.stranger("client")

    def found(**filters: Any) -> list[str]:
        return [advisor.id for advisor in browsing.list_advisors(**filters).advisors]

    assert found() == [two.id, one.id]
    assert found(skill="PAYMENTS") == [two.id, one.id]
    assert found(framework="React") == [one.id]
    assert (found(available=True), found(available=False)) == ([one.id], [two.id])
    service.platform.deactivate_advisor(one.id)
    assert found() == [two.id]


def test_availability_says_whether_and_why_not(service: Service) -> None:
    project, advisor, _ = service.matched()
    adviser = service.advisor(advisor)
    seen = adviser.get_availability()
    assert (seen.advisor_id, seen.is_available, seen.reason) == (advisor.id, True, "")
    assert (seen.current_capacity, seen.max_capacity) == (1, 3)
    assert seen.status == AvailabilityStatus.AVAILABILITY_STATUS_AVAILABLE
    full = adviser.update_availability(max_concurrent_projects=1)
    assert (full.is_available, full.reason, full.max_capacity) == (False, "at_capacity", 1)
    assert full.HasField("last_active")
    away = adviser.update_availability(status="AVAILABILITY_STATUS_OFFLINE", decline_open_offers=True)
    assert (away.reason, away.current_capacity, away.max_capacity) == ("offline", 0, 1)
    assert service.event_types(project) == ["advisor.matched", "advisor.match_declined"]
    assert isinstance(
        refused(lambda: service.stranger("advisor").get_availability(advisor_id=advisor.id)), AdvisorNotFound
    )
    assert isinstance(refused(lambda: service.stranger("advisor").get_availability()), AdvisorNotFound)


def test_a_message_is_stored_once_and_says_who_wrote_it(service: Service) -> None:
    project, advisor, match = service.finalized()
    id_ = str(uuid.uuid4())
    sent = service.owner(project).send_message(project.id, "hi\n", client_msg_id=id_, mode="CHAT_MODE_PLAN")
    assert not sent.already_sent
    message = sent.message
    assert (message.actor_type, message.user_id) == (ActorType.ACTOR_TYPE_CLIENT, project.owner_id)
    assert (message.text, message.mode) == ("hi\n", ChatMode.CHAT_MODE_PLAN)
    assert (message.message_type, message.client_msg_id) == (ChatMessageType.CHAT_MESSAGE_TYPE_USER, id_)
    again = service.owner(project).send_message(project.id, "hi\n", client_msg_id=id_, mode="CHAT_MODE_PLAN")
    assert again.already_sent
    assert again.message == message
    other = refused(lambda: service.owner(project).send_message(project.id, "no", client_msg_id=id_))
    assert isinstance(other, IdempotencyMismatch)
    answer = service.advisor(advisor).send_message(project.id, "hello").message
    assert (answer.actor_type, answer.seq) == (ActorType.ACTOR_TYPE_ADVISOR, message.seq + 1)
    by_service = service.platform.send_message(project.id, "notice", actor_type="ACTOR_TYPE_SYSTEM").message
    assert not by_service.HasField("user_id")
    assert by_service.message_type == ChatMessageType.CHAT_MESSAGE_TYPE_SYSTEM

    messages = service.owner(project).list_messages(project.id, order="MESSAGE_ORDER_OLDEST_FIRST").messages
    welcome, *rest = messages
    assert list(rest) == [message, answer, by_service]
    assert welcome.text == "Advisor has joined the workspace and is ready to help!"
    assert (welcome.mode, welcome.actor_type) == (ChatMode.CHAT_MODE_PLAN, ActorType.ACTOR_TYPE_SYSTEM)
    said = welcome.response_data
    assert (said.event_code, said.advisor_id, said.match_id) == ("advisor_joined", advisor.id, match.id)


def test_the_chat_is_for_those_who_work_on_the_project(service: Service) -> None:
    project, advisor, _ = service.matched()
    for outsider in (service.advisor(advisor), service.stranger("client")):
        error = refused(lambda outsider=outsider: outsider.send_message(project.id, "hi"))  # type: ignore[misc]
        assert isinstance(error, ProjectNotFound)
        error = refused(lambda outsider=outsider: outsider.list_messages(project.id))  # type: ignore[misc]
        assert isinstance(error, ProjectNotFound)
    stated = refused(
        lambda: service.owner(project).send_message(project.id, "hi", actor_type="ACTOR_TYPE_SYSTEM")
    )
    assert isinstance(stated, InvalidArgument)
    assert [violation.field for violation in stated.field_violations] == ["actor_type"]


def _matches(service: Service) -> tuple[Callable[..., Any], list[str]]:
    service.new_advisor(slots=9)
    project = service.new_project()
    owner = service.owner(project)
    ids = []
    for _ in range(5):
        match = owner.create_match(project.id, allow_previous=True).match
        ids.append(match.id)
        owner.submit_client_decision(match.id, DECLINED)
    return lambda **page: owner.list_project_matches(project.id, **page), ids[::-1]


def _claimable(service: Service) -> tuple[Callable[..., Any], list[str]]:
    advisor = service.new_advisor(status="AVAILABILITY_STATUS_BUSY")
    projects = [service.new_project() for _ in range(5)]
    ids = [service.owner(project).create_match(project.id).match.id for project in projects]
    return lambda **page: service.advisor(advisor).list_claimable_matches(**page), ids


def _advisors(service: Service) -> tuple[Callable[..., Any], list[str]]:
    ids = [service.new_advisor().id for _ in range(5)]
    return service.platform.list_advisors, ids[::-1]


def _messages(service: Service) -> tuple[Callable[..., Any], list[str]]:
    project = service.new_project()
    owner = service.owner(project)
    ids = [owner.send_message(project.id, str(number)).message.id for number in range(5)]
    return lambda **page: owner.list_messages(project.id, **page), ids[::-1]


@pytest.mark.parametrize("kind", [_matches, _claimable, _advisors, _messages])
def test_a_list_is_read_page_by_page_in_its_order(
    service: Service, kind: Callable[[Service], tuple[Callable[..., Any], list[str]]]
) -> None:
    read, expected = kind(service)
    seen, token, pages = [], "", 0
    while pages == 0 or token:
        answer = read(page_size=2, page_token=token)
        rows = next(value for field, value in answer.ListFields() if field.is_repeated)
        seen += [row.id for row in rows]
        token, pages = answer.next_page_token, pages + 1
    assert (seen, pages) == (expected, 3)
    error = refused(lambda: read(page_token="no token"))
    assert isinstance(error, InvalidArgument)
    assert [violation.field for violation in error.field_violations] == ["page_token"]


def test_a_message_token_is_good_for_its_own_order_alone(service: Service) -> None:
    read, _ = _messages(service)
    token = read(page_size=2).next_page_token
    error = refused(lambda: read(page_size=2, page_token=token, order="MESSAGE_ORDER_OLDEST_FIRST"))
    assert isinstance(error, InvalidArgument)


def test_an_unknown_project_does_not_exist_for_anybody(service: Service) -> None:
    nothing = Project(id=str(uuid.uuid4()), owner_id=str(uuid.uuid4()))
    for client in (service.owner(nothing), service.platform):
        error = refused(lambda client=client: client.create_match(nothing.id))  # type: ignore[misc]
        assert isinstance(error, ProjectNotFound)
        assert error.message == f"no project with id {nothing.id}"
