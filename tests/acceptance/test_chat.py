"""A project's chat and its log, by the public client over two servers."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from uuid import UUID, uuid4

import pytest

from advisor_matching.v1.chat_service_pb2 import SendMessageRequest
from advisor_matching.v1.types_pb2 import (
    ActorType,
    AssignmentType,
    ChatMessage,
    ChatMessageType,
    ChatMode,
    ProjectEvent,
)
from matching_client import (
    EventIdInvalid,
    EventIdUnknown,
    EventsCompacted,
    IdempotencyMismatch,
    InvalidArgument,
    MatchingClient,
    PermissionDenied,
    ProjectNotFound,
)
from tests.support.at_once import answers, together
from tests.support.rounds import rounds
from tests.support.wait import eventually
from tests.support.watching import watching
from tests.support.world import SERVICE, World

OLDEST = "MESSAGE_ORDER_OLDEST_FIRST"
CLIENT, ADVISOR = ActorType.ACTOR_TYPE_CLIENT, ActorType.ACTOR_TYPE_ADVISOR
ASSISTANT, SYSTEM = ActorType.ACTOR_TYPE_ASSISTANT, ActorType.ACTOR_TYPE_SYSTEM
WELCOME = "Advisor has joined the workspace and is ready to help!"


def workspace(world: World) -> tuple[str, str]:
    """A project with an active advisor, who has been welcomed."""
    project, advisor = world.new_project(), world.new_advisor()
    made = world.admin().assign_advisor(
        project, advisor, assignment_type=AssignmentType.ASSIGNMENT_TYPE_EMERGENCY
    )
    world.wait_for_ready(made.match.id)
    return project, advisor


def texts(client: MatchingClient, project: str) -> list[str]:
    return [message.text for message in client.list_messages(project, order=OLDEST).messages]


def test_owner_and_advisor_talk_and_a_watcher_sees_it_live(world: World) -> None:
    project, advisor = workspace(world)
    owner, helper = world.client(project), world.advisor(advisor, server=1)
    with (
        watching(world.client(project, server=1), project) as by_owner,
        watching(world.advisor(advisor), project, types=["message.new"]) as by_advisor,
    ):
        sent = [
            owner.send_message(project, "Need help\n\twith authentication", mode="CHAT_MODE_PLAN").message,
            helper.send_message(project, "Here I am").message,
            world.service().send_message(project, "A summary of it").message,
            world.service(server=1).send_message(project, "A notice", actor_type=SYSTEM).message,
        ]
        events = [next(by_owner) for _ in sent]
        assert [next(by_advisor) for _ in sent] == events
    assert [(event.type, event.seq, event.message) for event in events] == [
        ("message.new", message.seq, message) for message in sent
    ]
    owner_id = world.value("SELECT owner_id::text FROM projects WHERE id = :id", id=project)
    assert [(message.actor_type, message.user_id) for message in sent] == [
        (CLIENT, owner_id),
        (ADVISOR, advisor),
        (ASSISTANT, str(SERVICE)),
        (SYSTEM, ""),
    ]
    assert [event.user_id for event in events] == [owner_id, advisor, str(SERVICE), str(SERVICE)]
    assert not sent[3].HasField("user_id")
    assert sent[3].message_type == ChatMessageType.CHAT_MESSAGE_TYPE_SYSTEM
    assert [message.mode for message in sent[:2]] == [ChatMode.CHAT_MODE_PLAN, ChatMode.CHAT_MODE_UNIFIED]
    welcome, *said = helper.list_messages(project, order=OLDEST).messages
    assert (welcome.text, welcome.actor_type, welcome.client_msg_id) == (WELCOME, SYSTEM, "")
    assert said == sent
    assert list(owner.list_messages(project).messages) == [*reversed(sent), welcome]


def test_an_advisor_who_was_released_can_no_longer_write_or_read(world: World) -> None:
    project, advisor = workspace(world)
    helper = world.advisor(advisor)
    helper.send_message(project, "for now")
    with watching(world.advisor(advisor, server=1), project) as watch:
        assert world.admin(server=1).release_advisor(project, advisor)
        assert next(watch).type == "advisor.released"
        with pytest.raises(ProjectNotFound):
            next(watch)
    for server in (0, 1):
        gone = world.advisor(advisor, server=server)
        for use in (
            partial(gone.send_message, project, "again"),
            partial(gone.list_messages, project),
            partial(gone.list_project_events, project),
        ):
            with pytest.raises(ProjectNotFound, match=f"no project with id {project}"):
                use()
    assert texts(world.client(project), project) == [WELCOME, "for now"]


def test_who_has_no_part_in_the_chat_is_told_that_there_is_no_project(world: World) -> None:
    project, advisor, _ = world.matched()
    owner = world.value("SELECT owner_id FROM projects WHERE id = :id", id=project)
    offered, stranger = world.advisor(advisor), world.caller(world.new_person(), "client", "advisor")
    for outsider in (offered, stranger, world.caller(owner, "advisor")):
        for use in (partial(outsider.send_message, text="hello"), outsider.list_messages):
            for id_ in (project, str(uuid4())):
                with pytest.raises(ProjectNotFound) as refused:
                    use(id_)
                assert refused.value.message == f"no project with id {id_}"
    for use in (partial(world.admin().send_message, text="hello"), world.admin().list_messages):
        with pytest.raises(PermissionDenied):
            use(project)
    assert offered.list_project_events(project).events, "of their offer"
    assert world.event_types(project) == ["advisor.matched"]


@pytest.mark.parametrize("role", ["client", "advisor", "service"])
def test_what_is_wrong_with_a_message_is_named_by_its_field(world: World, role: str) -> None:
    project, advisor = workspace(world)
    people = {"client": world.client(project), "advisor": world.advisor(advisor), "service": world.service()}
    send = people[role].send_message
    stated = CLIENT if role == "service" else ASSISTANT
    for field, use in {
        "text": partial(send, project, "a\0b"),
        "client_msg_id": partial(send, project, "x", client_msg_id="mine"),
        "actor_type": partial(send, project, "x", actor_type=stated),
    }.items():
        with pytest.raises(InvalidArgument) as refused:
            use()
        assert [violation.field for violation in refused.value.field_violations] == [field]
    for text in ("", "x" * 10_001):
        with pytest.raises(InvalidArgument):
            send(project, text)
    assert send(project, "\N{GRINNING FACE}" * 10_000).message.text == "\N{GRINNING FACE}" * 10_000
    assert len(texts(world.service(), project)) == 2


def test_a_repeat_stores_nothing_and_is_answered_with_the_first_message(world: World) -> None:
    project, own_id = world.new_project(), str(uuid4())
    first = world.client(project).send_message(project, "hello", client_msg_id=own_id.upper())
    again = world.client(project, server=1).send_message(project, "hello", client_msg_id=own_id)
    assert (first.already_sent, again.already_sent) == (False, True)
    assert again.message == first.message
    assert first.message.client_msg_id == own_id
    for other in (
        partial(world.client(project).send_message, project, "hello!"),
        partial(world.client(project, server=1).send_message, project, "hello", mode="CHAT_MODE_BUILD"),
    ):
        with pytest.raises(IdempotencyMismatch):
            other(client_msg_id=own_id)
    assert world.event_types(project) == ["message.new"]


def test_a_message_without_an_id_gets_one_of_its_own(world: World) -> None:
    project = world.new_project()
    owner = world.client(project)
    ids = [owner.send_message(project, "hello").message.client_msg_id for _ in range(2)]
    assert len({UUID(id_) for id_ in ids}) == 2
    assert texts(owner, project) == ["hello", "hello"], "said twice, and meant twice"


def test_repeats_that_race_over_two_servers_store_one(world: World) -> None:
    for _ in range(rounds(3)):
        project = world.new_project()
        request = SendMessageRequest(project_id=project, text="hello", client_msg_id=str(uuid4()))
        sent = answers(
            world.client(project, server=number % 2).stubs.chat.SendMessage.future(request)
            for number in range(20)
        )
        assert len({answer.message.id for answer in sent}) == 1
        assert [answer.already_sent for answer in sent].count(False) == 1
        assert world.event_types(project) == ["message.new"]


TARRY = """
    CREATE FUNCTION tarry() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM pg_sleep(1);
        RETURN NULL;
    END $$;
    CREATE CONSTRAINT TRIGGER tarry AFTER INSERT ON unified_chat_messages DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW EXECUTE FUNCTION tarry()
