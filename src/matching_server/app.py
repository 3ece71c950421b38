"""The composition root of a server: builds what it is made of, and starts and stops it in one order."""

from __future__ import annotations

import time
from contextlib import suppress
from datetime import UTC, datetime
from uuid import UUID

import structlog

from advisor_matching.v1 import event_service_pb2
from matching_server import metrics
from matching_server.backend import Backend
from matching_server.config import Settings
from matching_server.domain.calls import Call
from matching_server.domain.errors import StorageUnavailable, StreamEvicted
from matching_server.domain.events import ProjectEvent
from matching_server.operations.commands import WatchProject
from matching_server.operations.watching import EventSource, WatchStart
from matching_server.rpc import convert_events
from matching_server.rpc.admin_service import AdminService
from matching_server.rpc.admission import Turns
from matching_server.rpc.availability_service import AvailabilityService
from matching_server.rpc.chat_service import ChatService
from matching_server.rpc.decision_service import DecisionService
from matching_server.rpc.directory_service import DirectoryService
from matching_server.rpc.event_service import EventService
from matching_server.rpc.health import Health
from matching_server.rpc.keys import KeyFile
from matching_server.rpc.match_service import MatchService
from matching_server.rpc.pipeline import Pipeline
from matching_server.rpc.server import build_server, listen
from matching_server.rpc.stream_context import StreamContext
from matching_server.rpc.system_service import SystemService
from matching_server.rpc.tls import Tls
from matching_server.storage.call_rates import CallRates
from matching_server.streams.hub import Hub
from matching_server.streams.keeper import Keeper
from matching_server.streams.registry import StreamRegistry
from matching_server.streams.watch import Watch
from matching_server.workers.loop import Loop

REGISTRY_SECONDS = 1.0
"""Between two beats by which the others see that this server lives."""
RATES_SECONDS = 0.5
"""Between two looks at how often users call elsewhere."""
HEALTH_SECONDS = 1.0
"""Between two looks at whether everything runs."""
TRUST_SECONDS = 1.0
"""Between two looks at the files of keys and certificates."""

_log = structlog.get_logger(__name__)


