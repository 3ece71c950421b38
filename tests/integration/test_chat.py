"""A project's chat: who takes part, what is stored once, and in which order it is read."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import pytest

from matching_server.domain.calls import Call
from matching_server.domain.errors import (
    DomainError,
    IdempotencyMismatch,
    InvalidArgument,
    ProjectNotFound,
    Unauthenticated,
)
from matching_server.domain.events import ChatMessage, EventType
from matching_server.domain.model import ActorType, ChatMessageType, ChatMode, Match, MessageOrder, Role
from matching_server.operations import chat
from matching_server.operations.commands import ListMessages, MessagePage, SendMessage, SentMessage
from matching_server.operations.provisioning import AttemptResult, attempt
from tests.integration.jobs import finalized, take
from tests.integration.world import World, answers, call, together
from tests.support.rounds import rounds

NEWEST, OLDEST = MessageOrder.NEWEST_FIRST, MessageOrder.OLDEST_FIRST
SESSIONS = "SELECT user_id, actor_type, session_state, preferred_locale FROM unified_chat_sessions"


@pytest.fixture
def world(world: World) -> World:
    """Workspaces are made."""
    return world.under(auto_provision=True)


@pytest.fixture
def match(world: World) -> Match:
    """Its advisor is active, and has been welcomed."""
    world.advisor()
    made = finalized(world)
    assert attempt(world.runner, take(world)) is AttemptResult.COMPLETED
    return made


def advisor(match: Match, **how: Any) -> Call:
    return call(match.matched_advisor_id, Role.ADVISOR, **how)


def send(world: World, project: UUID, by: Call, text: str = "hello", **command: Any) -> SentMessage:
    """A call of its own, by the same caller."""
    command = {"client_msg_id": uuid4()} | command
    return chat.send_message(world.runner, replace(by, id=uuid4()), SendMessage(project, text, **command))


def said(world: World, project: UUID, by: Call, *texts: str) -> list[ChatMessage]:
    return [send(world, project, by, text).message for text in texts]


def listed(world: World, project: UUID, by: Call | None = None, **command: Any) -> MessagePage:
    return chat.list_messages(world.runner, by or call(), ListMessages(project, **command))


def texts(page: MessagePage) -> list[str]:
    return [message.text for message in page.messages]


def stored(world: World) -> int:
    count: int = world.ask("SELECT count(*) FROM unified_chat_messages WHERE client_msg_id IS NOT NULL")
    return count


# ------------------------------------------------------------------------------------------------ who takes part


def test_owner_active_advisor_and_service_write_and_read_what_the_others_wrote(
    world: World, match: Match
) -> None:
    project = match.project_id
    people = [world.client(project), advisor(match), call()]
    actors = [send(world, project, by, str(number)).message for number, by in enumerate(people)]
    assert [message.actor_type for message in actors] == [
        ActorType.CLIENT,
        ActorType.ADVISOR,
        ActorType.ASSISTANT,
    ]
    assert [message.user_id for message in actors] == [by.caller.user_id for by in people]
    assert {message.message_type for message in actors} == {ChatMessageType.USER}
    for by in people:
        assert listed(world, project, by).messages[:3] == tuple(reversed(actors))


def outsiders(world: World, match: Match) -> dict[str, Call]:
    """Everybody who has no part in the chat of the match's project, some of them with a part in the project."""
    owner, other = world.owner(match.project_id), world.project()
    offered_to = world.advisor()
    offer = world.assign(match.project_id, offered_to).match
    assert offer.matched_advisor_id == offered_to
    return {
        "an advisor with an offer": call(offered_to, Role.ADVISOR),
        "a stranger": call(uuid4(), Role.CLIENT, Role.ADVISOR),
        "the owner of another project": world.client(other),
        "the owner without the role": call(owner, Role.ADVISOR),
        "the advisor without the role": call(match.matched_advisor_id, Role.CLIENT),
        "an admin": call(None, Role.ADMIN),
        "an admin who is owner, without the role": call(owner, Role.ADMIN),
    }


