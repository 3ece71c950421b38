"""The composition root: builds everything that a server is made of, and starts and stops it in one order."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from uuid import UUID, uuid4

import grpc
import structlog

from advisor_matching.v1 import event_service_pb2
from matching_server.config import Settings
from matching_server.domain.calls import Call
from matching_server.domain.effects import Effects
from matching_server.domain.errors import StorageUnavailable
from matching_server.domain.events import ProjectEvent
from matching_server.operations.commands import WatchProject
from matching_server.operations.picture import Picture
from matching_server.operations.runner import Runner
from matching_server.operations.watching import EventSource, WatchStart
from matching_server.rpc import convert_events
from matching_server.rpc.admin_service import AdminService
from matching_server.rpc.availability_service import AvailabilityService
from matching_server.rpc.chat_service import ChatService
from matching_server.rpc.decision_service import DecisionService
from matching_server.rpc.directory_service import DirectoryService
from matching_server.rpc.event_service import EventService
from matching_server.rpc.health import Health
from matching_server.rpc.keys import KeyRing
from matching_server.rpc.match_service import MatchService
from matching_server.rpc.pipeline import Pipeline
from matching_server.rpc.server import build_server, listen, tls_credentials
from matching_server.rpc.stream_context import StreamContext
from matching_server.rpc.system_service import SystemService
from matching_server.storage import redis_client
from matching_server.storage.availability_cache import AvailabilityCache
from matching_server.storage.database import Database
from matching_server.streams import fanout
from matching_server.streams.hub import Hub
from matching_server.streams.pool_hints import PoolHint
from matching_server.streams.watch import Watch
from matching_server.workers.background import Background
from matching_server.workers.loop import Loop

_HEALTH_SECONDS = 1.0
_PICTURE_SECONDS = 1.0
"""How long a change of the pool that nobody told of can stay unseen."""
_PICTURE_READERS = 2
_LOOPS_AND_READERS = 8
"""Connections that the loops, the readers of events and the look at the database's health need at most."""

_log = structlog.get_logger(__name__)


