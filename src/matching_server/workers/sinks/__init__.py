"""Where notifications are delivered to. Each module is a way; without any, the log is the one."""

from __future__ import annotations

from typing import Protocol

from matching_server.domain.notifications import LeasedNotification


class Sink(Protocol):
    """One way to deliver. It is used by many threads at the same time."""

    @property
    def name(self) -> str:
        """What it is called in the outbox, in errors and in the log."""

    def deliver(self, notification: LeasedNotification) -> None:
        """Delivers within the sink's time limit.

        Raises:
            DeliveryFault: it was not taken, or nobody knows whether it was.
        """

    def close(self) -> None:
        """Lets go of connections."""
