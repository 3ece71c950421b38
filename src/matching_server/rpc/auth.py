"""Who calls: checks the two signed headers of a call. Pure: the keys and the time are passed in.

The checks run in the order of the contract, and the first that fails is the one that the caller is told of:
both headers there once; their shape; a known key inside its validity; the timestamp; the signature; the
claims' shape and expiry; the rule about the body. That the nonce is new is checked later, in the very
transaction that it authorizes.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NoReturn
from uuid import UUID

from matching_server.domain.calls import Nonce
from matching_server.domain.errors import AuthenticationFault, Unauthenticated
from matching_server.domain.model import Caller, Role
from matching_server.rpc.keys import Key, KeyRing

CLAIMS_HEADER = "x-sheen-claims"
SIGNATURE_HEADER = "x-sheen-signature"

ALGORITHM = "SHEEN-HMAC-SHA256-V1"
"""First line of what is signed."""
UNSIGNED = "UNSIGNED"
"""Last line of what is signed where the body is not."""
MAX_SKEW_SECONDS = 300
MAX_CLAIMS_BYTES = 4096
MAX_CLAIMS_SECONDS = 24 * 3600

_SIGNATURE = re.compile(
    r"v1;kid=([A-Za-z0-9._-]{1,64});ts=(0|[1-9][0-9]{0,11});nonce=([0-9a-f]{32})"
    r";body=(sha256|unsigned);sig=([0-9a-f]{64})"
)
_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_ROLES: dict[str, Role] = {role.value: role for role in Role}
_STAND_IN_SECRET = b"stands in for the secret of a key that does not exist"


@dataclass(frozen=True, slots=True)
class Authenticated:
    """A verified caller, the key that they signed with, and until when their claims hold (Unix seconds)."""

    caller: Caller
    kid: str
    nonce: Nonce | None
    claims_expire_at: float


@dataclass(frozen=True, slots=True)
class _Header:
    """The signature header, taken apart."""

    kid: str
    timestamp: str
    nonce: str
    body_signed: bool
    signature: str


def authenticate(
    metadata: Iterable[tuple[str, str | bytes]],
    method: str,
    body: bytes,
    *,
    keys: KeyRing,
    now: float,
    needs_nonce: bool,
) -> Authenticated:
    """Verifies a call.

    Args:
        metadata: all of the call's metadata.
        method: full path, ``/package.Service/Method``.
        body: the request message as it was received.
        keys: the keys in use.
        now: the time, in Unix seconds.
        needs_nonce: whether the call may be made only once (mutations and streams).

    Raises:
        Unauthenticated: with the first fault found.
    """
    claims_text, header = _headers(metadata)
    key = keys.find(header.kid, now)
    # An unknown key costs the same work as a wrong signature, and is told the same.
    expected = _sign(key.secret_bytes if key else _STAND_IN_SECRET, header, method, claims_text, body)
    if key is None:
        _signature_invalid()
    if abs(now - int(header.timestamp)) > MAX_SKEW_SECONDS:
        _refuse(
            AuthenticationFault.TIMESTAMP_SKEW,
            f"the signature's timestamp is more than {MAX_SKEW_SECONDS} s off",
        )
    if not hmac.compare_digest(expected, header.signature):
        _signature_invalid()
    caller, expires = _claims(claims_text, key, now)
    if not header.body_signed and not key.allow_unsigned_body:
        _refuse(AuthenticationFault.BODY_UNSIGNED, "the key does not allow calls whose body is unsigned")
    nonce = Nonce(key.id, header.nonce) if needs_nonce else None
    return Authenticated(caller, key.id, nonce, expires)


def _headers(metadata: Iterable[tuple[str, str | bytes]]) -> tuple[str, _Header]:
    claims: list[str | bytes] = []
    signatures: list[str | bytes] = []
    for name, value in metadata:
        if name == CLAIMS_HEADER:
            claims.append(value)
        elif name == SIGNATURE_HEADER:
            signatures.append(value)
    for name, values in ((CLAIMS_HEADER, claims), (SIGNATURE_HEADER, signatures)):
        if len(values) != 1:
            found = "missing" if not values else "there more than once"
            _refuse(AuthenticationFault.SIGNATURE_INVALID, f"the header {name} is {found}")
    claims_text, signature = claims[0], signatures[0]
    shape = _SIGNATURE.fullmatch(signature) if isinstance(signature, str) else None
    if shape is None or not isinstance(claims_text, str):
        _refuse(AuthenticationFault.SIGNATURE_INVALID, f"the header {SIGNATURE_HEADER} is malformed")
    kid, timestamp, nonce, body_rule, sig = shape.groups()
    return claims_text, _Header(kid, timestamp, nonce, body_rule == "sha256", sig)


def _sign(secret: bytes, header: _Header, method: str, claims: str, body: bytes) -> str:
    claims_hash = hashlib.sha256(claims.encode("utf-8", "replace")).hexdigest()
    body_hash = hashlib.sha256(body).hexdigest() if header.body_signed else UNSIGNED
    signed = (
        f"{ALGORITHM}\n{header.kid}\n{header.timestamp}\n{header.nonce}\n{method}\n{claims_hash}\n{body_hash}"
    )
    return hmac.digest(secret, signed.encode(), "sha256").hex()


def _claims(text: str, key: Key, now: float) -> tuple[Caller, float]:
    """The caller that the claims name, with the roles that the key lets them have, and the claims' expiry."""
    if len(text) > MAX_CLAIMS_BYTES:
        _malformed(f"the claims are longer than {MAX_CLAIMS_BYTES} bytes")
    if not text.isascii():
        _malformed("the claims are not ASCII; escape other characters")
    try:
        claims = _JSON.decode(text)
    except (ValueError, RecursionError):
        _malformed("the claims are not JSON")
    if not isinstance(claims, dict):
        _malformed("the claims are not a JSON object")
    user_id, email = claims.get("userId"), claims.get("email")
    if not isinstance(user_id, str) or not _UUID.fullmatch(user_id):
        _malformed("userId in the claims is not a UUID")
    # Neither control characters nor lone surrogates, which JSON can escape, can be stored.
    if not isinstance(email, str) or not email.isprintable():
        _malformed("email in the claims is not a printable string")
    roles = _roles(claims.get("roles"))
    if key.max_roles is not None:
        roles &= key.max_roles
    return Caller(UUID(user_id), email, roles), _expiry(claims.get("expires"), now)


