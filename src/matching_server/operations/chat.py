"""A project's chat: who may take part, what they write, and what was written."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import Connection

from matching_server.domain.calls import Call
from matching_server.domain.errors import IdempotencyMismatch, InvalidArgument, ProjectNotFound
from matching_server.domain.events import ChatMessage, EventType
from matching_server.domain.model import ActorType, Caller, ChatMessageType, Role
from matching_server.operations.commands import ListMessages, MessagePage, SendMessage, SentMessage
from matching_server.operations.runner import Runner
from matching_server.storage import chat, directory, reach, workspace
from matching_server.storage.database import Transaction
from matching_server.storage.event_log import ProjectLog, lock_project

_MAY_BE_STATED = frozenset({ActorType.ASSISTANT, ActorType.SYSTEM})
_IN_PERSON = frozenset({ActorType.CLIENT, ActorType.ADVISOR})
"""Who is in the conversation, and so has a session."""


def send_message(runner: Runner, call: Call, command: SendMessage) -> SentMessage:
    """Writes a message once, however often it is sent under its ``client_msg_id``.

    Raises:
        InvalidArgument: the caller may not state that ``actor_type``.
        ProjectNotFound: no such project for the caller, or no part in its chat.
        IdempotencyMismatch: the caller has sent another text or mode under that id.
    """
    _check_stated(call.caller, command.actor_type)
    return runner.run(_send, call, command)


def _check_stated(caller: Caller, stated: ActorType | None) -> None:
    if stated is None:
        return
    if Role.SERVICE not in caller.roles:
        raise InvalidArgument.of("actor_type", "must be left to the service: the caller's place decides")
    if stated not in _MAY_BE_STATED:
        raise InvalidArgument.of("actor_type", "must be ASSISTANT or SYSTEM where it is stated")


def _place(conn: Connection, caller: Caller, project_id: UUID) -> ActorType:
    place = reach.place_in_chat(conn, caller, project_id)
    if place is None:
        raise ProjectNotFound(project_id)
    return place


def _send(tx: Transaction, call: Call, command: SendMessage) -> SentMessage:
    with lock_project(tx, command.project_id) as log:
        project = directory.get_project(tx.conn, command.project_id)
        if log is None or project is None:
            raise ProjectNotFound(command.project_id)
        place = _place(tx.conn, call.caller, project.id)
        sent = chat.sent_message(
            tx.conn,
            project.id,
            call.caller.user_id,
            str(command.client_msg_id),
            or_notice=Role.SERVICE in call.caller.roles,
        )
        if sent is not None:
            return _sent_before(call, command, sent)
        message = _message(log, call, command, command.actor_type or place)
        workspace.add_message(tx, message)
        log.append(EventType.MESSAGE_NEW, message, user_id=call.caller.user_id)
        if message.actor_type in _IN_PERSON:
            chat.touch_session(tx, project.id, call.caller.user_id, message.actor_type, project.owner_locale)
        return SentMessage(message, already_sent=False)


def _sent_before(call: Call, command: SendMessage, sent: ChatMessage) -> SentMessage:
    if (sent.text, sent.mode) != (command.text, command.mode):
        raise IdempotencyMismatch(f"client_msg_id {command.client_msg_id} was used for another message")
    # By this very call, if its transaction had to be repeated because nobody knew whether it had committed.
    return SentMessage(sent, already_sent=sent.id != call.id)


def _message(log: ProjectLog, call: Call, command: SendMessage, actor: ActorType) -> ChatMessage:
    is_notice = actor is ActorType.SYSTEM
    return ChatMessage(
        id=call.id,
        project_id=log.project_id,
        user_id=None if is_notice else call.caller.user_id,
        actor_type=actor,
        message_type=ChatMessageType.SYSTEM if is_notice else ChatMessageType.USER,
        mode=command.mode,
        text=command.text,
        client_msg_id=str(command.client_msg_id),
        response_data=None,
        seq=log.next_seq,
        created_at=log.now,
    )


def list_messages(runner: Runner, call: Call, command: ListMessages) -> MessagePage:
    """A page of a project's messages. What retention takes from the event log stays here.

    Raises:
        ProjectNotFound: no such project for the caller, or no part in its chat.
    """
    return runner.read(_list, call, command)


def _list(conn: Connection, call: Call, command: ListMessages) -> MessagePage:
    _place(conn, call.caller, command.project_id)
    found = chat.list_messages(
        conn, command.project_id, command.order, beyond=command.beyond, limit=command.size + 1
    )
    messages = tuple(found[: command.size])
    return MessagePage(messages, messages[-1].seq if len(found) > command.size else None)
