"""The log as a sink: a line for each notification, for whoever collects log lines, and for trying things out."""

from __future__ import annotations

import structlog

from matching_server.domain.notifications import LeasedNotification

# Not filtered: what the level leaves out of the log would count as sent.
_log = structlog.wrap_logger(None, wrapper_class=structlog.make_filtering_bound_logger(0))


class LogSink:
    """Writes notifications to the log."""

    name = "log"

    def deliver(self, notification: LeasedNotification) -> None:
        """Writes the line."""
        _log.info(
            "notification",
            notification_id=str(notification.id),
            type=notification.type,
            recipient_id=str(notification.recipient_id),
            priority=notification.priority.value,
            payload=notification.payload,
            correlation_id=notification.correlation_id,
        )

    def close(self) -> None:
        """There is nothing to close."""
