"""`matching admin notifications`: what is on its way to people."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

import typer

from advisor_matching.v1.types_pb2 import NotificationStatus
from matching_client.commands import admin_views
from matching_client.commands.call import Call, command
from matching_client.commands.options import All, PageSize, PageToken, text_of
from matching_client.commands.pages import show_pages
from matching_client.commands.words import words_option

group = typer.Typer(name="notifications", help="What is on its way to people.")


@command(group, "list", method="AdminService/ListNotifications")
def list_notifications(
    call: Call,
    status: Annotated[
        list[str] | None,
        words_option(NotificationStatus, "Only in this status; may be repeated.", "--status"),
    ] = None,
    type: Annotated[str, typer.Option(help="Only of this kind.")] = "",
    recipient: Annotated[UUID | None, typer.Option(help="Only to this user.", metavar="USER_ID")] = None,
    *,
    page_size: PageSize = 0,
    page_token: PageToken = "",
    all_pages: All = False,
) -> None:
    """Lists notifications, newest first."""
    show_pages(
        call,
        lambda token: call.client.list_notifications(
            statuses=status or (),
            type=type,
            recipient_id=text_of(recipient),
            page_size=page_size,
            page_token=token,
        ),
        lambda page: page.notifications,
        admin_views.notifications,
        page_token=page_token,
        all_pages=all_pages,
    )


@command(group, "resend", method="AdminService/ResendNotification")
def resend(
    call: Call,
    notification_id: Annotated[
        UUID, typer.Argument(help="The notification, a dead one.", metavar="NOTIFICATION_ID")
    ],
) -> None:
    """Puts a dead notification back in the queue; one that is not dead stays as it is."""
    notification = call.client.resend_notification(str(notification_id))
    call.show(notification, lambda: admin_views.notifications([notification]))
