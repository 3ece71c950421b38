"""The dispatcher of notifications: one loop that takes them and writes down what became of them, and threads that send.

The threads never wait for the database, and the loop never for a sink.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from uuid import UUID

import structlog

from matching_server import metrics, tracing
from matching_server.domain.errors import StorageUnavailable, TransactionConflict
from matching_server.domain.notifications import (
    Delivery,
    DeliveryAttempt,
    DeliveryFault,
    LeasedNotification,
    NotificationStatus,
)
from matching_server.operations import notifications
from matching_server.operations.runner import Runner
from matching_server.storage.deliveries import NOBODY
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
        self._start = NOBODY
        """The recipient with whom the next look goes on, where not everybody can have a turn in one."""
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
                self._hand_in()
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
        try:
            self._hand_in()
            return self._take()
        finally:
            ended = time.monotonic()
            self._next_look = ended + max(_BREATH_SECONDS, ended - began)

    def _hand_in(self) -> None:
        with self._lock:
            ended = tuple(self._ended)
        if not ended:
            return
        late = notifications.hand_in(self._runner, ended)
        with self._lock:
            del self._ended[: len(ended)]
        _tell(ended, {notification.id for notification in late})

    def _take(self) -> bool:
        """Whether there may be more to take."""
        with self._lock:
            free = SENDERS - self._sending
        if not free:
            return False
        taken = notifications.take(self._runner, free, self._start)
        self._start = taken.reached or NOBODY
        for notification in taken.leased:
            with self._lock:
                self._sending += 1
            self._pool.submit(self._send, notification)
        for given_up in taken.given_up:
            _log.warning("notification_dead", notification_id=str(given_up), error="the lease ran out")
        return len(taken.leased) == free or taken.reached is not None

    def _send(self, notification: LeasedNotification) -> None:
        try:
            outcomes = [
                self._deliver(sink, notification)
                for sink in self._sinks
                if sink.name not in notification.taken_by
            ]
            # Before anything else that might fail: what a sink has taken must not be sent again.
            deliveries = tuple(outcome.delivery for outcome in outcomes)
            with self._lock:
                self._ended.append(DeliveryAttempt(notification, deliveries))
            for outcome in outcomes:
                outcome.tell(notification)
        finally:
            with self._lock:
                self._sending -= 1
            self._loop.wake()

    def _deliver(self, sink: Sink, notification: LeasedNotification) -> _Outcome:
        """The one place that every delivery passes: to which sink, with what result, in what time."""
        defect, fault = None, None
        began = time.monotonic()
        told: tracing.Attributes = {
            "sink": sink.name,
            "type": notification.type,
            "attempt": notification.attempt,
        }
        with tracing.continued("deliver notification", "PRODUCER", notification.traceparent, told) as span:
            try:
                sink.deliver(notification)
            except DeliveryFault as error:
                fault = error
            except Exception as error:
                defect, fault = error, DeliveryFault(f"failed ({type(error).__name__})")
            span.end(fault=str(fault) if fault else None)
        return _Outcome(Delivery(sink.name, fault), time.monotonic() - began, defect)


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What one sink made of a notification, for whoever watches the service."""

    delivery: Delivery
    seconds: float
    defect: Exception | None

    def tell(self, notification: LeasedNotification) -> None:
        """Counts and logs it."""
        sink, fault = self.delivery.sink, self.delivery.fault
        result = "taken" if fault is None else "refused" if fault.permanent else "failed"
        metrics.NOTIFICATION_DELIVERIES.labels(sink, result).inc()
        metrics.NOTIFICATION_SECONDS.labels(sink).observe(self.seconds)
        if self.defect:
            _log.error("sink_failed", sink=sink, notification_id=str(notification.id), exc_info=self.defect)
        write = _log.warning if fault else _log.info
        write(
            "notification_delivery",
            sink=sink,
            result=result,
            fault=str(fault) if fault else None,
            notification_id=str(notification.id),
            type=notification.type,
            attempt=notification.attempt,
            duration_ms=round(self.seconds * 1000, 1),
            correlation_id=notification.correlation_id,
        )


def _tell(ended: Sequence[DeliveryAttempt], late: Collection[UUID]) -> None:
    """Logs what somebody may have to look after."""
    metrics.NOTIFICATION_LEASES_LOST.inc(len(late))
    for attempt in ended:
        notification_id = str(attempt.notification.id)
        if attempt.notification.id in late:
            _log.warning("notification_lease_lost", notification_id=notification_id)
        elif attempt.status is NotificationStatus.DEAD:
            _log.warning("notification_dead", notification_id=notification_id, error=attempt.error)
