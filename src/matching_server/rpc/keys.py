"""The keys that callers sign with. Several are valid at a time, so that they rotate without downtime.

The file is a JSON object::

    {"keys": [{"id": "web-2025", "secret": "...",
               "not_before": "2025-01-01T00:00:00Z", "not_after": "2026-01-01T00:00:00Z",
               "allow_unsigned_body": false, "max_roles": ["client", "advisor"]}]}

Only ``id`` and ``secret`` have to be there. ``max_roles`` left out means every role.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from matching_server.domain.model import Role
from matching_server.rpc.trusted_files import TrustedFiles

MIN_SECRET_BYTES = 32
"""Shorter secrets are weaker than the hash that they feed."""

_KEY_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_FIELDS = frozenset({"id", "secret", "not_before", "not_after", "allow_unsigned_body", "max_roles"})


@dataclass(frozen=True, slots=True)
class Key:
    """One signing key. It is valid from ``not_before`` on and before ``not_after``, both in Unix seconds."""

    id: str
    secret: str = field(repr=False)
    not_before: float | None = None
    not_after: float | None = None
    allow_unsigned_body: bool = False
    max_roles: frozenset[Role] | None = None
    """The roles that its claims can have at most; ``None``: all."""
    secret_bytes: bytes = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # A secret in the message of an error would end up in a log, so the checks name the key alone.
        if not _KEY_ID.fullmatch(self.id):
            raise ValueError(f"key id {self.id!r} is not 1 to 64 of A-Z, a-z, 0-9, '.', '_' and '-'")
        try:
            encoded = self.secret.encode()
        except UnicodeEncodeError:
            raise ValueError(f"the secret of key {self.id} is not valid Unicode") from None
        if len(encoded) < MIN_SECRET_BYTES:
            raise ValueError(f"the secret of key {self.id} is shorter than {MIN_SECRET_BYTES} bytes")
        if self.not_before is not None and self.not_after is not None and self.not_before >= self.not_after:
            raise ValueError(f"key {self.id} is never valid: not_before is not before not_after")
        object.__setattr__(self, "secret_bytes", encoded)

    def valid_at(self, now: float) -> bool:
        """Whether calls may be signed with it at ``now`` (Unix seconds)."""
        return (self.not_before is None or now >= self.not_before) and (
            self.not_after is None or now < self.not_after
        )

    def as_json(self) -> dict[str, object]:
        """The key's entry in a key file, secret included."""
        entry: dict[str, object] = {"id": self.id, "secret": self.secret}
        for name, moment in (("not_before", self.not_before), ("not_after", self.not_after)):
            if moment is not None:
                entry[name] = datetime.fromtimestamp(moment, UTC).isoformat()
        if self.allow_unsigned_body:
            entry["allow_unsigned_body"] = True
        if self.max_roles is not None:
            entry["max_roles"] = sorted(role.value for role in self.max_roles)
        return entry


class KeyRing:
    """The keys in use.

    Raises:
        ValueError: there is none, or two share an id.
    """

    def __init__(self, keys: Iterable[Key]) -> None:
        self._keys = _by_id(keys)

    @property
    def first(self) -> Key:
        """The key that was named first."""
        return next(iter(self._keys.values()))

    def replace(self, keys: Iterable[Key]) -> None:
        """Puts other keys in use, all at once, such as those of a changed file; else as the constructor."""
        self._keys = _by_id(keys)

    def find(self, kid: str, now: float) -> Key | None:
        """The key of that id, ``None`` where it is unknown or not valid at ``now`` (Unix seconds)."""
        key = self._keys.get(kid)
        return key if key is not None and key.valid_at(now) else None


class KeyFile:
    """A key file, and in ``ring`` the keys that it held when it was last in order.

    Raises:
        ValueError: the file cannot be read now, or is not as described above; the message names file and fault.
    """

    def __init__(self, path: Path) -> None:
        self._files = TrustedFiles("signing keys", [path], lambda contents: parse_keys(contents[0], path))
        self.ring = KeyRing(self._files.value)

    def look(self) -> None:
        """Puts in use what the file holds now: keys that are new, and no longer those that are gone."""
        if self._files.look():
            self.ring.replace(self._files.value)


