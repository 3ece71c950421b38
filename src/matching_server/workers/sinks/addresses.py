"""Where sinks are reached, as the settings say it: checked once, when they are read."""

from __future__ import annotations

import base64
import ipaddress
import re
from dataclasses import dataclass
from typing import Self
from urllib.parse import SplitResult, unquote, urlsplit

_PREFIX = "whsec_"
_SECRET_BYTES = range(24, 65)
_ADDRESS = re.compile(r"[\w!#$%&'*+/=?^`{|}~.-]+@[\w.-]+")
_PORTS = {"smtp": 25, "smtps": 465}


@dataclass(frozen=True, slots=True)
class Relay:
    """The server that mail is handed to. ``tls``: from the first byte on; without, where it is offered."""

    host: str
    port: int
    tls: bool
    user: str | None = None
    password: str | None = None

    @classmethod
    def of(cls, url: str) -> Self:
        """The relay of ``smtp[s]://[user:password@]host[:port]``.

        Raises:
            ValueError: it is no such URL.
        """
        parts, port = _split(url)
        user, password = parts.username or None, parts.password or None
        surplus = parts.path.strip("/") or parts.query or parts.fragment
        if (
            parts.scheme not in _PORTS
            or not parts.hostname
            or surplus
            or (user is None) != (password is None)
        ):
            raise ValueError("must be smtp[s]://[user:password@]host[:port]")
        return cls(
            host=parts.hostname,
            port=port or _PORTS[parts.scheme],
            tls=parts.scheme == "smtps",
            user=unquote(user) if user else None,
            password=unquote(password) if password else None,
        )

    @property
    def is_loopback(self) -> bool:
        """Whether what is sent there stays on this machine."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"


def is_address(text: str) -> bool:
    """Whether it is a plain mail address, which means the same wherever it is written: nothing quoted, no list."""
    return _ADDRESS.fullmatch(text) is not None


def checked_url(url: str) -> str:
    """The URL, if one can post to it.

    Raises:
        ValueError: it is none of http or https with a host.
    """
    parts, _ = _split(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("must be an http or https URL")
    return url


def checked_secret(secret: str) -> str:
    """The secret, if it is one of Standard Webhooks.

    Raises:
        ValueError: it is not.
    """
    encoded = secret.removeprefix(_PREFIX)
    try:
        key = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except ValueError:
        key = b""
    if not secret.startswith(_PREFIX) or len(key) not in _SECRET_BYTES:
        raise ValueError(f"must be {_PREFIX} and 24 to 64 bytes in base64")
    return secret


def _split(url: str) -> tuple[SplitResult, int | None]:
    """The parts, and the port. What is wrong is not repeated: it may be a piece of a password."""
    try:
        parts = urlsplit(url)
        return parts, parts.port
    except ValueError:
        raise ValueError("is not a URL") from None
