"""Where the service is, and the key: from the environment, or the file that an embedded server writes."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

DEFAULT_CONNECTION_FILE = Path(".matching/connection.json")
"""Where an embedded server that was started here writes its file, unless told otherwise."""
SYSTEM_ROOTS = "system"
"""The value of MATCHING_TLS_CA for the authorities that this system trusts."""
_NAMES = ("address", "key_id", "secret")


class SettingsError(ValueError):
    """The settings are missing, incomplete or malformed. The message is one line, without the secret."""


@dataclass(frozen=True)
class Tls:
    """Encryption, and whom to trust. Files are in PEM.

    `ca` has the authorities whose servers are trusted, by default those that this system trusts (or, where
    it lists none, those that come with gRPC). `certificate` and `key` are what this side shows to a server
    that asks for them (mutual TLS). SettingsError where only one of these is given.
    """

    ca: str | os.PathLike[str] | None = None
    certificate: str | os.PathLike[str] | None = None
    key: str | os.PathLike[str] | None = None

    def __post_init__(self) -> None:
        """Refuses half a pair."""
        if (self.certificate is None) != (self.key is None):
            raise SettingsError("a TLS certificate and its key must be given together")


@dataclass(frozen=True)
class ConnectionSettings:
    """How to reach a server: `address` is host:port or any gRPC target; `tls` None is plaintext."""

    address: str
    key_id: str
    secret: str = field(repr=False)
    tls: Tls | None = None


def read_connection_file(path: str | os.PathLike[str]) -> ConnectionSettings:
    """The settings in a `connection.json`; further keys are ignored. Raises SettingsError."""
    try:
        values = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"cannot read the connection file {path}: {error.strerror}") from None
    except ValueError:
        raise SettingsError(f"the connection file {path} is not JSON") from None
    if not isinstance(values, dict):
        raise SettingsError(f"the connection file {path} does not hold a JSON object")
    missing = [name for name in _NAMES if not isinstance(values.get(name), str) or not values[name]]
    if missing:
        raise SettingsError(f"the connection file {path} lacks {', '.join(missing)}")
    return ConnectionSettings(**{name: values[name] for name in _NAMES})


def read_environment(environ: Mapping[str, str] = os.environ) -> ConnectionSettings:
    """MATCHING_ADDRESS, MATCHING_KEY_ID and MATCHING_SECRET over those of the connection file.

    The file is the one that MATCHING_CONNECTION_FILE names, else `./.matching/connection.json` where there is
    one. Key id and secret come from the same place. TLS is used where one of these is set: MATCHING_TLS_CA, a
    file in PEM, or `system` for the authorities that this system trusts, as without it;
    MATCHING_TLS_CLIENT_CERT and MATCHING_TLS_CLIENT_KEY, together. Raises SettingsError.
    """
    return replace(_read_server(environ), tls=_read_tls(environ))


def _read_tls(environ: Mapping[str, str]) -> Tls | None:
    names = ("MATCHING_TLS_CA", "MATCHING_TLS_CLIENT_CERT", "MATCHING_TLS_CLIENT_KEY")
    ca, certificate, key = (environ.get(name) or None for name in names)
    if bool(certificate) != bool(key):
        raise SettingsError("MATCHING_TLS_CLIENT_CERT and MATCHING_TLS_CLIENT_KEY must be set together")
    if not ca and not certificate:
        return None
    return Tls(None if ca == SYSTEM_ROOTS else ca, certificate, key)


def _read_server(environ: Mapping[str, str]) -> ConnectionSettings:
    address, key_id, secret = (environ.get(f"MATCHING_{name.upper()}", "") for name in _NAMES)
    if bool(key_id) != bool(secret):
        raise SettingsError("MATCHING_KEY_ID and MATCHING_SECRET must be set together")
    if address and key_id:
        return ConnectionSettings(address, key_id, secret)
    named = environ.get("MATCHING_CONNECTION_FILE", "")
    if not named and not DEFAULT_CONNECTION_FILE.exists():
        raise SettingsError(
            "set MATCHING_ADDRESS, MATCHING_KEY_ID and MATCHING_SECRET, or name a connection file in "
            f"MATCHING_CONNECTION_FILE (there is no {DEFAULT_CONNECTION_FILE} here)"
        )
    found = read_connection_file(named or DEFAULT_CONNECTION_FILE)
    return ConnectionSettings(address or found.address, key_id or found.key_id, secret or found.secret)
