"""The notification outbox: written in the transaction that causes a notification, delivered afterwards."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import any_, insert, literal, select

from matching_server.storage.database import Transaction
from matching_server.storage.tables import notification_outbox, users


class NotificationType(StrEnum):
    """What people are told."""

    MATCH_OFFERED = "match_offered"
    OFFER_ENDED = "offer_ended"
    ADVISOR_FOUND = "advisor_found"
    ADVISOR_ACCEPTED = "advisor_accepted"
    ADVISOR_DECLINED = "advisor_declined"
    MATCH_EXPIRED = "match_expired"
    WORKSPACE_READY = "workspace_ready"
    PROVISIONING_FAILURE = "workspace_provisioning_failure"


def enqueue(
    tx: Transaction,
    type_: NotificationType,
    recipients: Sequence[UUID],
    payload: dict[str, Any],
    *,
    high_priority: bool = False,
) -> None:
    """One notification for each recipient, due at once."""
    if not recipients:
        return
    tx.conn.execute(
        insert(notification_outbox),
        [
            {
                "type": type_.value,
                "recipient_id": recipient,
                "priority": "high" if high_priority else "normal",
                "payload": payload,
                "correlation_id": tx.correlation_id,
            }
            for recipient in recipients
        ],
    )


def admins(tx: Transaction) -> list[UUID]:
    """Everybody whom an alert concerns."""
    return list(tx.conn.execute(select(users.c.id).where(literal("admin") == any_(users.c.roles))).scalars())