def test_for_everybody_else_the_project_is_not_there(world: World, match: Match) -> None:
    project, missing = match.project_id, uuid4()
    before = world.told(project)
    for who, by in outsiders(world, match).items():
        for use in (partial(send, world, by=by), partial(listed, world, by=by)):
            refusals = []
            for id_ in (project, missing):
                with pytest.raises(ProjectNotFound) as refused:
                    use(id_)
                refusals.append((str(refused.value).replace(str(id_), "<id>"), refused.value.metadata))
            assert refusals[0] == refusals[1], who
    with pytest.raises(ProjectNotFound):
        send(world, missing, call())
    with pytest.raises(ProjectNotFound):
        listed(world, missing, call())
    assert stored(world) == 0
    assert world.told(project) == [*before, "advisor.matched"], "the offer, and nothing that was said"


def test_an_advisor_has_no_part_before_the_workspace_and_none_after_the_release(world: World) -> None:
    world.advisor()
    queued = finalized(world)
    by = advisor(queued)
    with pytest.raises(ProjectNotFound):
        send(world, queued.project_id, by)
    assert attempt(world.runner, take(world)) is AttemptResult.COMPLETED
    send(world, queued.project_id, by, "here I am")
    assert texts(listed(world, queued.project_id, by))[0] == "here I am"
    assert world.release(queued.project_id, by.caller.user_id)
    with pytest.raises(ProjectNotFound):
        send(world, queued.project_id, by, "one more thing")
    with pytest.raises(ProjectNotFound):
        listed(world, queued.project_id, by)
    assert texts(listed(world, queued.project_id))[0] == "here I am", "what they said stays"


def test_a_project_that_was_deleted_has_no_chat(world: World) -> None:
    project = world.project()
    owner = world.client(project)
    send(world, project, owner)
    world.run("DELETE FROM projects WHERE id = :id", id=project)
    for by in (owner, call()):
        with pytest.raises(ProjectNotFound):
            send(world, project, by)
        with pytest.raises(ProjectNotFound):
            listed(world, project, by)


def test_nothing_is_said_after_a_release_however_close_it_comes(world: World) -> None:
    for _ in range(rounds(5)):
        world.advisor(slots=1)
        match = finalized(world)
        assert attempt(world.runner, take(world)) is AttemptResult.COMPLETED
        project, by = match.project_id, advisor(match)
        outcomes: list[object] = list(
            together(
                *[partial(send, world, project, by, str(number)) for number in range(5)],
                partial(world.release, project, by.caller.user_id),
            )
        )
        refused = [outcome for outcome in outcomes if isinstance(outcome, Exception)]
        assert all(isinstance(error, ProjectNotFound) for error in refused)
        told = world.told(project)
        assert "message.new" not in told[told.index("advisor.released") :]
        assert len(refused) + told.count("message.new") == 5 + 1, "the welcome"


# ----------------------------------------------------------------------------------------------------- as what


def test_a_service_may_speak_as_assistant_or_system(world: World) -> None:
    project = world.project()
    service = call()
    words = send(world, project, service, actor_type=ActorType.ASSISTANT).message
    notice = send(world, project, service, actor_type=ActorType.SYSTEM).message
    assert (words.actor_type, words.message_type, words.user_id) == (
        ActorType.ASSISTANT,
        ChatMessageType.USER,
        service.caller.user_id,
    )
    assert (notice.actor_type, notice.message_type, notice.user_id) == (
        ActorType.SYSTEM,
        ChatMessageType.SYSTEM,
        None,
    )
    assert [event.user_id for event in world.events(project)] == [service.caller.user_id] * 2, "it acted"


@pytest.mark.parametrize("stated", ActorType)
def test_nobody_else_may_state_as_what_they_speak(world: World, match: Match, stated: ActorType) -> None:
    refused_by = [world.client(match.project_id), advisor(match), call(None, Role.CLIENT, Role.ADMIN)]
    if stated in (ActorType.CLIENT, ActorType.ADVISOR):
        refused_by.append(call())
    for by in refused_by:
        for project in (match.project_id, uuid4()):
            with pytest.raises(InvalidArgument) as refused:
                send(world, project, by, actor_type=stated)
            assert [violation.field for violation in refused.value.violations] == ["actor_type"]
    assert stored(world) == 0


