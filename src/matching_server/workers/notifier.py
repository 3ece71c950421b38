"""The dispatcher of notifications: one loop that takes them and writes down what became of them, and threads that send.

The threads never wait for the database, and the loop never for a sink.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import structlog

from matching_server import metrics
from matching_server.domain.errors import StorageUnavailable, TransactionConflict
from matching_server.domain.notifications import (
    Delivery,
    DeliveryAttempt,
    DeliveryFault,
    LeasedNotification,
    NotificationStatus,
)
from matching_server.operations import notifications
from matching_server.operations.notifications import Exchange
from matching_server.operations.runner import Runner
from matching_server.workers.loop import Loop
from matching_server.workers.sinks import Sink

SENDERS = 32
"""Threads that send, so many notifications at a time: a recipient whose sink is slow has one of them, no more."""
_LOOK_SECONDS = 1.0
"""How long a notification that another server wrote, or that is due again, can stay unseen."""
_BREATH_SECONDS = 0.1
"""Between two looks, or as long as the last one took: where notifications are written all the time they are taken by
the dozen, and a great backlog does not keep the database from its work."""

_log = structlog.get_logger(__name__)


class Notifier:
    """Delivers what is due to every sink."""

    def __init__(self, runner: Runner, sinks: Sequence[Sink]) -> None:
        self._runner = runner
        self._sinks = tuple(sinks)
        self._lock = threading.Lock()
        self._sending = 0
        self._ended: list[DeliveryAttempt] = []
        """Attempts that the outbox does not know the end of yet."""
        self._next_look = 0.0
        self._pool = ThreadPoolExecutor(SENDERS, thread_name_prefix="notifier")
        self._loop = Loop("notifications", self._look, _LOOK_SECONDS)

    def start(self) -> None:
        """Starts to take notifications."""
        self._loop.start()

    def wake(self) -> None:
        """Notifications were written here: look at once."""
        self._loop.wake()

    def stop(self) -> None:
        """Takes no further one; what is being sent goes on."""
        self._loop.stop()

    def join(self, timeout: float) -> None:
        """Waits for what is being sent, and writes it down. What does not end in time comes back by its lease."""
        deadline = time.monotonic() + timeout
        self._loop.join(timeout)
        self._pool.shutdown(wait=False)
        while self._sending and time.monotonic() < deadline:
            time.sleep(0.01)
        if not self._loop.alive:
            try:
                self._exchange(0)
            except (StorageUnavailable, TransactionConflict) as error:
                _log.warning("notifications_not_written", reason=error.reason.value)
        for sink in self._sinks:
            sink.close()

    @property
    def alive(self) -> bool:
        """Whether the loop runs."""
        return self._loop.alive

    def _look(self) -> bool:
        time.sleep(max(0.0, self._next_look - time.monotonic()))
        began = time.monotonic()
        with self._lock:
            free = SENDERS - self._sending
        taken = self._exchange(free)
        ended = time.monotonic()
        self._next_look = ended + max(_BREATH_SECONDS, ended - began)
        for notification in taken:
            with self._lock:
                self._sending += 1
            self._pool.submit(self._send, notification)
        return len(taken) == free > 0

    def _exchange(self, count: int) -> tuple[LeasedNotification, ...]:
        """Hands in the attempts that have ended, for new ones."""
        with self._lock:
            ended = tuple(self._ended)
        exchanged = notifications.exchange(self._runner, ended, count)
        with self._lock:
            del self._ended[: len(ended)]
        _tell(ended, exchanged)
        return exchanged.taken

    def _send(self, notification: LeasedNotification) -> None:
        try:
            deliveries = tuple(
                self._deliver(sink, notification)
                for sink in self._sinks
                if sink.name not in notification.taken_by
            )
            with self._lock:
                self._ended.append(DeliveryAttempt(notification, deliveries))
        finally:
            with self._lock:
                self._sending -= 1
            self._loop.wake()

    def _deliver(self, sink: Sink, notification: LeasedNotification) -> Delivery:
        """The one place that every delivery passes: to which sink, with what result, in what time."""
        began = time.monotonic()
        try:
            sink.deliver(notification)
            fault = None
        except DeliveryFault as error:
            fault = error
        except Exception as error:
            _log.exception("sink_failed", sink=sink.name, notification_id=str(notification.id))
            fault = DeliveryFault(f"failed ({type(error).__name__})")
        seconds = time.monotonic() - began
        result = "taken" if fault is None else "refused" if fault.permanent else "failed"
        metrics.NOTIFICATION_DELIVERIES.labels(sink.name, result).inc()
        metrics.NOTIFICATION_SECONDS.labels(sink.name).observe(seconds)
        write = _log.warning if fault else _log.debug
        write(
            "notification_delivery",
            sink=sink.name,
            result=result,
            fault=str(fault) if fault else None,
            notification_id=str(notification.id),
            type=notification.type,
            attempt=notification.attempt,
            duration_ms=round(seconds * 1000, 1),
            correlation_id=notification.correlation_id,
        )
        return Delivery(sink.name, fault)


def _tell(ended: Sequence[DeliveryAttempt], exchanged: Exchange) -> None:
    """Logs what somebody may have to look after."""
    late = {notification.id for notification in exchanged.late}
    metrics.NOTIFICATION_LEASES_LOST.inc(len(late))
    for attempt in ended:
        notification_id = str(attempt.notification.id)
        if attempt.notification.id in late:
            _log.warning("notification_lease_lost", notification_id=notification_id)
        elif attempt.status is NotificationStatus.DEAD:
            _log.warning("notification_dead", notification_id=notification_id, error=attempt.error)
    for given_up in exchanged.given_up:
        _log.warning("notification_dead", notification_id=str(given_up), error="the lease ran out")
