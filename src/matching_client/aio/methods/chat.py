"""ChatService: the project's chat."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Unpack

from matching_client.aio.caller import Caller
from matching_client.contract import chat, types
from matching_client.options import CallOptions
from matching_client.words import value_of


class ChatMethods(Caller):
    """The methods of ChatService."""

    async def send_message(
        self,
        project_id: str,
        text: str,
        *,
        client_msg_id: str = "",
        mode: types.ChatMode | str | None = None,
        actor_type: types.ActorType | str | None = None,
        **options: Unpack[CallOptions],
    ) -> chat.SendMessageResponse:
        """Writes a message of 1 to 10,000 characters.

        The same `client_msg_id` (made where left out) stores it once. `mode` is "unified" unless told
        otherwise; only `service` may state an `actor_type`.
        Errors: ProjectNotFound, IdempotencyMismatch, and the common ones.
        """
        request = chat.SendMessageRequest(
            project_id=project_id,
            text=text,
            client_msg_id=client_msg_id,
            mode=value_of(types.ChatMode, mode),
            actor_type=value_of(types.ActorType, actor_type),
        )
        return await self._call(self.stubs.chat.SendMessage, request, options)

    async def list_messages(
        self,
        project_id: str,
        *,
        order: chat.MessageOrder | str | None = None,
        page_size: int = 0,
        page_token: str = "",
        **options: Unpack[CallOptions],
    ) -> chat.ListMessagesResponse:
        """Lists a project's messages, newest first unless told otherwise, 50 a page unless told otherwise.

        Errors: ProjectNotFound, and the common ones.
        """
        request = chat.ListMessagesRequest(
            project_id=project_id,
            order=value_of(chat.MessageOrder, order),
            page_size=page_size,
            page_token=page_token,
        )
        return await self._call(self.stubs.chat.ListMessages, request, options)

    def iter_messages(
        self,
        project_id: str,
        *,
        order: chat.MessageOrder | str | None = None,
        page_size: int = 0,
        **options: Unpack[CallOptions],
    ) -> AsyncIterator[types.ChatMessage]:
        """What `list_messages` lists, page after page as they are needed; `timeout` is of each page."""
        return self._pages(
            lambda token: self.list_messages(
                project_id, order=order, page_size=page_size, page_token=token, **options
            ),
            lambda page: (page.messages, page.next_page_token),
        )
