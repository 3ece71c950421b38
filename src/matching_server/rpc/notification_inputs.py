"""What admins send about notifications, handed on in the domain's types. The limits are in ``fields``."""

from __future__ import annotations

from matching_server.operations import commands
from matching_server.rpc.fields import Few, Id, NotificationStatusIn, OptionalWord, RequestModel
from matching_server.rpc.inputs import PageInput


class ListNotificationsInput(PageInput):
    """A ``ListNotificationsRequest``."""

    statuses: Few[NotificationStatusIn] = ()
    type: OptionalWord = None
    recipient_id: Id | None = None

    def command(self) -> commands.ListNotifications:
        """What is asked."""
        return commands.ListNotifications(
            tuple(dict.fromkeys(self.statuses)), self.type, self.recipient_id, self.page()
        )


class NotificationIdInput(RequestModel):
    """A request that names a notification."""

    notification_id: Id
