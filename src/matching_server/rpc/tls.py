"""TLS of the server: its certificate, and the authority of its clients where it is mutual."""

from __future__ import annotations

import base64
import re
import ssl
from pathlib import Path
from typing import cast

import grpc

from matching_server.rpc.trusted_files import TrustedFiles

_CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----(.+?)-----END CERTIFICATE-----", re.DOTALL)
_KINDS_OF_KEYS = {
    "RSA": bytes.fromhex("06092a864886f70d010101"),
    "P-256": bytes.fromhex("06082a8648ce3d030107"),
    "P-384": bytes.fromhex("06052b81040022"),
}
"""Those that gRPC's TLS signs with, and what a certificate says of its key in DER."""


class Tls:
    """The server's credentials, made of PEM files. Connections that are open when these change stay open.

    Args:
        certificate: the server's certificate, and those between it and its authority.
        key: of the certificate, not encrypted.
        client_ca: certificates of authorities; where given, clients have to show a certificate that one of them
            signed.

    Raises:
        ValueError: a file cannot be read, or is not what it should be.
    """

    def __init__(self, certificate: Path, key: Path, client_ca: Path | None) -> None:
        self._certificate = certificate
        self._key = key
        self._client_ca = client_ca
        paths = [certificate, key] if client_ca is None else [certificate, key, client_ca]
        self._files = TrustedFiles("TLS certificates", paths, self._configuration)
        self._handed_out = self._files.value

    def credentials(self) -> grpc.ServerCredentials:
        """What to bind with."""
        return grpc.dynamic_ssl_server_credentials(
            self._handed_out, self._newest, require_client_authentication=self._client_ca is not None
        )

    def look(self) -> None:
        """Has later connections use what the files say now."""
        self._files.look()

    def _newest(self) -> grpc.ServerCertificateConfiguration:
        """Asked by gRPC before each handshake, in a thread of its core: so it reads nothing."""
        newest = self._files.value
        if newest is self._handed_out:
            # Says that nothing has changed, which the stubs do not know.
            return cast(grpc.ServerCertificateConfiguration, None)
        self._handed_out = newest
        return newest

    def _configuration(self, contents: list[bytes]) -> grpc.ServerCertificateConfiguration:
        certificate, key, *client_ca = contents
        self._check_files()
        self._check_kind(certificate)
        return grpc.ssl_server_certificate_configuration(
            [(key, certificate)], root_certificates=client_ca[0] if client_ca else None
        )

    def _check_kind(self, certificate: bytes) -> None:
        """Other keys would be taken, and then every handshake would fail."""
        first = _CERTIFICATE.search(certificate)
        if first is None or not any(kind in base64.b64decode(first[1]) for kind in _KINDS_OF_KEYS.values()):
            kinds = ", ".join(_KINDS_OF_KEYS)
            raise ValueError(
                f"TLS certificate {self._certificate} cannot be used: its key is none of {kinds}"
            )

    def _check_files(self) -> None:
        """Finds what is wrong with the files: gRPC would keep to the former ones without a word.

        Python checks a pair in files alone. Where they are written between reading and checking, the next look finds
        them changed.
        """
        try:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            # Nobody is there to be asked for a password.
            context.load_cert_chain(self._certificate, self._key, lambda: b"")
        except OSError as error:
            raise ValueError(
                f"TLS certificate {self._certificate} and key {self._key} cannot be used: {_reason(error)}"
            ) from None
        try:
            if self._client_ca is not None:
                context.load_verify_locations(self._client_ca)
        except OSError as error:
            raise ValueError(f"TLS client CA {self._client_ca} cannot be used: {_reason(error)}") from None


def _reason(error: OSError) -> str:
    """Without the numbers of lines in OpenSSL, which has no name for text that it cannot read."""
    reason = error.reason if isinstance(error, ssl.SSLError) else error.strerror
    return reason.lower().replace("_", " ") if reason else "not PEM, or encrypted"