def new_key(
    kid: str | None = None,
    *,
    not_before: float | None = None,
    not_after: float | None = None,
    allow_unsigned_body: bool = False,
    max_roles: frozenset[Role] | None = None,
) -> Key:
    """A key with a fresh random secret and, unless ``kid`` is given, a fresh id."""
    return Key(
        id=kid or f"key-{secrets.token_hex(4)}",
        secret=secrets.token_urlsafe(MIN_SECRET_BYTES),
        not_before=not_before,
        not_after=not_after,
        allow_unsigned_body=allow_unsigned_body,
        max_roles=max_roles,
    )


def parse_keys(content: bytes, path: Path) -> tuple[Key, ...]:
    """What the content of a key file says.

    Raises:
        ValueError: it is not as described above; the message names the file, ``path``, and the fault.
    """
    try:
        document = json.loads(content)
        entries = document.get("keys") if isinstance(document, dict) else None
        if not isinstance(entries, list):
            raise ValueError('there is no list under "keys"')
        keys = tuple(_key(entry, number) for number, entry in enumerate(entries, start=1))
        return tuple(_by_id(keys).values())
    except json.JSONDecodeError as error:
        raise ValueError(f"key file {path} is not JSON: line {error.lineno}") from None
    except UnicodeDecodeError:
        raise ValueError(f"key file {path} is not UTF-8") from None
    except RecursionError:
        raise ValueError(f"key file {path} is nested too deeply") from None
    except ValueError as error:
        raise ValueError(f"key file {path}: {error}") from None


def parse_moment(text: str) -> float:
    """A time in ISO 8601 with its zone, in Unix seconds; ValueError, without the text, where it is none."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise ValueError("is not a time such as 2025-01-31T12:00:00Z")
    return moment.timestamp()


def _by_id(keys: Iterable[Key]) -> dict[str, Key]:
    ring: dict[str, Key] = {}
    for key in keys:
        if key.id in ring:
            raise ValueError(f"two keys have the id {key.id}")
        ring[key.id] = key
    if not ring:
        raise ValueError("there is no key")
    return ring


def _key(entry: object, number: int) -> Key:
    if not isinstance(entry, dict):
        raise ValueError(f"key {number} is not an object")
    kid, secret = entry.get("id"), entry.get("secret")
    if not isinstance(kid, str) or not isinstance(secret, str):
        raise ValueError(f'key {number} lacks "id" or "secret", which are strings')
    unknown = sorted(entry.keys() - _FIELDS)
    if unknown:
        raise ValueError(f"key {kid} has the unknown field {unknown[0]!r}")
    allow_unsigned = entry.get("allow_unsigned_body", False)
    if not isinstance(allow_unsigned, bool):
        raise ValueError(f"allow_unsigned_body of key {kid} is not true or false")
    return Key(
        id=kid,
        secret=secret,
        not_before=_moment(entry, "not_before", kid),
        not_after=_moment(entry, "not_after", kid),
        allow_unsigned_body=allow_unsigned,
        max_roles=_roles(entry.get("max_roles"), kid),
    )


def _moment(entry: Mapping[str, object], name: str, kid: str) -> float | None:
    value = entry.get(name)
    if value is None:
        return None
    try:
        return parse_moment(value if isinstance(value, str) else "")
    except ValueError as error:
        raise ValueError(f"{name} of key {kid} {error}") from None


def _roles(value: object, kid: str) -> frozenset[Role] | None:
    if value is None:
        return None
    known = {role.value for role in Role}
    if not isinstance(value, list) or not all(isinstance(role, str) and role in known for role in value):
        raise ValueError(f"max_roles of key {kid} is not a list of {', '.join(sorted(known))}")
    return frozenset(Role(role) for role in value)
