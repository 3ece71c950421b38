"""The health of a server, asked over its own wire: for containers, which have nothing else to ask with."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc


class Unreachable(Exception):
    """Nobody answered, or not as a server of this service does; the message says how."""


@dataclass(frozen=True, slots=True)
class ServersOwn:
    """The files of a server on this machine: it has to show this very certificate, whatever names are in it."""

    certificate: Path
    key: Path


def ask_health(address: str, service: str, tls: ServersOwn | None, timeout: float) -> str:
    """The status of a service, or for an empty name the server, such as ``SERVING``.

    Args:
        address: host and port.
        service: full name; an unknown one is ``SERVICE_UNKNOWN``.
        tls: ``None`` asks in plaintext.
        timeout: seconds, for all of it.

    Raises:
        Unreachable: nobody answered in time.
    """
    request = health_pb2.HealthCheckRequest(service=service)
    with _channel(address, tls, timeout) as channel:
        try:
            response = health_pb2_grpc.HealthStub(channel).Check(
                request, timeout=timeout, wait_for_ready=False
            )
        except grpc.RpcError as error:
            if error.code() is grpc.StatusCode.NOT_FOUND:
                return "SERVICE_UNKNOWN"
            raise Unreachable(f"{address}: {error.code().name}, {error.details()}") from None
    return str(health_pb2.HealthCheckResponse.ServingStatus.Name(response.status))


def _channel(address: str, tls: ServersOwn | None, timeout: float) -> grpc.Channel:
    if tls is None:
        return grpc.insecure_channel(address)
    certificate = tls.certificate.read_bytes()
    # Shown to servers that ask for one; whether that is enough is for their client CA to say.
    credentials = grpc.ssl_channel_credentials(certificate, tls.key.read_bytes(), certificate)
    # Checked by gRPC against the certificate that it is shown, and that against the file.
    name = _name_of(address, tls.certificate, timeout)
    return grpc.secure_channel(address, credentials, [("grpc.ssl_target_name_override", name)])


def _name_of(address: str, certificate: Path, timeout: float) -> str:
    """A name in the server's certificate, which must be that of the file: Python reads no certificate but a peer's."""
    context = ssl.create_default_context(cafile=certificate)
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.set_alpn_protocols(["h2"])
    host, _, port = address.rpartition(":")
    try:
        with (
            socket.create_connection((host.strip("[]"), int(port)), timeout) as plain,
            context.wrap_socket(plain) as secured,
        ):
            shown = secured.getpeercert()
    except OSError as error:
        raise Unreachable(f"{address}: {error}") from None
    # Typed as anything that any field of a certificate may be.
    entries = cast(Iterable[tuple[str, str]], (shown or {}).get("subjectAltName", ()))
    names = [value for kind, value in entries if kind in ("DNS", "IP Address")]
    if not names:
        raise Unreachable(f"{address}: its certificate names nobody")
    return str(names[0]).replace("*", "any")