"""
"""A message takes a second to commit, whoever waits for it."""
COMMITTING = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'"
)


def test_the_client_repeats_a_message_whose_answer_was_lost_and_it_is_stored_once(own: World) -> None:
    server = own.start()
    project = own.new_project()
    own.conn.exec_driver_sql(TARRY)
    with ThreadPoolExecutor(1) as pool:
        sending = pool.submit(own.client(project).send_message, project, "hello", timeout=30)
        eventually(lambda: own.value(COMMITTING) == 1, what="the message is about to be committed")
        server.kill()
        server.start()
        answer = sending.result(40)
    assert answer.already_sent
    assert texts(own.client(project), project) == ["hello"]
    assert own.event_types(project) == ["message.new"]


def test_what_is_sent_while_the_server_is_killed_is_there_once_and_in_order(own: World) -> None:
    server = own.start()
    project = own.new_project()
    owner = own.client(project)
    sent: list[ChatMessage] = []
    enough = threading.Event()

    def talk() -> None:
        while not enough.is_set():
            sent.append(owner.send_message(project, f"number {len(sent)}", timeout=30).message)

    def kill() -> None:
        for _ in range(rounds(3)):
            server.kill()
            server.start()
            owner.get_service_info(timeout=30)
        enough.set()

    assert together([talk, kill]) == [None, None]
    assert sent
    read: list[ChatMessage] = []
    token = ""
    while not read or token:
        page = own.client(project).list_messages(project, order=OLDEST, page_token=token, page_size=200)
        read += page.messages
        token = page.next_page_token
    assert read == sent
    assert own.event_types(project) == ["message.new"] * len(sent)


def pages(read: Callable[[str], tuple[list[str], str]]) -> list[list[str]]:
    """Every page, by its token."""
    found: list[list[str]] = []
    token = ""
    while not found or token:
        page, token = read(token)
        found.append(page)
    return found


def test_the_chat_is_read_both_ways_in_pages(world: World) -> None:
    project, other = world.new_project(), world.new_project()
    for number in range(5):
        world.client(project, server=number % 2).send_message(project, str(number))

    def page(token: str, order: str = OLDEST, size: int = 2) -> tuple[list[str], str]:
        found = world.client(project).list_messages(project, order=order, page_size=size, page_token=token)
        return [message.text for message in found.messages], found.next_page_token

    assert pages(page) == [["0", "1"], ["2", "3"], ["4"]]
    newest = partial(page, order="MESSAGE_ORDER_NEWEST_FIRST")
    assert pages(newest) == [["4", "3"], ["2", "1"], ["0"]]
    assert pages(partial(newest, size=5)) == [["4", "3", "2", "1", "0"]]
    _, token = page("")
    for wrong in (
        partial(newest, token),
        partial(world.service().list_messages, other, order=OLDEST, page_token=token),
        partial(page, token[:-1]),
    ):
        with pytest.raises(InvalidArgument) as refused:
            wrong()
        assert [violation.field for violation in refused.value.field_violations] == ["page_token"]


def test_the_largest_page_of_the_longest_messages_comes_through(world: World) -> None:
    project = world.new_project()
    text = "\N{GRINNING FACE}" * 10_000
    last = world.service().send_message(project, text).message
    # The others by SQL, as they would be: sending them all takes a while.
    world.execute(
        "INSERT INTO unified_chat_messages (id, project_id, user_id, actor_type, message_type, mode, text, seq)"
        " SELECT gen_random_uuid(), project_id, user_id, actor_type, message_type, mode, text, seq + n"
        " FROM unified_chat_messages, generate_series(1, 199) n"
    )
    page = world.client(project).list_messages(project, page_size=200)
    assert (len(page.messages), page.next_page_token) == (200, "")
    assert page.messages[-1] == last
    assert {message.text for message in page.messages} == {text}


# ------------------------------------------------------------------------------------------------------- the log


def test_the_log_is_read_in_pages_and_then_watched_without_gap_or_repeat(world: World) -> None:
    project, advisor = workspace(world)
    owner = world.client(project)
    seen: list[ProjectEvent] = []
    last, more = "", True
    while more:
        page = world.client(project, server=len(seen) % 2).list_project_events(
            project, after_event_id=last, page_size=3
        )
        seen += page.events
        last = page.last_event_id
        more = len(page.events) == 3
    assert [event.type for event in seen] == [
        "advisor.matched",
        "advisor.finalized",
        "message.new",
        "advisor.workspace_ready",
    ]
    assert last == seen[-1].id
    sent = owner.send_message(project, "before the watch").message
    with watching(world.advisor(advisor, server=1), project, last_event_id=last) as watch:
        assert next(watch).message == sent
        sent = owner.send_message(project, "during the watch").message
        assert next(watch).message == sent
    assert world.watched(project, 6) == list(owner.list_project_events(project).events)


def test_where_nothing_is_there_or_nothing_is_shown_there_is_a_place_to_go_on_from(world: World) -> None:
    empty = world.new_project()
    start = world.client(empty).list_project_events(empty)
    assert (list(start.events), bool(start.last_event_id)) == ([], True)
    project, advisor, match = world.matched()
    offered = world.advisor(advisor)
    world.client(project).send_message(project, "not for them")
    page = offered.list_project_events(project)
    assert [event.type for event in page.events] == ["advisor.matched"]
    rest = offered.list_project_events(project, after_event_id=page.last_event_id)
    assert (list(rest.events), rest.last_event_id) == ([], page.last_event_id)
    with (
        watching(world.client(empty), empty, last_event_id=start.last_event_id) as first,
        watching(offered, project, last_event_id=rest.last_event_id) as second,
    ):
        sent = world.client(empty).send_message(empty, "first").message
        assert next(first).message == sent
        world.client(project).submit_client_decision(match.id, "DECISION_APPROVED")
        assert next(second).type == "advisor.client_approved"


def test_an_id_that_cannot_be_gone_on_from_says_why(world: World) -> None:
    project, other = world.new_project(), world.new_project()
    owner = world.client(project)
    for number in range(3):
        owner.send_message(project, str(number))
    ids = [event.id for event in owner.list_project_events(project).events]
    with pytest.raises(EventIdInvalid) as invalid:
        owner.list_project_events(project, after_event_id="x")
    assert [violation.field for violation in invalid.value.field_violations] == ["after_event_id"]
    with pytest.raises(EventIdUnknown):
        world.client(other).list_project_events(other, after_event_id=ids[0])
    world.execute("UPDATE project_event_heads SET pruned_through = 2 WHERE project_id = :id", id=project)
    world.execute("DELETE FROM project_events WHERE project_id = :id AND seq <= 2", id=project)
    with pytest.raises(EventsCompacted) as compacted:
        owner.list_project_events(project, after_event_id=ids[0])
    oldest = compacted.value.metadata["oldest_event_id"]
    for after in (oldest, ""):
        kept = owner.list_project_events(project, after_event_id=after)
        assert [event.id for event in kept.events] == ids[2:]
    assert texts(owner, project) == ["0", "1", "2"], "the chat is kept all the same"
