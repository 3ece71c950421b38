"""Notifications as tests need them: written, taken, and told what became of them."""

from __future__ import annotations

from functools import partial
from typing import Any
from uuid import UUID

from matching_server.domain.notifications import (
    Delivery,
    DeliveryAttempt,
    DeliveryFault,
    LeasedNotification,
    NotificationType,
)
from matching_server.operations.notifications import hand_in
from matching_server.operations.notifications import take as take_due
from matching_server.storage import outbox
from matching_server.storage.database import Transaction
from tests.integration.world import World

MANY = 100


def write(world: World, *recipients: UUID, high: bool = False) -> list[UUID]:
    """A notification for each, one after the other; their ids."""
    written = []
    for recipient in recipients:
        world.runner.system(partial(_enqueue, recipient=recipient, high=high))
        written.append(world.ask("SELECT id FROM notification_outbox ORDER BY created_at DESC LIMIT 1"))
    return written


def _enqueue(tx: Transaction, *, recipient: UUID, high: bool) -> None:
    payload = {"matchId": "m"}
    outbox.enqueue(tx, NotificationType.MATCH_OFFERED, [recipient], payload, high_priority=high)


def take(world: World, count: int = MANY) -> list[LeasedNotification]:
    """What is due now."""
    return list(take_due(world.runner, count).leased)


def take_one(world: World) -> LeasedNotification:
    """The one that is due now."""
    [taken] = take(world)
    return taken


def ids(taken: list[LeasedNotification]) -> list[UUID]:
    """Their ids."""
    return [one.id for one in taken]


def end(
    world: World, taken: LeasedNotification, *faults: DeliveryFault | None
) -> tuple[LeasedNotification, ...]:
    """Hands in what the sinks made of it; returned if it was too late."""
    deliveries = tuple(Delivery(f"sink{i}", fault) for i, fault in enumerate(faults or (None,)))
    return hand_in(world.runner, [DeliveryAttempt(taken, deliveries)])


def fail(world: World, taken: LeasedNotification) -> tuple[LeasedNotification, ...]:
    """The attempt fails, and may be repeated."""
    return end(world, taken, DeliveryFault("answered 500"))


def make_due(world: World) -> None:
    """Nobody waits for backoffs and leases here."""
    world.run(
        "UPDATE notification_outbox SET next_attempt_at = clock_timestamp() - interval '1 ms'"
        " WHERE status = 'pending'"
    )


def row(world: World, notification_id: UUID, columns: str) -> tuple[Any, ...]:
    """Of one notification."""
    return world.rows(f"SELECT {columns} FROM notification_outbox WHERE id = :id", id=notification_id)[0]


def dead(world: World, recipient: UUID) -> UUID:
    """A notification that nobody would take."""
    [written] = write(world, recipient)
    [taken] = [one for one in take(world) if one.id == written]
    end(world, taken, DeliveryFault("answered 410", permanent=True))
    return written