def test_a_service_that_has_a_place_speaks_from_it_unless_it_says_otherwise(
    world: World, match: Match
) -> None:
    project = match.project_id
    owner = call(world.owner(project), Role.CLIENT, Role.SERVICE)
    helper = call(match.matched_advisor_id, Role.ADVISOR, Role.SERVICE)
    assert send(world, project, owner).message.actor_type is ActorType.CLIENT
    assert send(world, project, helper).message.actor_type is ActorType.ADVISOR
    stated = send(world, project, owner, actor_type=ActorType.ASSISTANT).message
    assert stated.actor_type is ActorType.ASSISTANT


# ------------------------------------------------------------------------------------------------- once, as it is


def test_a_message_is_its_event_and_its_row(world: World) -> None:
    project = world.project()
    by = world.client(project)
    text = "Grüße,\n\t\N{GRINNING FACE}"
    own_id = uuid4()
    sent = send(world, project, by, text, client_msg_id=own_id, mode=ChatMode.PLAN)
    assert not sent.already_sent
    message = sent.message
    assert (message.text, message.mode, message.client_msg_id) == (text, ChatMode.PLAN, str(own_id))
    assert (message.project_id, message.response_data, message.seq) == (project, None, 1)
    [event] = world.events(project)
    assert (event.type, event.payload, event.seq) == (EventType.MESSAGE_NEW, message, message.seq)
    assert (event.user_id, event.created_at) == (by.caller.user_id, message.created_at)
    assert event.correlation_id == by.correlation_id
    assert world.effects[-1].events == [event], "to be published after the commit"
    assert listed(world, project, by).messages == (message,)
    assert world.rows(
        "SELECT id, user_id, actor_type, message_type, mode, text, client_msg_id, seq"
        " FROM project_chat_log_minimal WHERE response_data IS NULL"
    ) == [(message.id, by.caller.user_id, "client", "user", "plan", text, str(own_id), 1)]


def test_message_and_event_are_written_together_or_not_at_all(world: World) -> None:
    project = world.project()
    by = world.client(project)
    send(world, project, by)
    for table in ("project_events", "unified_chat_messages", "unified_chat_sessions"):
        world.run(f"ALTER TABLE {table} ADD CONSTRAINT out_of_order CHECK (false) NOT VALID")
        with pytest.raises(Exception, match="out_of_order"):
            send(world, project, by, "lost")
        world.run(f"ALTER TABLE {table} DROP CONSTRAINT out_of_order")
    assert world.told(project) == ["message.new"]
    assert texts(listed(world, project)) == ["hello"]
    assert send(world, project, by, "next").message.seq == 2


def test_the_same_sent_again_is_answered_with_what_was_stored(world: World) -> None:
    project, own_id = world.project(), uuid4()
    by = world.client(project)
    first = send(world, project, by, client_msg_id=own_id)
    send(world, project, by, "something else")
    last_active = world.ask("SELECT last_active FROM unified_chat_sessions")
    again = send(world, project, world.client(project), client_msg_id=own_id)
    assert again == SentMessage(first.message, already_sent=True)
    assert world.told(project) == ["message.new"] * 2
    assert world.ask("SELECT last_active FROM unified_chat_sessions") == last_active
    assert world.effects[-1].events == []


@pytest.mark.parametrize("other", [{"text": "hello "}, {"mode": ChatMode.BUILD}])
def test_an_id_that_was_used_for_something_else_is_refused(world: World, other: dict[str, Any]) -> None:
    project, own_id = world.project(), uuid4()
    send(world, project, world.client(project), client_msg_id=own_id)
    with pytest.raises(IdempotencyMismatch, match=str(own_id)):
        send(world, project, world.client(project), **{"client_msg_id": own_id} | other)
    assert stored(world) == 1


def test_an_id_belongs_to_one_person_in_one_project(world: World, match: Match) -> None:
    project, other, own_id = match.project_id, world.project(owner_id=world.owner(match.project_id)), uuid4()
    for where, by, text in (
        (project, world.client(project), "the owner's"),
        (project, advisor(match), "the advisor's"),
        (project, call(), "a service's"),
        (project, call(), "another service's"),
        (other, world.client(project), "the owner's elsewhere"),
    ):
        assert not send(world, where, by, text, client_msg_id=own_id).already_sent
    assert stored(world) == 5


