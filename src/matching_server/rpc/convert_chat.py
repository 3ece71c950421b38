"""A project's chat as messages of the contract."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from advisor_matching.v1 import chat_service_pb2, types_pb2
from matching_server.domain.events import ChatMessage
from matching_server.operations.commands import ListMessages, MessagePage, SentMessage
from matching_server.rpc import enums
from matching_server.rpc.paging import encode_message_token


def sent_message(sent: SentMessage) -> chat_service_pb2.SendMessageResponse:
    """The answer to SendMessage."""
    return chat_service_pb2.SendMessageResponse(
        message=chat_message(sent.message), already_sent=sent.already_sent
    )


def message_page(page: MessagePage, asked: ListMessages) -> chat_service_pb2.ListMessagesResponse:
    """A page of the chat, as it was asked for."""
    return chat_service_pb2.ListMessagesResponse(
        messages=[chat_message(message) for message in page.messages],
        next_page_token=encode_message_token(page.next, asked.project_id, asked.order),
    )


def chat_message(message: ChatMessage) -> types_pb2.ChatMessage:
    """A message of a project's chat."""
    return types_pb2.ChatMessage(
        id=str(message.id),
        project_id=str(message.project_id),
        user_id=str(message.user_id) if message.user_id else None,
        actor_type=enums.ACTOR_TYPE.to_wire(message.actor_type),
        message_type=enums.CHAT_MESSAGE_TYPE.to_wire(message.message_type),
        mode=enums.CHAT_MODE.to_wire(message.mode),
        text=message.text,
        client_msg_id=message.client_msg_id,
        response_data=_response_data(message.response_data),
        seq=message.seq,
        created_at=message.created_at,
    )


def _response_data(data: Mapping[str, str] | None) -> types_pb2.ChatResponseData | None:
    if data is None:
        return None
    timestamp = data.get("timestamp")
    return types_pb2.ChatResponseData(
        event_code=data.get("event_code"),
        advisor_id=data.get("advisor_id"),
        match_id=data.get("match_id"),
        timestamp=datetime.fromisoformat(timestamp) if timestamp else None,
    )
