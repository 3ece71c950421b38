"""``grpc.health.v1``: the official servicer, for every service of the contract and the server as a whole."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import grpc
from grpc_health.v1 import health, health_pb2

from matching_server.rpc.access import SERVICES
from matching_server.rpc.pooled import Pooled

SendHealth = Callable[[health_pb2.HealthCheckResponse | None], None]
"""gRPC's callback of a watch: it sends a status, or for ``None`` ends the watch."""

HEALTH_SERVICE: str = health.SERVICE_NAME

_STATUS = health_pb2.HealthCheckResponse
_HEALTH_THREADS = 2


class Health:
    """What health checks are told. Nothing is serving until ``set_serving`` says so."""

    def __init__(self) -> None:
        self._servicer = health.HealthServicer(experimental_non_blocking=True)
        self._serving: bool | None = None
        self._watches: set[SendHealth] = set()
        self.set_serving(False)

    def set_serving(self, serving: bool) -> None:
        """Sets the status of the server and of all its services; watchers are told."""
        # The servicer tells its watchers whatever it is told, new or not.
        if serving == self._serving:
            return
        self._serving = serving
        status = _STATUS.SERVING if serving else _STATUS.NOT_SERVING
        for service in (health.OVERALL_HEALTH, *(service.full_name for service in SERVICES.values())):
            self._servicer.set(service, status)

    def drain(self) -> None:
        """Sets everything to NOT_SERVING for good, and ends the watches, for which the server would wait."""
        self._servicer.enter_graceful_shutdown()
        for send in tuple(self._watches):
            send(None)

    def generic_handler(self) -> grpc.GenericRpcHandler:
        """The handlers. They have threads of their own: a server whose threads all wait still answers."""
        pool = ThreadPoolExecutor(_HEALTH_THREADS, thread_name_prefix="health")
        request, response = health_pb2.HealthCheckRequest, health_pb2.HealthCheckResponse
        return grpc.method_handlers_generic_handler(
            health.SERVICE_NAME,
            {
                "Check": grpc.unary_unary_rpc_method_handler(
                    Pooled(self._servicer.Check, pool), request.FromString, response.SerializeToString
                ),
                "Watch": grpc.unary_stream_rpc_method_handler(
                    Pooled(self._watch, pool, non_blocking=True),
                    request.FromString,
                    response.SerializeToString,
                ),
            },
        )

    def _watch(
        self,
        request: health_pb2.HealthCheckRequest,
        context: grpc.ServicerContext,
        send_response_callback: SendHealth,
    ) -> None:
        self._watches.add(send_response_callback)
        if not context.add_callback(lambda: self._watches.discard(send_response_callback)):
            self._watches.discard(send_response_callback)
        self._servicer.Watch(request, context, send_response_callback)
