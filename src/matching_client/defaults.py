"""What holds where a caller says nothing else."""

from __future__ import annotations

from typing import Any

DEFAULT_TIMEOUT = 10.0
"""Seconds for all attempts of a call together."""

HEARTBEAT_SECONDS = 15.0
"""Silence after which the service sends a heartbeat, unless it is configured otherwise."""

CHANNEL_OPTIONS: tuple[tuple[str, Any], ...] = (
    # Finds a peer that is gone without a word while calls are open.
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    # The time-out that grpcio keeps to, whatever the one above says: 60 s where it is left out.
    ("grpc.http2.ping_timeout_ms", 10_000),
    # Back soon after a restart of the server.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 1_000),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    # 200 chat messages of 10,000 characters are at most 8 MB.
    ("grpc.max_receive_message_length", 16 * 1024 * 1024),
    # All servers behind a name, for addresses such as dns:///matching.internal:50051.
    ("grpc.lb_policy_name", "round_robin"),
)
"""What every channel has unless `channel_options` says otherwise."""
