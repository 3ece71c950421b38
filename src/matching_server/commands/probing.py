"""``matching-server probe``: whether a server on this machine serves."""

from __future__ import annotations

import ipaddress

from matching_server.config import Settings
from matching_server.rpc.probe import ServersOwn, Unreachable, ask_health

_SERVING = "SERVING"


def probe(settings: Settings, address: str | None, service: str, timeout: float) -> tuple[bool, str]:
    """Whether it serves, and what it said.

    Args:
        settings: of the server, for its address and its TLS files.
        address: host and port; ``None`` is where the settings have it listen.
        service: its full name, or empty for the server.
        timeout: seconds.
    """
    tls = None
    if settings.tls_cert is not None and settings.tls_key is not None:
        tls = ServersOwn(settings.tls_cert, settings.tls_key)
    try:
        status = ask_health(address or _reachable(settings.listen), service, tls, timeout)
    except (Unreachable, OSError) as error:
        return False, str(error)
    return status == _SERVING, status


def _reachable(listen: str) -> str:
    """Where to reach a server of this machine: one that listens everywhere is on loopback, too."""
    host, _, port = listen.rpartition(":")
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return listen
    if not address.is_unspecified:
        return listen
    return f"127.0.0.1:{port}" if address.version == 4 else f"[::1]:{port}"
