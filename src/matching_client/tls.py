"""TLS as gRPC's credentials, from the files that `Tls` names."""

from __future__ import annotations

import os
import ssl
from pathlib import Path
from typing import Literal

import grpc

from matching_client.settings import SettingsError, Tls


def channel_credentials(tls: Literal[True] | grpc.ChannelCredentials | Tls) -> grpc.ChannelCredentials:
    """What a channel is made with. Files are read now; raises SettingsError."""
    if isinstance(tls, grpc.ChannelCredentials):
        return tls
    if isinstance(tls, Tls):
        return _from_files(tls)
    if tls is True:
        return _from_files(Tls())
    raise TypeError(f"tls is True, a Tls or grpc.ChannelCredentials, not {tls!r}")


def _from_files(tls: Tls) -> grpc.ChannelCredentials:
    roots = _system_roots() if tls.ca is None else _authorities(tls.ca)
    if tls.certificate is None or tls.key is None:
        return grpc.ssl_channel_credentials(roots)
    return grpc.ssl_channel_credentials(roots, *_own(tls.certificate, tls.key))


def _system_roots() -> bytes | None:
    """The authorities that OpenSSL trusts here, SSL_CERT_FILE included; None: those that come with gRPC."""
    listed = ssl.create_default_context().get_ca_certs(binary_form=True)
    return "".join(map(ssl.DER_cert_to_PEM_cert, listed)).encode() or None


def _authorities(path: str | os.PathLike[str]) -> bytes:
    pem = _read(path)
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=pem.decode("ascii"))
    except (ssl.SSLError, ValueError):
        raise SettingsError(f"the TLS authority {os.fspath(path)} cannot be used: not PEM") from None
    return pem


def _own(certificate: str | os.PathLike[str], key: str | os.PathLike[str]) -> tuple[bytes, bytes]:
    """Key and certificate, seen to fit."""
    pair = _read(key), _read(certificate)
    try:
        # Where no password is given, OpenSSL asks the terminal. This one is empty.
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(certificate, key, password=str)
    except (ssl.SSLError, ValueError):
        raise SettingsError(
            f"the TLS certificate {os.fspath(certificate)} and key {os.fspath(key)} cannot be used: "
            "not PEM, encrypted, or not of each other"
        ) from None
    return pair


def _read(path: str | os.PathLike[str]) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise SettingsError(f"cannot read the TLS file {os.fspath(path)}: {error.strerror}") from None
