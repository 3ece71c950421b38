"""What every process of the service stands on: databases, the picture of the pool, what is told over Redis, and the
background work, started and stopped in one order.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from uuid import UUID, uuid4

import structlog

from matching_server import journal, metrics
from matching_server.config import Settings
from matching_server.domain.effects import Effects
from matching_server.domain.events import ProjectEvent
from matching_server.domain.scoring import State
from matching_server.operations.picture import Picture
from matching_server.operations.runner import Runner
from matching_server.storage import redis_client
from matching_server.storage.availability_cache import AvailabilityCache
from matching_server.storage.database import Database
from matching_server.streams import fanout
from matching_server.streams.pool_hints import PoolHint
from matching_server.workers.background import Background
from matching_server.workers.loop import Loop
from matching_server.workers.sinks import Sink
from matching_server.workers.sinks.addresses import Relay
from matching_server.workers.sinks.log import LogSink
from matching_server.workers.sinks.smtp import SmtpSink
from matching_server.workers.sinks.webhook import WebhookSink

_PICTURE_SECONDS = 1.0
"""How long a change of the pool that nobody told of can stay unseen."""
_PICTURE_READERS = 2
_PING_SECONDS = 1.0
_ANSWER_SECONDS = 5.0
"""How old the database's last answer may be."""
_LOOKED_AFTER_SECONDS = 10.0
"""How long ago the last look at health may be, which is taken every second."""
_LOOPS_AND_READERS = 8
"""Connections that the loops, the readers of events and the look at the database's health need at most."""

_log = structlog.get_logger(__name__)