def _roles(value: object) -> frozenset[Role]:
    """The roles known here: platforms may have others, which give nothing."""
    if not isinstance(value, list) or not all(isinstance(role, str) for role in value):
        _malformed("roles in the claims is not a list of strings")
    return frozenset(_ROLES[role] for role in value if role in _ROLES)


def _expiry(value: object, now: float) -> float:
    # A bool is an int to Python, and an int can be too large to be asked whether it is finite.
    if isinstance(value, bool) or not isinstance(value, int | float):
        _malformed("expires in the claims is not a number of Unix seconds")
    if isinstance(value, float) and not math.isfinite(value):
        _malformed("expires in the claims is not a number of Unix seconds")
    if value > now + MAX_CLAIMS_SECONDS:
        _malformed(f"expires in the claims is more than {MAX_CLAIMS_SECONDS // 3600} h ahead")
    if value <= now:
        _refuse(AuthenticationFault.CLAIMS_EXPIRED, "the claims have expired")
    return float(value)


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_JSON = json.JSONDecoder(parse_constant=_no_constant)


def _signature_invalid() -> NoReturn:
    _refuse(AuthenticationFault.SIGNATURE_INVALID, "the signature is not valid")


def _malformed(message: str) -> NoReturn:
    _refuse(AuthenticationFault.CLAIMS_MALFORMED, message)


def _refuse(fault: AuthenticationFault, message: str) -> NoReturn:
    raise Unauthenticated(fault, message)
