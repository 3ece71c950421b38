"""ChatService."""

from __future__ import annotations

from advisor_matching.v1 import chat_service_pb2 as pb
from advisor_matching.v1.types_pb2 import ActorType, ChatMessage, ChatMessageType, ChatMode
from matching_client.errors import IdempotencyMismatch
from matching_client.testing.caller import Caller
from matching_client.testing.paging import page
from matching_client.testing.provisioning import post
from matching_client.testing.refusals import error_of, invalid, no_project
from matching_client.testing.values import new_id, now
from matching_client.testing.world import World

_STATED = (ActorType.ACTOR_TYPE_ASSISTANT, ActorType.ACTOR_TYPE_SYSTEM)


def send_message(world: World, request: pb.SendMessageRequest, caller: Caller) -> pb.SendMessageResponse:
    """Writes a message, once under its `client_msg_id`."""
    if request.actor_type and "service" not in caller.roles:
        raise invalid("actor_type", "must be left to the service: the caller's place decides")
    if request.actor_type and request.actor_type not in _STATED:
        raise invalid("actor_type", "must be ASSISTANT or SYSTEM where it is stated")
    place = _place(world, request.project_id, caller)
    mode = request.mode or ChatMode.CHAT_MODE_UNIFIED
    key = (request.project_id, caller.user_id, request.client_msg_id)
    sent = world.senders.get(key)
    if sent is not None:
        if (sent.text, sent.mode) != (request.text, mode):
            told = f"client_msg_id {request.client_msg_id} was used for another message"
            raise error_of(IdempotencyMismatch, told)
        return pb.SendMessageResponse(message=sent, already_sent=True)
    message = _message(request, caller, request.actor_type or place, mode)
    world.senders[key] = message
    post(world, message, caller.user_id)
    return pb.SendMessageResponse(message=message)


def _message(
    request: pb.SendMessageRequest, caller: Caller, actor_type: ActorType, mode: ChatMode
) -> ChatMessage:
    is_notice = actor_type == ActorType.ACTOR_TYPE_SYSTEM
    return ChatMessage(
        id=new_id(),
        project_id=request.project_id,
        user_id=None if is_notice else caller.user_id,
        actor_type=actor_type,
        message_type=(
            ChatMessageType.CHAT_MESSAGE_TYPE_SYSTEM if is_notice else ChatMessageType.CHAT_MESSAGE_TYPE_USER
        ),
        mode=mode,
        text=request.text,
        client_msg_id=request.client_msg_id,
        created_at=now(),
    )


def list_messages(world: World, request: pb.ListMessagesRequest, caller: Caller) -> pb.ListMessagesResponse:
    """A project's messages, newest first unless told otherwise."""
    _place(world, request.project_id, caller)
    oldest_first = request.order == pb.MESSAGE_ORDER_OLDEST_FIRST
    rows = [(message.seq, message) for message in world.messages.get(request.project_id, ())]
    scope = f"{request.project_id}/{oldest_first}"
    messages, token = page(rows, request, oldest_first=oldest_first, scope=scope)
    return pb.ListMessagesResponse(messages=messages, next_page_token=token)


def _place(world: World, project_id: str, caller: Caller) -> ActorType:
    """As what the caller takes part in the chat. Raises ProjectNotFound."""
    if caller.owns(world.project(project_id).owner_id):
        return ActorType.ACTOR_TYPE_CLIENT
    if world.is_active(caller, project_id):
        return ActorType.ACTOR_TYPE_ADVISOR
    if "service" in caller.roles:
        return ActorType.ACTOR_TYPE_ASSISTANT
    raise no_project(project_id)