class Backend:
    """One process's.

    Args:
        settings: with ``database_url`` and ``redis_url`` set.
        workers: whether the background work runs here.
        show: called with events that were committed here or heard of; must not raise.
        look_at: called with a project of whose events something may have been missed.
        look_at_streams: called when users have too many streams, some of which may be held here.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        workers: bool,
        show: Callable[[list[ProjectEvent]], None],
        look_at: Callable[[UUID], None],
        look_at_streams: Callable[[], None],
    ) -> None:
        assert settings.database_url is not None
        assert settings.redis_url is not None
        database_url = settings.database_url.get_secret_value()
        redis_url = self.redis_url = settings.redis_url.get_secret_value()
        self._show = show
        self._healthy = False
        self._answered_at = float("-inf")

        self._database = _database(database_url, "server", settings.database_pool)
        self.background_database = _database(
            database_url, "background", settings.provision_workers + _LOOPS_AND_READERS
        )
        # Of its own: the picture is looked after in the middle of transactions, which hold a connection.
        self._picture_database = _database(database_url, "picture", _PICTURE_READERS)
        self._picture = Picture(self._picture_database)
        for state in set(State) - {State.ABSENT}:
            metrics.ADVISORS.labels(state.name.lower()).set_function(partial(self._picture.in_state, state))
        metrics.FREE_SLOTS.set_function(self._picture.free_slots)
        self._picture_loop = Loop("picture", self._look_at_pool, _PICTURE_SECONDS)
        self.availability_cache = AvailabilityCache(redis_url)
        self._ping_loop = Loop("database-ping", self._ping, _PING_SECONDS)
        policy = settings.policy()
        self.runner = Runner(self._database, policy, self._picture, self._after_commit)
        self.background_runner = Runner(self.background_database, policy, self._picture, self._after_commit)
        source = uuid4().hex
        self._publisher = fanout.Publisher(redis_client.connect(redis_url), source)
        self.subscriber = fanout.Subscriber(
            redis_client.connect(redis_url),
            deliver=show,
            look_at=look_at,
            hear_of_pool=self._hear_of_pool,
            look_at_streams=look_at_streams,
            source=source,
        )
        self._threads_alive = True
        self._checked_at = time.monotonic()
        self._draining = False
        self._metrics = metrics.Endpoint(
            settings.metrics_listen, self.background_database, live=self._is_live, ready=self._is_ready
        )
        self._background = (
            Background(
                self.background_runner,
                provision_workers=settings.provision_workers,
                sweep_seconds=settings.sweep_seconds,
                sinks=_sinks(settings),
            )
            if workers
            else None
        )

    def start(self) -> None:
        """Starts everything but the background work, which begins with ``start_background``.

        Raises:
            CannotServeMetrics: the address of the metrics is taken.
            StorageUnavailable: the database does not answer.
        """
        self._picture.look()
        metrics_address = self._metrics.start()
        if metrics_address is not None:
            _log.info("serving_metrics", address=metrics_address)
        self._ping()
        self._ping_loop.start()
        self._picture_loop.start()
        self.availability_cache.start()
        self._publisher.start()
        self.subscriber.start()

    def start_background(self) -> None:
        """Starts the background work, where it runs here."""
        if self._background is not None:
            self._background.start()

    def begin_drain(self) -> None:
        """Nothing new is to come here; nobody looks at health any more."""
        self._draining = True

    def stop_background(self, timeout: float) -> None:
        """Begins nothing new there, and waits for what has begun."""
        if self._background is not None:
            self._background.stop(timeout)

    def stop(self) -> None:
        """Stops the rest, when nobody needs it any more."""
        self.subscriber.stop()
        self._publisher.stop()
        for loop in (self._picture_loop, self._ping_loop):
            loop.stop()
        for loop in (self._picture_loop, self._ping_loop):
            loop.join(_PICTURE_SECONDS)
        self.availability_cache.stop()
        self._metrics.stop()
        for database in (self._picture_database, self._database, self.background_database):
            database.close()

    @property
    def _alive(self) -> bool:
        loops = (self._picture_loop, self._ping_loop)
        parts = (self._publisher, self.subscriber, self.availability_cache, *loops)
        return all(part.alive for part in parts) and (self._background is None or self._background.alive)

    def check_health(self, *, alive: bool = True) -> bool:
        """Whether the database answers, and every thread runs: those here and, by ``alive``, the caller's."""
        alive = self._threads_alive = alive and self._alive
        self._checked_at = time.monotonic()
        healthy = alive and time.monotonic() - self._answered_at < _ANSWER_SECONDS
        changed, self._healthy = healthy != self._healthy, healthy
        metrics.HEALTHY.set(healthy)
        if changed:
            _log.info("health", status="healthy" if healthy else "degraded", threads_alive=alive)
        return healthy

    def _is_ready(self) -> bool:
        return self._is_live() and self._healthy and not self._draining

    def _is_live(self) -> bool:
        """A process that drains is left to it; the database away is no reason to start anew."""
        looked_after = time.monotonic() - self._checked_at < _LOOKED_AFTER_SECONDS
        return self._draining or (self._threads_alive and looked_after)

    def _after_commit(self, effects: Effects) -> None:
        """Forgets what is no longer so, shows and tells what was committed, and wakes who has to act on it."""
        self.availability_cache.forget(effects.availability_changed)
        if effects.events:
            self._show(effects.events)
        self._publisher.publish(effects)
        if self._background is not None:
            self._background.after_commit(effects)
        journal.tell(effects)

    def _hear_of_pool(self, hint: PoolHint) -> None:
        if not self._picture.hear(hint.loads) or hint.profiles_changed:
            self._picture_loop.wake()

    def _ping(self) -> bool:
        # In a thread of its own: a database that hangs, rather than is gone, keeps whoever asks it.
        try:
            self.background_database.ping()
            self._answered_at = time.monotonic()
        except Exception as error:
            if self._answered_at > 0:
                _log.warning("database_away", error=type(error).__name__)
            self._answered_at = float("-inf")
        return False

    def _look_at_pool(self) -> bool:
        self._picture.look()
        return False


def _database(url: str, name: str, size: int) -> Database:
    database = Database(url, pool_size=size, application_name=f"matching-{name}")
    metrics.show_pool(name, database, size)
    return database


def _sinks(settings: Settings) -> list[Sink]:
    """Where notifications go: wherever the settings say, and to the log where they say nothing."""
    timeout = settings.notify_timeout_seconds
    sinks: list[Sink] = []
    if settings.notify_webhook_url is not None and settings.notify_webhook_secret is not None:
        url, secret = settings.notify_webhook_url, settings.notify_webhook_secret
        sinks.append(WebhookSink(url.get_secret_value(), secret.get_secret_value(), timeout=timeout))
    if settings.notify_smtp_url is not None and settings.notify_from is not None:
        relay = Relay.of(settings.notify_smtp_url.get_secret_value())
        sinks.append(SmtpSink(relay, settings.notify_from, timeout=timeout))
    return sinks or [LogSink()]
