"""Who calls: the claims of a call, their signature checked as the service checks it."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NoReturn

from matching_client.errors import Unauthenticated
from matching_client.settings import ConnectionSettings
from matching_client.signing import CLAIMS_HEADER, SIGNATURE_HEADER, canonical_string

_MAX_SKEW = 300
_LONGEST_CLAIMS = 24 * 3600
_SIGNATURE = re.compile(
    r"v1;kid=([A-Za-z0-9._-]{1,64});ts=(0|[1-9][0-9]{0,11});nonce=([0-9a-f]{32})"
    r";body=(sha256|unsigned);sig=([0-9a-f]{64})"
)
_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_KNOWN_ROLES = frozenset({"client", "advisor", "service", "admin"})


@dataclass(frozen=True)
class Caller:
    """Who calls, until when their claims hold (Unix seconds), and the id that names the call."""

    user_id: str
    email: str
    roles: frozenset[str]
    expires: float
    correlation_id: str

    @property
    def acts_for_platform(self) -> bool:
        """Services and admins act on any project."""
        return not self.roles.isdisjoint({"service", "admin"})

    def owns(self, owner_id: str) -> bool:
        """Whether what belongs to that owner is the caller's own, as a client."""
        return "client" in self.roles and self.user_id == owner_id

    def may_act_for(self, owner_id: str) -> bool:
        """Whether the caller may act on what belongs to that owner."""
        return self.acts_for_platform or self.owns(owner_id)


def verified(
    metadata: Iterable[tuple[str, str | bytes]],
    path: str,
    body: bytes,
    connection: ConnectionSettings,
    correlation_id: str,
) -> Caller:
    """The caller of a call to `path`. Raises Unauthenticated with the first fault found.

    That a signature is used only once is not checked.
    """
    found = list(metadata)
    claims, header = _one(found, CLAIMS_HEADER), _one(found, SIGNATURE_HEADER)
    shape = _SIGNATURE.fullmatch(header)
    if shape is None:
        _refuse("SIGNATURE_INVALID", f"the header {SIGNATURE_HEADER} is malformed")
    kid, timestamp, nonce, rule, signature = shape.groups()
    now = time.time()
    if kid != connection.key_id:
        _refuse("SIGNATURE_INVALID", "the signature is not valid")
    if abs(now - int(timestamp)) > _MAX_SKEW:
        _refuse("TIMESTAMP_SKEW", f"the signature's timestamp is more than {_MAX_SKEW} s off")
    text = canonical_string(kid, int(timestamp), nonce, path, claims, body if rule == "sha256" else None)
    expected = hmac.new(connection.secret.encode(), text.encode(), hashlib.sha256).hexdigest()
    if not hmac.compare_digest(expected, signature):
        _refuse("SIGNATURE_INVALID", "the signature is not valid")
    return _caller(claims, now, correlation_id)


def _one(metadata: list[tuple[str, str | bytes]], name: str) -> str:
    values = [value for key, value in metadata if key == name]
    if len(values) != 1 or not isinstance(values[0], str):
        found = "there more than once" if len(values) > 1 else "missing"
        _refuse("SIGNATURE_INVALID", f"the header {name} is {found}")
    return values[0]


def _caller(text: str, now: float, correlation_id: str) -> Caller:
    try:
        claims: Any = json.loads(text)
    except ValueError:
        _refuse("CLAIMS_MALFORMED", "the claims are not JSON")
    if not isinstance(claims, dict):
        _refuse("CLAIMS_MALFORMED", "the claims are not a JSON object")
    user_id, email, roles, expires = (claims.get(key) for key in ("userId", "email", "roles", "expires"))
    if not isinstance(user_id, str) or not _UUID.fullmatch(user_id):
        _refuse("CLAIMS_MALFORMED", "userId in the claims is not a UUID")
    if not isinstance(email, str) or not email.isprintable():
        _refuse("CLAIMS_MALFORMED", "email in the claims is not a printable string")
    if not isinstance(roles, list) or not all(isinstance(role, str) for role in roles):
        _refuse("CLAIMS_MALFORMED", "roles in the claims is not a list of strings")
    if isinstance(expires, bool) or not isinstance(expires, int | float):
        _refuse("CLAIMS_MALFORMED", "expires in the claims is not a number of Unix seconds")
    if expires > now + _LONGEST_CLAIMS:
        _refuse("CLAIMS_MALFORMED", "expires in the claims is more than 24 h ahead")
    if expires <= now:
        _refuse("CLAIMS_EXPIRED", "the claims have expired")
    return Caller(user_id.lower(), email, _KNOWN_ROLES.intersection(roles), float(expires), correlation_id)


def _refuse(detail: str, message: str) -> NoReturn:
    raise Unauthenticated(message, reason="AUTHENTICATION_ERROR", metadata={"detail": detail})
