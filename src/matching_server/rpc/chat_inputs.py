"""What callers send to the chat, handed on in the domain's types. The limits are in ``fields``."""

from __future__ import annotations

from pydantic import ValidationInfo, field_validator

from matching_server.domain.model import ChatMode, MessageOrder
from matching_server.operations import commands
from matching_server.rpc.fields import (
    DEFAULT_PAGE,
    ActorTypeIn,
    ChatModeIn,
    Id,
    MessageOrderIn,
    MessageText,
    PageSize,
    RequestModel,
)
from matching_server.rpc.paging import decode_message_token


class SendMessageInput(RequestModel):
    """A ``SendMessageRequest``. Whether the caller may state ``actor_type`` is for the use case."""

    project_id: Id
    text: MessageText
    client_msg_id: Id
    mode: ChatModeIn = ChatMode.UNIFIED
    actor_type: ActorTypeIn | None = None

    def command(self) -> commands.SendMessage:
        """What is asked."""
        return commands.SendMessage(**dict(self))


class ListMessagesInput(RequestModel):
    """A ``ListMessagesRequest``. Its page tokens are of one project and one order."""

    project_id: Id
    page_size: PageSize = DEFAULT_PAGE
    order: MessageOrderIn = MessageOrder.NEWEST_FIRST
    page_token: int | None = None

    @field_validator("page_token", mode="before")
    @classmethod
    def _of_this_list(cls, token: str, info: ValidationInfo) -> int | None:
        project_id, order = info.data.get("project_id"), info.data.get("order")
        if project_id is None or order is None:
            return None
        return decode_message_token(token, project_id, order)

    def command(self) -> commands.ListMessages:
        """What is asked."""
        return commands.ListMessages(self.project_id, self.order, self.page_size, self.page_token)
