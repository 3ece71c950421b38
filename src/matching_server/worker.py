"""The composition root of a worker: the background work alone, in a process of its own."""

from __future__ import annotations

import structlog

from matching_server.backend import Backend
from matching_server.config import Settings
from matching_server.workers.loop import Loop

_HEALTH_SECONDS = 1.0

_log = structlog.get_logger(__name__)


class Worker:
    """One worker process. It answers no calls; what it commits, servers show.

    Args:
        settings: with ``database_url`` and ``redis_url`` set.
    """

    def __init__(self, settings: Settings) -> None:
        self._drain_seconds = settings.drain_seconds
        self._backend = Backend(
            settings,
            workers=True,
            show=lambda _: None,
            look_at=lambda _: None,
            look_at_streams=lambda: None,
        )
        self._health_loop = Loop("health", self._check_health, _HEALTH_SECONDS)

    def start(self) -> None:
        """Starts everything.

        Raises:
            CannotServeMetrics: the address of the metrics is taken.
            StorageUnavailable: the database does not answer.
        """
        self._backend.start()
        self._backend.start_background()
        self._health_loop.start()
        _log.info("working")

    def stop(self) -> None:
        """Drains: a job that has begun ends, or is handed back where there is no time left."""
        _log.info("draining")
        self._backend.begin_drain()
        self._health_loop.stop()
        self._health_loop.join(_HEALTH_SECONDS)
        self._backend.stop_background(self._drain_seconds)
        self._backend.stop()
        _log.info("stopped")

    def _check_health(self) -> bool:
        self._backend.check_health()
        return False
