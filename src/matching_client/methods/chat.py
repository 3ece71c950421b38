"""ChatService: the project's chat."""

from __future__ import annotations

from typing import Unpack

from advisor_matching.v1.chat_service_pb2 import (
    ListMessagesRequest,
    ListMessagesResponse,
    MessageOrder,
    SendMessageRequest,
    SendMessageResponse,
)
from advisor_matching.v1.types_pb2 import ActorType, ChatMode
from matching_client.methods.base import Caller, CallOptions


class ChatMethods(Caller):
    """The methods of ChatService."""

    def send_message(
        self,
        project_id: str,
        text: str,
        *,
        client_msg_id: str = "",
        mode: ChatMode | str | None = None,
        actor_type: ActorType | str | None = None,
        **options: Unpack[CallOptions],
    ) -> SendMessageResponse:
        """Writes a message of 1 to 10,000 characters.

        The same `client_msg_id` (made where left out) stores it once. `mode` is CHAT_MODE_UNIFIED unless told
        otherwise; only `service` may state an `actor_type`.
        Errors: ProjectNotFound, IdempotencyMismatch, and the common ones.
        """
        request = SendMessageRequest(
            project_id=project_id, text=text, client_msg_id=client_msg_id, mode=mode, actor_type=actor_type
        )
        return self._call(self.stubs.chat.SendMessage, request, options)

    def list_messages(
        self,
        project_id: str,
        *,
        order: MessageOrder | str | None = None,
        page_size: int = 0,
        page_token: str = "",
        **options: Unpack[CallOptions],
    ) -> ListMessagesResponse:
        """Lists a project's messages, newest first unless told otherwise, 50 a page unless told otherwise.

        Errors: ProjectNotFound, and the common ones.
        """
        request = ListMessagesRequest(
            project_id=project_id, order=order, page_size=page_size, page_token=page_token
        )
        return self._call(self.stubs.chat.ListMessages, request, options)
