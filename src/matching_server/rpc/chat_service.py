"""ChatService: a project's chat."""

from __future__ import annotations

from advisor_matching.v1 import chat_service_pb2 as pb
from matching_server.domain.calls import Call
from matching_server.operations import chat
from matching_server.operations.runner import Runner
from matching_server.rpc.chat_inputs import ListMessagesInput, SendMessageInput
from matching_server.rpc.convert_chat import message_page, sent_message
from matching_server.rpc.fields import read


class ChatService:
    """The handlers of ChatService."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    def send_message(self, request: pb.SendMessageRequest, call: Call) -> pb.SendMessageResponse:
        """Writes a message."""
        command = read(SendMessageInput, request).command()
        return sent_message(chat.send_message(self._runner, call, command))

    def list_messages(self, request: pb.ListMessagesRequest, call: Call) -> pb.ListMessagesResponse:
        """Lists a project's messages."""
        command = read(ListMessagesInput, request).command()
        return message_page(chat.list_messages(self._runner, call, command), command)