def test_a_notice_has_no_user_and_is_stored_once_all_the_same(world: World) -> None:
    project, own_id, by = world.project(), uuid4(), call()
    as_notice = partial(send, world, project, client_msg_id=own_id, actor_type=ActorType.SYSTEM)
    first = as_notice(by)
    assert as_notice(by) == as_notice(call()) == SentMessage(first.message, already_sent=True)
    assert send(world, project, by, client_msg_id=own_id).message == first.message
    with pytest.raises(IdempotencyMismatch):
        as_notice(by, "something else")
    # Nobody but a service shares ids with the platform.
    assert not send(world, project, world.client(project), "mine", client_msg_id=own_id).already_sent


def test_ones_own_message_comes_before_a_notice_of_the_same_id(world: World) -> None:
    project, own_id, by = world.project(), uuid4(), call()
    own = send(world, project, by, "mine", client_msg_id=own_id)
    send(world, project, call(), "notice", client_msg_id=own_id, actor_type=ActorType.SYSTEM)
    assert send(world, project, by, "mine", client_msg_id=own_id).message == own.message


def test_concurrent_repeats_store_one(world: World) -> None:
    for stated in [None, ActorType.SYSTEM] * rounds(3):
        project, own_id = world.project(), uuid4()
        service = call()
        by = service if stated else world.client(project)
        # The project has no head yet.
        repeats = [
            partial(
                send,
                world,
                project,
                by,
                client_msg_id=own_id,
                actor_type=stated,
            )
            for _ in range(8)
        ]
        sent = answers(together(*repeats))
        assert len({one.message.id for one in sent}) == 1
        assert sorted(one.already_sent for one in sent) == [False] + [True] * 7
        assert world.told(project) == ["message.new"]
        assert len(listed(world, project).messages) == 1


def test_of_concurrent_messages_under_one_id_one_is_stored_and_the_others_are_refused(world: World) -> None:
    for _ in range(rounds(3)):
        project, own_id = world.project(), uuid4()
        by = world.client(project)
        outcomes = together(
            *[partial(send, world, project, by, str(number), client_msg_id=own_id) for number in range(6)]
        )
        assert sorted(type(outcome).__name__ for outcome in outcomes) == ["IdempotencyMismatch"] * 5 + [
            "SentMessage"
        ]
        assert len(listed(world, project).messages) == 1


def test_concurrent_messages_are_numbered_as_their_events(world: World, match: Match) -> None:
    project = match.project_id
    people = [world.client(project), advisor(match), call()]
    sent = answers(
        together(*[partial(send, world, project, people[number % 3], str(number)) for number in range(12)])
    )
    events = [event for event in world.events(project) if event.type is EventType.MESSAGE_NEW][1:]
    assert [event.payload for event in events] == sorted(
        (one.message for one in sent), key=lambda message: message.seq
    )
    assert all(isinstance(event.payload, ChatMessage) and event.payload.seq == event.seq for event in events)
    times = [event.created_at for event in events]
    assert times == sorted(times)


def test_a_transaction_that_is_repeated_knows_its_own_message(world: World) -> None:
    """Its COMMIT may have gone through although the answer was lost: the message was not there before the call."""
    project, own_id = world.project(), uuid4()
    by, command = world.client(project, nonce="n1"), SendMessage(project, "hello", own_id)
    first, again = (chat.send_message(world.runner, by, command) for _ in range(2))
    assert first == again
    assert not again.already_sent
    assert stored(world) == 1


def test_a_signed_message_goes_through_once(world: World) -> None:
    project, own_id = world.project(), uuid4()
    send(world, project, world.client(project, nonce="n1"), client_msg_id=own_id)
    with pytest.raises(Unauthenticated):
        send(world, project, world.client(project, nonce="n1"), client_msg_id=own_id)
    again = send(world, project, world.client(project, nonce="n2"), client_msg_id=own_id)
    assert again.already_sent
    assert stored(world) == 1


# --------------------------------------------------------------------------------------------------- the sessions


def last_active(world: World, user_id: UUID) -> datetime:
    moment: datetime = world.ask(
        "SELECT last_active FROM unified_chat_sessions WHERE user_id = :id", id=user_id
    )
    return moment


def test_a_client_joins_the_conversation_with_their_first_message(world: World) -> None:
    project = world.project()
    by = world.client(project)
    world.run("UPDATE auth.users SET locale = 'ar'")
    listed(world, project, by)
    assert world.rows(SESSIONS) == []
    send(world, project, by)
    assert world.rows(SESSIONS) == [(by.caller.user_id, "client", "active", "ar")]
    first = last_active(world, by.caller.user_id)
    world.run("UPDATE unified_chat_sessions SET preferred_locale = 'fr'")
    send(world, project, by)
    assert last_active(world, by.caller.user_id) > first
    assert world.rows(SESSIONS) == [(by.caller.user_id, "client", "active", "fr")], "what they prefer by now"


