"""What Prometheus is told: what the parts of the service count, and the depth of the queues, read when asked."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from threading import Thread
from typing import TYPE_CHECKING
from wsgiref.simple_server import WSGIServer

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    start_http_server,
)
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from matching_server.domain.errors import DomainError
from matching_server.storage import queues
from matching_server.storage.database import Database

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

REGISTRY = CollectorRegistry()
ProcessCollector(registry=REGISTRY)

HEALTHY = Gauge("matching_healthy", "1 while the database answers and every thread runs.", registry=REGISTRY)
DATABASE_CONNECTIONS = Gauge(
    "matching_database_connections", "Connections in use, by pool.", ["pool"], registry=REGISTRY
)
DATABASE_CONNECTIONS_LIMIT = Gauge(
    "matching_database_connections_limit",
    "Connections that the pool may have, by pool.",
    ["pool"],
    registry=REGISTRY,
)
STEPS_FAILED = Counter(
    "matching_steps_failed",
    "Steps of background loops that failed and are tried again, by loop.",
    ["loop"],
    registry=REGISTRY,
)

CALLS = Counter(
    "matching_calls",
    "Calls that have ended, by method and code; a stream counts at its end.",
    ["method", "code"],
    registry=REGISTRY,
)
CALL_SECONDS = Histogram(
    "matching_call_seconds",
    "How long calls with one response took, by method; the wait for their turn included.",
    ["method"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
    registry=REGISTRY,
)
REFUSALS = Counter(
    "matching_refusals",
    "Calls and streams that ended with an error, by reason.",
    ["reason"],
    registry=REGISTRY,
)
CALLS_OPEN = Gauge(
    "matching_calls_open",
    "Calls that are here, those whose message has not come included.",
    registry=REGISTRY,
)
CALLS_RUNNING = Gauge("matching_calls_running", "Calls that are worked on.", registry=REGISTRY)
CALLS_WAITING = Gauge("matching_calls_waiting", "Calls that wait for their turn.", registry=REGISTRY)

STREAMS_OPEN = Gauge("matching_streams_open", "Streams that are open on this server.", registry=REGISTRY)
STREAMS_CUT = Counter(
    "matching_streams_cut", "Streams that were cut, since their reader took nothing.", registry=REGISTRY
)
STREAM_MESSAGES = Counter(
    "matching_stream_messages_sent", "Events and heartbeats put on the wire.", registry=REGISTRY
)
SUBSCRIBED = Gauge(
    "matching_redis_subscribed", "1 while the hints of other servers are listened to.", registry=REGISTRY
)
HINTS_WAITING = Gauge(
    "matching_redis_hints_waiting", "Commits that wait to be told to other servers.", registry=REGISTRY
)
HINTS_LOST = Counter(
    "matching_redis_hints_lost",
    "Hints that other servers did not get, by why: dropped (too many waited), failed (Redis did not take them).",
    ["why"],
    registry=REGISTRY,
)

MATCHES_CREATED = Counter(
    "matching_matches_created", "Matches made here, by their first status.", ["status"], registry=REGISTRY
)
SELECTIONS = Counter(
    "matching_selections",
    "Advisors chosen for a match here, by how: the algorithm, assigned (an admin), claimed (the advisor).",
    ["algorithm"],
    registry=REGISTRY,
)
TRANSITIONS = Counter(
    "matching_transitions",
    "Steps of matches made here, by the status that they led to.",
    ["status"],
    registry=REGISTRY,
)
ADVISORS = Gauge(
    "matching_advisors",
    "Advisors by state: free, at_capacity, busy, offline, inactive.",
    ["state"],
    registry=REGISTRY,
)
FREE_SLOTS = Gauge("matching_free_slots", "Slots of the free advisors that nobody has.", registry=REGISTRY)
SERVED = Counter(
    "matching_backlog_served", "Pending matches that a look at the backlog served.", registry=REGISTRY
)
SWEPT = Counter(
    "matching_swept",
    "What sweeps of this process have closed: expired (matches past their time), orphans (of projects that are gone).",
    ["what"],
    registry=REGISTRY,
)

PROVISIONING_ATTEMPTS = Counter(
    "matching_provisioning_attempts",
    "Attempts at a workspace that ended here, by how: completed, retried, rolled_back, lease_lost, handed_back, lost."
    " (The last two write nothing: a job is handed back at a shutdown, and lost where the database is away.",
    ["result"],
    registry=REGISTRY,
)
PROVISIONING_SECONDS = Histogram(
    "matching_provisioning_attempt_seconds",
    "How long an attempt took.",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
    registry=REGISTRY,
)
LEASES_RETURNED = Counter(
    "matching_provisioning_leases_returned",
    "Jobs taken back here from workers whose lease had ended.",
    registry=REGISTRY,
)

NOTIFICATION_DELIVERIES = Counter(
    "matching_notification_deliveries",
    "Notifications handed to a sink, by sink and result: taken, failed (tried again), refused (for good).",
    ["sink", "result"],
    registry=REGISTRY,
)
NOTIFICATION_SECONDS = Histogram(
    "matching_notification_delivery_seconds",
    "How long a sink took for a notification, by sink.",
    ["sink"],
    buckets=(0.005, 0.025, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
    registry=REGISTRY,
)
NOTIFICATION_LEASES_LOST = Counter(
    "matching_notification_leases_lost",
    "Deliveries that ended after their lease: another process delivers again.",
    registry=REGISTRY,
)


def show_pool(name: str, database: Database, size: int) -> None:
    """Shows a database's connections, of which there are ``size`` at most, from now on."""
    DATABASE_CONNECTIONS.labels(name).set_function(lambda: database.in_use)
    DATABASE_CONNECTIONS_LIMIT.labels(name).set(size)


