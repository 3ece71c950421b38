"""The gRPC server: handlers, limits, keepalive, health and reflection. ``app`` starts, binds and stops it."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2

from matching_server.rpc.access import SERVICES
from matching_server.rpc.admission import MOST_CALLS, Admission, CallThreads
from matching_server.rpc.health import HEALTH_SERVICE, Health
from matching_server.rpc.pipeline import Pipeline
from matching_server.rpc.pooled import Pooled
from matching_server.rpc.registry import generic_handlers

MAX_REQUEST_BYTES = 1 << 20
"""Ample: the largest request of the contract, with all its lists full, stays under 100 kB."""
MAX_METADATA_BYTES = 16 << 10
"""Room for claims of 4 kB and what proxies add."""
MAX_CONNECTION_AGE_SECONDS = 1800.0
CONNECTION_GRACE_SECONDS = 300.0
"""How long calls that are open on an aged connection may go on; a watch resumes on a new one."""

MAX_PORT = 65535

_REFLECTION_THREADS = 8


class CannotListen(Exception):
    """The address is taken, or is none of this machine's; the message says which."""


def build_server(
    pipeline: Pipeline,
    servicers: Mapping[str, object],
    health: Health,
    *,
    reflect: bool,
    most_calls: int = MOST_CALLS,
    max_connection_age: float = MAX_CONNECTION_AGE_SECONDS,
) -> grpc.Server:
    """The server, neither bound nor started.

    Args:
        pipeline: what every call goes through.
        servicers: the servicer of each service, by its short name ("MatchService").
        health: what health checks are told.
        reflect: whether to serve reflection.
        most_calls: how many calls are let in at once.
        max_connection_age: seconds after which clients are asked to connect anew, so that new replicas get
            work; gRPC itself spreads it by a tenth, so that they do not all come at once.
    """
    handlers = [*generic_handlers(pipeline, servicers), health.generic_handler()]
    if reflect:
        handlers.append(_reflection_handler())
    threads = CallThreads(most_calls)
    admission = Admission(threads, pipeline.refuse)
    return grpc.server(
        threads, handlers=handlers, interceptors=[admission], options=_options(max_connection_age)
    )


def listen(server: grpc.Server, address: str, credentials: grpc.ServerCredentials | None = None) -> int:
    """Binds the server, in plaintext unless there are credentials, and returns the port.

    Raises:
        CannotListen: the address cannot be bound.
    """
    number = address.rpartition(":")[2]
    # The core would take a larger number modulo 65536.
    if not number.isdecimal() or int(number) > MAX_PORT:
        raise CannotListen(f"cannot listen on {address}: it does not end in a port of 0 to {MAX_PORT}")
    try:
        if credentials is None:
            port = server.add_insecure_port(address)
        else:
            port = server.add_secure_port(address, credentials)
    except RuntimeError:
        port = 0
    if port == 0:
        tls = ", or the TLS certificate and key are not valid" if credentials else ""
        raise CannotListen(f"cannot listen on {address}: taken, or not of this machine{tls}")
    return port


def _options(max_connection_age: float) -> list[tuple[str, int]]:
    return [
        # Otherwise a second server would share a taken port in silence.
        ("grpc.so_reuseport", 0),
        ("grpc.max_receive_message_length", MAX_REQUEST_BYTES),
        ("grpc.max_metadata_size", MAX_METADATA_BYTES),
        ("grpc.absolute_max_metadata_size", MAX_METADATA_BYTES),
        # A peer that froze is found out within 15 s; clients may ask as often.
        ("grpc.keepalive_time_ms", 10_000),
        ("grpc.keepalive_timeout_ms", 5_000),
        # The time-out that grpcio keeps to, whatever the one above says: 60 s where it is left out.
        ("grpc.http2.ping_timeout_ms", 5_000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
        ("grpc.http2.max_pings_without_data", 0),
        ("grpc.max_connection_age_ms", int(max_connection_age * 1000)),
        ("grpc.max_connection_age_grace_ms", int(CONNECTION_GRACE_SECONDS * 1000)),
    ]


def _reflection_handler() -> grpc.GenericRpcHandler:
    """Reflection holds a thread for as long as a client keeps the stream open, so it has a few of its own."""
    names = [service.full_name for service in SERVICES.values()]
    servicer = reflection.ReflectionServicer((*names, HEALTH_SERVICE, reflection.SERVICE_NAME))
    pool = ThreadPoolExecutor(_REFLECTION_THREADS, thread_name_prefix="reflection")
    handler = grpc.stream_stream_rpc_method_handler(
        Pooled(servicer.ServerReflectionInfo, pool),
        reflection_pb2.ServerReflectionRequest.FromString,
        reflection_pb2.ServerReflectionResponse.SerializeToString,
    )
    return grpc.method_handlers_generic_handler(reflection.SERVICE_NAME, {"ServerReflectionInfo": handler})
