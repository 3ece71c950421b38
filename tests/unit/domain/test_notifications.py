"""What becomes of a notification after an attempt at every sink."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import pytest

from matching_server.domain.notifications import (
    Delivery,
    DeliveryAttempt,
    DeliveryFault,
    LeasedNotification,
    NotificationPriority,
    NotificationStatus,
    Recipient,
)

S = NotificationStatus
NOW = datetime(2026, 1, 1, tzinfo=UTC)
PASSES = DeliveryFault("answered 500")
FOR_GOOD = DeliveryFault("answered 410", permanent=True)


def attempt(number: int, *faults: DeliveryFault | None, taken_by: tuple[str, ...] = ()) -> DeliveryAttempt:
    leased = LeasedNotification(
        id=UUID(int=1),
        type="test",
        recipient_id=UUID(int=2),
        priority=NotificationPriority.NORMAL,
        payload={},
        attempt=number,
        created_at=NOW,
        taken_at=NOW,
        lease_token=UUID(int=3),
        taken_by=taken_by,
        recipient=Recipient(True, None),
        correlation_id=None,
    )
    return DeliveryAttempt(leased, tuple(Delivery(f"sink{i}", fault) for i, fault in enumerate(faults)))


@pytest.mark.parametrize(
    ("number", "faults", "status"),
    [
        (1, (None,), S.SENT),
        (1, (None, None), S.SENT),
        (1, (), S.SENT),
        (1, (PASSES,), S.PENDING),
        (2, (PASSES,), S.PENDING),
        (3, (PASSES,), S.DEAD),
        (3, (None,), S.SENT),
        (1, (FOR_GOOD,), S.DEAD),
        (1, (None, FOR_GOOD), S.DEAD),
        (1, (FOR_GOOD, PASSES), S.PENDING),
        (1, (None, PASSES), S.PENDING),
    ],
)
def test_it_is_sent_once_all_have_it_and_dead_once_nothing_can_help(
    number: int, faults: tuple[DeliveryFault | None, ...], status: NotificationStatus
) -> None:
    assert attempt(number, *faults).status is status


def test_the_error_names_every_sink_that_failed() -> None:
    assert attempt(1, PASSES, None, FOR_GOOD).error == "sink0: answered 500; sink2: answered 410"
    assert attempt(1, None).error is None


def test_who_has_it_adds_up() -> None:
    assert attempt(2, None, PASSES, taken_by=("log",)).taken_by == ("log", "sink0")