QUEUE_GAUGES = {
    "matching_provisioning_jobs": "Jobs that have not ended, by status.",
    "matching_provisioning_oldest_seconds": "Age of the oldest job that has not ended; 0 where there is none.",
    "matching_notifications": "Notifications that have not been sent, by status.",
    "matching_notifications_oldest_seconds": "Age of the oldest pending notification; 0 where there is none.",
}
"""What is told of the database's queues: the same by every process. Take the maximum, not the sum."""


class CannotServeMetrics(Exception):
    """The address is taken, or none of this machine's."""


class Endpoint:
    """``GET /metrics``; and for orchestrators ``GET /livez`` and ``GET /readyz``, 200 or 503.

    Args:
        listen: host and port; ``None`` serves nothing.
        database: where the queues are looked at, on each request.
        live: whether the process is sound; one that is not has to be started anew.
        ready: whether there is any use in asking it, the database being away, say.
    """

    def __init__(
        self,
        listen: str | None,
        database: Database,
        *,
        live: Callable[[], bool],
        ready: Callable[[], bool],
    ) -> None:
        self._listen = listen
        self._queues = _Queues(database)
        self._probes = {"/livez": live, "/readyz": ready}
        self._serving: tuple[WSGIServer, Thread] | None = None

    def start(self) -> str | None:
        """Serves, and returns the address.

        Raises:
            CannotServeMetrics: nothing can be bound there.
        """
        if self._listen is None:
            return None
        host, _, port = self._listen.rpartition(":")
        REGISTRY.register(self._queues)
        try:
            self._serving = start_http_server(int(port), host.strip("[]"), registry=REGISTRY)
        except OSError as error:
            raise CannotServeMetrics(f"cannot serve metrics on {self._listen}: {error.strerror}") from None
        server = self._serving[0]
        server.set_app(self._with_probes(server.get_app()))
        return f"{host}:{server.server_port}"

    def _with_probes(self, metrics: WSGIApplication | None) -> WSGIApplication:
        assert metrics is not None

        def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
            probe = self._probes.get(environ["PATH_INFO"])
            if probe is None:
                return metrics(environ, start_response)
            good = probe()
            status = "200 OK" if good else "503 Service Unavailable"
            start_response(status, [("Content-Type", "text/plain")])
            return [b"ok\n" if good else b"no\n"]

        return answer

    def stop(self) -> None:
        """Serves no longer."""
        if self._serving is not None:
            server, thread = self._serving
            server.shutdown()
            server.server_close()
            thread.join()
            REGISTRY.unregister(self._queues)


class _Queues(Collector):
    """The gauges of the queues."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def describe(self) -> list[Metric]:
        """Nothing, so that registering asks no database."""
        return []

    def collect(self) -> Iterator[Metric]:
        """What is stored now; nothing where the database does not answer, which ``matching_healthy`` tells."""
        try:
            found = self._database.read(queues.depths)
        except DomainError:
            return
        yield _gauge("matching_provisioning_jobs", found.jobs)
        yield _gauge("matching_provisioning_oldest_seconds", found.oldest_job_seconds)
        yield _gauge("matching_notifications", found.notifications)
        yield _gauge("matching_notifications_oldest_seconds", found.oldest_notification_seconds)


def _gauge(name: str, value: float | Mapping[str, int]) -> Metric:
    """A gauge with one value, or with one by status."""
    if not isinstance(value, Mapping):
        return GaugeMetricFamily(name, QUEUE_GAUGES[name], value)
    family = GaugeMetricFamily(name, QUEUE_GAUGES[name], labels=["status"])
    for status, count in value.items():
        family.add_metric([status], count)
    return family
