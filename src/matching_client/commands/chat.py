"""`matching chat`: the messages of a project."""

from __future__ import annotations

import sys
from typing import Annotated
from uuid import UUID

import typer

from advisor_matching.v1.chat_service_pb2 import MessageOrder
from advisor_matching.v1.types_pb2 import ActorType, ChatMode
from matching_client.commands import views
from matching_client.commands.call import Call, command
from matching_client.commands.options import All, PageSize, PageToken, ProjectId, text_of
from matching_client.commands.pages import show_pages
from matching_client.commands.words import words_option

group = typer.Typer(name="chat", help="The messages of a project.")


@command(group, "send", method="ChatService/SendMessage")
def send(
    call: Call,
    project_id: ProjectId,
    text: Annotated[str, typer.Argument(help="The message, up to 10,000 characters; - reads stdin.")],
    mode: Annotated[str | None, words_option(ChatMode, "Kind of work it belongs to.", "--mode")] = None,
    speaking_as: Annotated[
        str | None, words_option(ActorType, "As whom a service speaks: assistant or system.", "--as")
    ] = None,
    client_msg_id: Annotated[
        UUID | None, typer.Option(help="Stores a repeat once; made up where left out.")
    ] = None,
) -> None:
    """Writes a message: as the person whom --user-id names, else as the platform's assistant."""
    answer = call.client.send_message(
        str(project_id),
        sys.stdin.read().rstrip("\n") if text == "-" else text,
        client_msg_id=text_of(client_msg_id),
        mode=mode,
        actor_type=speaking_as,
    )
    call.show(answer, lambda: views.messages([answer.message]))


@command(group, "list", method="ChatService/ListMessages")
def list_messages(
    call: Call,
    project_id: ProjectId,
    order: Annotated[str | None, words_option(MessageOrder, "Which come first.", "--order")] = None,
    *,
    page_size: PageSize = 0,
    page_token: PageToken = "",
    all_pages: All = False,
) -> None:
    """Lists the messages, newest first unless said otherwise."""
    show_pages(
        call,
        lambda token: call.client.list_messages(
            str(project_id), order=order, page_size=page_size, page_token=token
        ),
        lambda page: page.messages,
        views.messages,
        page_token=page_token,
        all_pages=all_pages,
    )