def test_an_advisor_is_active_with_each_message_and_a_service_has_no_session(
    world: World, match: Match
) -> None:
    by = advisor(match)
    world.run("UPDATE unified_chat_sessions SET session_state = 'ended', preferred_locale = 'fr'")
    before = last_active(world, by.caller.user_id)
    send(world, match.project_id, call())
    send(world, match.project_id, call(by.caller.user_id, Role.SERVICE), actor_type=ActorType.SYSTEM)
    assert last_active(world, by.caller.user_id) == before
    send(world, match.project_id, by)
    assert last_active(world, by.caller.user_id) > before
    assert world.rows(SESSIONS) == [(by.caller.user_id, "advisor", "active", "fr")]


def test_a_refused_message_opens_no_session(world: World, match: Match) -> None:
    before = world.rows(SESSIONS)
    for by in outsiders(world, match).values():
        with pytest.raises(DomainError):
            send(world, match.project_id, by)
    assert world.rows(SESSIONS) == before


# ------------------------------------------------------------------------------------------------------- reading


def test_messages_are_listed_both_ways_in_pages(world: World) -> None:
    project, other = world.project(), world.project()
    by = world.client(project)
    sent = said(world, project, by, *"abcde")
    said(world, other, world.client(other), "not here")
    for order, expected in ((OLDEST, sent), (NEWEST, sent[::-1])):
        pages = []
        beyond = None
        while True:
            page = listed(world, project, by, order=order, size=2, beyond=beyond)
            pages.append(list(page.messages))
            if page.next is None:
                break
            beyond = page.next
        assert pages == [expected[:2], expected[2:4], expected[4:]]
    assert listed(world, project, by).messages == tuple(sent[::-1])
    full = listed(world, project, by, size=5)
    assert (len(full.messages), full.next) == (5, None), "no page after the last, although it is full"
    assert listed(world, world.project()) == MessagePage((), None)


@pytest.mark.parametrize("order", MessageOrder)
def test_pages_neither_repeat_nor_miss_while_messages_arrive(world: World, order: MessageOrder) -> None:
    project = world.project()
    by = world.client(project)
    seen: list[ChatMessage] = []
    sent = said(world, project, by, *map(str, range(7)))
    beyond = None
    while True:
        page = listed(world, project, by, order=order, size=3, beyond=beyond)
        seen += page.messages
        if page.next is None:
            break
        beyond = page.next
        if len(sent) < 12:
            sent += said(world, project, by, f"meanwhile {beyond}")
    expected = sent if order is OLDEST else sent[:7][::-1]
    assert seen == expected


def test_events_of_other_kinds_leave_no_hole_in_the_chat(world: World, match: Match) -> None:
    project = match.project_id
    [hello] = said(world, project, advisor(match), "hello")
    world.release(project, advisor(match).caller.user_id)
    [goodbye] = said(world, project, world.client(project), "goodbye")
    welcome, *words = listed(world, project, order=OLDEST).messages
    assert (welcome.actor_type, welcome.mode, welcome.user_id) == (ActorType.SYSTEM, ChatMode.PLAN, None)
    assert welcome.response_data is not None
    assert welcome.response_data["match_id"] == str(match.id)
    assert words == [hello, goodbye]
    assert listed(world, project, order=NEWEST, size=2).messages == (goodbye, hello)


def test_retention_of_events_takes_nothing_from_the_chat(world: World, match: Match) -> None:
    project, own_id = match.project_id, uuid4()
    first = send(world, project, world.client(project), client_msg_id=own_id)
    before = listed(world, project)
    world.run("UPDATE project_event_heads SET pruned_through = last_seq WHERE project_id = :id", id=project)
    world.run("DELETE FROM project_events WHERE project_id = :id", id=project)
    assert listed(world, project) == before
    again = send(world, project, world.client(project), client_msg_id=own_id)
    assert again == SentMessage(first.message, already_sent=True)
    assert send(world, project, world.client(project)).message.seq == first.message.seq + 1