class Application:
    """One server process.

    Args:
        settings: with ``database_url`` and ``redis_url`` set.
        keys: what callers sign with.
        workers: whether the background work runs here, too.
    """

    def __init__(self, settings: Settings, keys: KeyRing, *, workers: bool = True) -> None:
        assert settings.database_url is not None
        assert settings.redis_url is not None
        self._settings = settings
        self._status = "degraded"
        database_url = settings.database_url.get_secret_value()
        redis_url = settings.redis_url.get_secret_value()

        self._database = Database(
            database_url, pool_size=settings.database_pool, application_name="matching-server"
        )
        self._background_database = Database(
            database_url,
            pool_size=settings.provision_workers + _LOOPS_AND_READERS,
            application_name="matching-background",
        )
        # Of its own: the picture is looked after in the middle of transactions, which hold a connection.
        self._picture_database = Database(
            database_url, pool_size=_PICTURE_READERS, application_name="matching-picture"
        )
        self._picture = Picture(self._picture_database)
        self._picture_loop = Loop("picture", self._look_at_pool, _PICTURE_SECONDS)
        self._availability_cache = AvailabilityCache(redis_url)
        policy = settings.policy()
        runner = Runner(self._database, policy, self._picture, self._after_commit)
        background_runner = Runner(self._background_database, policy, self._picture, self._after_commit)

        self._source = EventSource(self._background_database)
        source = uuid4().hex
        self._publisher = fanout.Publisher(redis_client.connect(redis_url), source)
        self._subscriber = fanout.Subscriber(
            redis_client.connect(redis_url),
            deliver=self._deliver,
            look_at=self._look_at,
            hear_of_pool=self._hear_of_pool,
            source=source,
        )
        self._hub = Hub(
            self._source,
            render=self._render,
            render_heartbeat=_render_heartbeat,
            subscriptions=self._subscriber,
            heartbeat_seconds=settings.heartbeat_seconds,
        )
        self._background = (
            Background(
                background_runner,
                provision_workers=settings.provision_workers,
                sweep_seconds=settings.sweep_seconds,
            )
            if workers
            else None
        )
        self._health = Health()
        self._health_loop = Loop("health", self._check_health, _HEALTH_SECONDS)
        self._server = build_server(
            Pipeline(keys),
            self._servicers(runner),
            self._health,
            threads=settings.rpc_threads,
            reflect=settings.reflection_on,
        )

    def _servicers(self, runner: Runner) -> dict[str, object]:
        flag = self._settings.auto_provision
        return {
            "MatchService": MatchService(runner),
            "DecisionService": DecisionService(runner),
            "AvailabilityService": AvailabilityService(runner, self._availability_cache),
            "AdminService": AdminService(runner),
            "EventService": EventService(runner, self._open_watch),
            "ChatService": ChatService(),
            "DirectoryService": DirectoryService(runner),
            "SystemService": SystemService(lambda: self._status, auto_provision=flag),
        }

    def start(self) -> str:
        """Binds, starts everything, and returns the address that is served on.

        Raises:
            CannotListen: the address is taken.
            StorageUnavailable: the database does not answer.
        """
        port = listen(self._server, self._settings.listen, self._credentials())
        self._picture.look()
        self._picture_loop.start()
        self._availability_cache.start()
        self._publisher.start()
        self._subscriber.start()
        self._hub.start()
        if self._background is not None:
            self._background.start()
        self._server.start()
        self._check_health()
        self._health_loop.start()
        address = f"{self._settings.listen.rpartition(':')[0]}:{port}"
        _log.info("serving", address=address, workers=self._background is not None)
        return address

    def stop(self) -> None:
        """Drains: nothing that has begun is cut short while there is time."""
        deadline = time.monotonic() + self._settings.drain_seconds
        _log.info("draining")
        self._status = "draining"
        self._health_loop.stop()
        self._health_loop.join(_HEALTH_SECONDS)
        self._health.drain()
        stopped = self._server.stop(max(0.5, self._settings.drain_seconds - 1))
        self._hub.drain(timeout=min(5.0, self._settings.drain_seconds / 2))
        stopped.wait(max(0.5, deadline - time.monotonic()))
        if self._background is not None:
            self._background.stop(max(0.5, deadline - time.monotonic()))
        self._hub.stop()
        self._subscriber.stop()
        self._publisher.stop()
        self._picture_loop.stop()
        self._picture_loop.join(_PICTURE_SECONDS)
        self._picture_database.close()
        self._availability_cache.stop()
        self._database.close()
        self._background_database.close()
        _log.info("stopped")

    def _credentials(self) -> grpc.ServerCredentials | None:
        settings = self._settings
        if settings.tls_cert is None or settings.tls_key is None:
            return None
        return tls_credentials(
            settings.tls_cert.read_bytes(),
            settings.tls_key.read_bytes(),
            settings.tls_client_ca.read_bytes() if settings.tls_client_ca else None,
        )

    def _after_commit(self, effects: Effects) -> None:
        """Forgets what is no longer so, shows what was committed, and wakes who has to act on it."""
        self._availability_cache.forget(effects.availability_changed)
        if effects.events:
            self._hub.deliver(effects.events)
        self._publisher.publish(effects)
        if self._background is not None:
            self._background.after_commit(effects)

    def _deliver(self, events: list[ProjectEvent]) -> None:
        self._hub.deliver(events)

    def _look_at(self, project_id: UUID) -> None:
        self._hub.look_at(project_id)

    def _open_watch(
        self, call: Call, command: WatchProject, start: WatchStart, stream: StreamContext
    ) -> None:
        watch = Watch(
            call.caller,
            start,
            types=command.types,
            claims_expire_at=call.claims_expire_at,
            sink=stream,
        )
        if stream.on_end(lambda: self._hub.close(watch)):
            self._hub.open(watch)

    def _render(self, event: ProjectEvent) -> bytes:
        message = convert_events.event_message(event, self._source.epoch)
        return event_service_pb2.WatchProjectEventsResponse(event=message).SerializeToString()

    def _hear_of_pool(self, hint: PoolHint) -> None:
        if not self._picture.hear(hint.loads) or hint.profiles_changed:
            self._picture_loop.wake()

    def _look_at_pool(self) -> bool:
        self._picture.look()
        return False

    def _check_health(self) -> bool:
        """Serving means: the database answers, and every thread that should run does."""
        alive = self._hub.alive and self._publisher.alive and self._subscriber.alive
        alive = alive and self._picture_loop.alive
        alive = alive and self._availability_cache.alive
        alive = alive and (self._background is None or self._background.alive)
        try:
            self._background_database.ping()
            healthy = alive
        except StorageUnavailable:
            healthy = False
        if self._status != "draining":
            self._health.set_serving(healthy)
            status = "healthy" if healthy else "degraded"
            if status != self._status:
                _log.info("health", status=status, threads_alive=alive)
            self._status = status
        return False


def _render_heartbeat(project_id: UUID, last_event_id: str) -> bytes:
    message = convert_events.heartbeat_message(project_id, last_event_id, datetime.now(UTC))
    return event_service_pb2.WatchProjectEventsResponse(event=message).SerializeToString()
