"""Notifications as messages of the contract."""

from __future__ import annotations

from google.protobuf.struct_pb2 import Struct

from advisor_matching.v1 import admin_service_pb2, types_pb2
from matching_server.domain.notifications import Notification
from matching_server.operations.commands import PageOf
from matching_server.rpc import enums
from matching_server.rpc.paging import encode_page_token


def notification_message(notification: Notification) -> types_pb2.Notification:
    """A notification."""
    payload = Struct()
    payload.update(notification.payload)
    return types_pb2.Notification(
        id=str(notification.id),
        type=notification.type,
        recipient_id=str(notification.recipient_id),
        priority=enums.NOTIFICATION_PRIORITY.to_wire(notification.priority),
        payload=payload,
        status=enums.NOTIFICATION_STATUS.to_wire(notification.status),
        attempt_count=notification.attempt_count,
        next_attempt_at=notification.next_attempt_at,
        last_error=notification.last_error or "",
        created_at=notification.created_at,
    )


def notification_page_message(page: PageOf[Notification]) -> admin_service_pb2.ListNotificationsResponse:
    """A page of notifications."""
    return admin_service_pb2.ListNotificationsResponse(
        notifications=[notification_message(notification) for notification in page.items],
        next_page_token=encode_page_token(page.next),
    )
