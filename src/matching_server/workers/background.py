"""Everything that runs beside the calls, started and stopped as one."""

from __future__ import annotations

import time
from collections.abc import Sequence

import structlog

from matching_server import metrics
from matching_server.domain.effects import Effects
from matching_server.operations import backlog, provisioning, upkeep
from matching_server.operations.runner import Runner
from matching_server.workers.loop import Loop
from matching_server.workers.notifier import Notifier
from matching_server.workers.provisioner import Provisioner
from matching_server.workers.sinks import Sink

_BACKLOG_SECONDS = 1.0
"""How long capacity that appeared on another server can stay unseen; a look in vain is one query."""
_FORGET_SECONDS = 60.0

_log = structlog.get_logger(__name__)


class Background:
    """The provisioning pool, the dispatcher of notifications, and the loops.

    Args:
        runner: gives each piece of work its transaction.
        provision_workers: threads of the provisioning pool.
        sweep_seconds: between two sweeps for what has expired.
        sinks: where notifications go, each to all of them.
    """

    def __init__(
        self, runner: Runner, *, provision_workers: int, sweep_seconds: float, sinks: Sequence[Sink]
    ) -> None:
        self._runner = runner
        self._provisioner = Provisioner(runner, provision_workers)
        self._notifier = Notifier(runner, sinks)
        self._backlog = Loop("backlog", self._serve_backlog, _BACKLOG_SECONDS)
        self._sweeper = Loop("sweeper", self._sweep, sweep_seconds)
        self._retention = Loop("retention", self._forget, _FORGET_SECONDS)
        self._loops = (self._backlog, self._sweeper, self._retention)

    def start(self) -> None:
        """Starts all threads."""
        self._provisioner.start()
        self._notifier.start()
        for loop in self._loops:
            loop.start()

    def stop(self, timeout: float) -> None:
        """Begins nothing new, and waits for what has begun."""
        deadline = time.monotonic() + timeout
        self._provisioner.stop()
        self._notifier.stop()
        for loop in self._loops:
            loop.stop()
        for loop in self._loops:
            loop.join(max(0.0, deadline - time.monotonic()))
        self._provisioner.join(max(0.0, deadline - time.monotonic()))
        self._notifier.join(max(0.0, deadline - time.monotonic()))

    def after_commit(self, effects: Effects) -> None:
        """Wakes what a commit left something to do for."""
        if effects.job_queued:
            self._provisioner.wake()
        if effects.notification_queued:
            self._notifier.wake()
        if effects.capacity_freed:
            self._backlog.wake()

    @property
    def alive(self) -> bool:
        """Whether every thread runs."""
        return self._provisioner.alive and self._notifier.alive and all(loop.alive for loop in self._loops)

    def _serve_backlog(self) -> bool:
        served = backlog.run_pass(self._runner, wait=False)
        if served:
            metrics.SERVED.inc(served)
            _log.info("backlog_served", matches=served)
        return False

    def _sweep(self) -> bool:
        swept = {
            "expired": upkeep.expire_overdue(self._runner),
            "orphans_closed": upkeep.close_orphans(self._runner),
            "leases_returned": provisioning.return_expired_leases(self._runner),
        }
        metrics.SWEPT.labels("expired").inc(swept["expired"])
        metrics.SWEPT.labels("orphans").inc(swept["orphans_closed"])
        metrics.LEASES_RETURNED.inc(swept["leases_returned"])
        if any(swept.values()):
            _log.info("swept", **swept)
        return False

    def _forget(self) -> bool:
        return upkeep.forget(self._runner) > 0