class Application:
    """One server process.

    Args:
        settings: with ``database_url`` and ``redis_url`` set.
        keys: what callers sign with.
        workers: whether the background work runs here, too.

    Raises:
        ValueError: the TLS files of the settings cannot be used.
    """

    def __init__(self, settings: Settings, keys: KeyFile, *, workers: bool = True) -> None:
        self._settings = settings
        self._keys = keys
        self._tls = _tls(settings)
        self._trust_loop = Loop("trust", self._look_at_trusted_files, TRUST_SECONDS)
        self._workers = workers
        self._status = "degraded"
        self._backend = Backend(
            settings,
            workers=workers,
            show=self._show,
            look_at=self._look_at,
            look_at_streams=self._look_at_streams,
        )
        self._source = EventSource(self._backend.background_database)
        self._hub = Hub(
            self._source,
            render=self._render,
            render_heartbeat=_render_heartbeat,
            subscriptions=self._backend.subscriber,
        )
        self._keeper = Keeper(self._hub, self._source, heartbeat_seconds=settings.heartbeat_seconds)
        self._registry = StreamRegistry(self._backend.background_runner, evict=self._evict)
        self._registry_loop = Loop("stream-registry", self._registry.beat, REGISTRY_SECONDS)
        self._rates = CallRates(self._backend.redis_url, limit=settings.calls_per_user)
        self._rates_loop = Loop("call-rates", self._rates.exchange, RATES_SECONDS)
        metrics.STREAMS_OPEN.set_function(lambda: len(self._registry))
        self._health = Health()
        self._health_loop = Loop("health", self._check_health, HEALTH_SECONDS)
        self._server = build_server(
            Pipeline(keys.ring, Turns(settings.rpc_threads), self._rates.admit),
            self._servicers(),
            self._health,
            reflect=settings.reflection_on,
        )

    def _servicers(self) -> dict[str, object]:
        runner, flag = self._backend.runner, self._settings.auto_provision
        return {
            "MatchService": MatchService(runner),
            "DecisionService": DecisionService(runner),
            "AvailabilityService": AvailabilityService(runner, self._backend.availability_cache),
            "AdminService": AdminService(runner),
            "EventService": EventService(
                runner, self._open_watch, server_id=self._registry.server_id, has_room=self._has_room
            ),
            "ChatService": ChatService(runner),
            "DirectoryService": DirectoryService(runner),
            "SystemService": SystemService(lambda: self._status, auto_provision=flag),
        }

    def start(self) -> str:
        """Binds, starts everything, and returns the address that is served on.

        Raises:
            CannotListen, CannotServeMetrics: an address is taken.
            StorageUnavailable: the database does not answer.
        """
        port = listen(self._server, self._settings.listen, self._tls.credentials() if self._tls else None)
        self._backend.start()
        self._registry.beat()
        self._registry_loop.start()
        self._rates_loop.start()
        self._hub.start()
        self._keeper.start()
        self._backend.start_background()
        self._trust_loop.start()
        self._server.start()
        self._check_health()
        self._health_loop.start()
        address = f"{self._settings.listen.rpartition(':')[0]}:{port}"
        _log.info("serving", address=address, workers=self._workers)
        return address

    def stop(self) -> None:
        """Drains: nothing that has begun is cut short while there is time."""
        deadline = time.monotonic() + self._settings.drain_seconds
        _log.info("draining")
        self._status = "draining"
        self._backend.begin_drain()
        self._health_loop.stop()
        self._health_loop.join(HEALTH_SECONDS)
        self._health.drain()
        stopped = self._server.stop(max(0.5, self._settings.drain_seconds - 1))
        self._hub.drain(timeout=min(5.0, self._settings.drain_seconds / 2))
        stopped.wait(max(0.5, deadline - time.monotonic()))
        self._backend.stop_background(max(0.5, deadline - time.monotonic()))
        self._keeper.stop()
        self._hub.stop()
        self._stop_registry()
        self._rates_loop.stop()
        self._rates_loop.join(RATES_SECONDS)
        self._rates.close()
        self._trust_loop.stop()
        self._trust_loop.join(TRUST_SECONDS)
        self._backend.stop()
        _log.info("stopped")

    def _look_at_trusted_files(self) -> bool:
        self._keys.look()
        if self._tls is not None:
            self._tls.look()
        return False

    def _show(self, events: list[ProjectEvent]) -> None:
        self._hub.deliver(events)

    def _stop_registry(self) -> None:
        self._registry_loop.stop()
        self._registry_loop.join(REGISTRY_SECONDS)
        # Where that fails, the others will take this server for dead.
        with suppress(StorageUnavailable):
            self._registry.leave()

    def _has_room(self) -> bool:
        return len(self._registry) < self._settings.max_streams

    def _look_at_streams(self) -> None:
        self._registry_loop.wake()

    def _evict(self, watch: Watch) -> None:
        self._hub.end(watch, StreamEvicted())

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
        if self._registry.add(watch):
            self._registry_loop.wake()
        if stream.on_end(lambda: self._close_watch(watch)):
            self._hub.open(watch)
        else:
            self._registry.remove(watch)

    def _close_watch(self, watch: Watch) -> None:
        self._hub.close(watch)
        self._registry.remove(watch)

    def _render(self, event: ProjectEvent) -> bytes:
        message = convert_events.event_message(event, self._source.epoch)
        return event_service_pb2.WatchProjectEventsResponse(event=message).SerializeToString()

    def _check_health(self) -> bool:
        parts = (self._hub, self._keeper, self._registry_loop, self._rates_loop, self._trust_loop)
        healthy = self._backend.check_health(alive=all(part.alive for part in parts))
        if self._status != "draining":
            self._health.set_serving(healthy)
            self._status = "healthy" if healthy else "degraded"
        return False


def _tls(settings: Settings) -> Tls | None:
    if settings.tls_cert is None or settings.tls_key is None:
        return None
    return Tls(settings.tls_cert, settings.tls_key, settings.tls_client_ca)


def _render_heartbeat(project_id: UUID, last_event_id: str) -> bytes:
    message = convert_events.heartbeat_message(project_id, last_event_id, datetime.now(UTC))
    return event_service_pb2.WatchProjectEventsResponse(event=message).SerializeToString()
