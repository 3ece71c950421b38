"""The signature that every call carries: claims, the canonical string, and the two headers.

Pure: the clock and the nonce are passed in, with the real ones as defaults. `docs/signing.md` explains the
scheme for other languages, with test vectors.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import secrets
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

PACKAGE = "advisor_matching.v1"
CLAIMS_HEADER = "x-sheen-claims"
SIGNATURE_HEADER = "x-sheen-signature"
CORRELATION_HEADER = "x-correlation-id"
START_HEADER = "x-sheen-event-id"
"""In the initial metadata of a watch: the id of the place in the log where it starts."""

ALGORITHM = "SHEEN-HMAC-SHA256-V1"
CALL_LIFETIME = 300
"""Seconds that the claims of a unary call are valid."""
STREAM_LIFETIME = 3600
"""Seconds that the claims of a stream are valid. It ends with them, and is resumed with fresh ones."""

MINIMUM_SECRET_BYTES = 32
MAXIMUM_CLAIMS_BYTES = 4096

Headers = tuple[tuple[str, str], tuple[str, str]]

# Never signed: open to anyone.
_OPEN_SERVICE = f"/{PACKAGE}.SystemService/"
# What would be split, matched or refused on its way through a shell or a header; inside JSON strings only.
_ESCAPES = {ord(character): f"\\u{ord(character):04x}" for character in " *?\x7f"}


def _ensure_text(**values: object) -> None:
    """TypeError where one is none. The value is not told: it may be the secret."""
    for name, value in values.items():
        if not isinstance(value, str):
            raise TypeError(f"{name} must be a string, not {type(value).__name__}")


@dataclass(frozen=True)
class Claims:
    """Who is calling.

    `user_id` is a lower-case UUID; `roles` are names such as "client", "advisor", "service", "admin";
    `expires` is in Unix seconds, at most 24 h ahead. Without it, each call gets a fresh one: 5 minutes ahead,
    1 hour for streams.
    """

    user_id: str
    email: str = ""
    roles: Sequence[str] = ()
    expires: int | None = None

    def __post_init__(self) -> None:
        """Keeps the roles as a tuple. TypeError for what is no text, and for a lone string as roles."""
        if isinstance(self.roles, str):
            raise TypeError(f"roles must be a sequence of names, not the string {self.roles!r}")
        object.__setattr__(self, "roles", tuple(self.roles))
        _ensure_text(
            user_id=self.user_id, email=self.email, **{f"roles[{n}]": r for n, r in enumerate(self.roles)}
        )


@dataclass(frozen=True)
class Credentials:
    """What calls are signed with: a key, and the claims or a function that gives them for each attempt anew.

    `secret` is the text of the key as it is written, 32 UTF-8 bytes or more. ValueError where key or secret
    cannot be right.
    """

    key_id: str
    secret: str = field(repr=False)
    claims: Claims | Callable[[], Claims | Awaitable[Claims]]

    def __post_init__(self) -> None:
        """Refuses what no server would take."""
        _ensure_text(key_id=self.key_id, secret=self.secret)
        if not re.fullmatch(r"[A-Za-z0-9._-]{1,64}", self.key_id):
            raise ValueError("a key id has 1 to 64 of the characters A-Z a-z 0-9 . _ -")
        if len(self.secret.encode()) < MINIMUM_SECRET_BYTES:
            raise ValueError(f"the secret must have at least {MINIMUM_SECRET_BYTES} bytes")

    def who(self) -> Claims | Awaitable[Claims]:
        """The claims of an attempt that is made now."""
        return self.claims if isinstance(self.claims, Claims) else self.claims()

    def headers(
        self,
        method: str,
        body: bytes | None,
        *,
        who: Claims | None = None,
        lifetime: int = CALL_LIFETIME,
        now: float | None = None,
        nonce: str | None = None,
    ) -> Headers:
        """The two headers of one attempt of one call.

        `method` is the full path, "/advisor_matching.v1.MatchService/GetMatch"; `body` the request message
        exactly as it is sent, None to leave it unsigned; `who` the claims, asked for where they are left out.
        `lifetime` is in seconds and counts where the claims state no `expires`. ValueError where the claims
        are longer than 4 kB, TypeError where they would have to be awaited.
        """
        timestamp = int(time.time() if now is None else now)
        nonce = nonce or secrets.token_hex(16)
        asked = who or self.who()
        if not isinstance(asked, Claims):
            raise TypeError(f"the claims must be Claims, not {asked!r}; AsyncMatchingClient awaits them")
        claims = claims_json(asked, asked.expires if asked.expires is not None else timestamp + lifetime)
        text = canonical_string(self.key_id, timestamp, nonce, method, claims, body)
        sig = hmac.new(self.secret.encode(), text.encode(), hashlib.sha256).hexdigest()
        rule = "unsigned" if body is None else "sha256"
        signature = f"v1;kid={self.key_id};ts={timestamp};nonce={nonce};body={rule};sig={sig}"
        return (CLAIMS_HEADER, claims), (SIGNATURE_HEADER, signature)


def claims_json(claims: Claims, expires: int) -> str:
    """The value of `x-sheen-claims`: JSON in printable ASCII, without spaces. ValueError beyond 4 kB."""
    value = {"userId": claims.user_id, "email": claims.email, "roles": list(claims.roles), "expires": expires}
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":")).translate(_ESCAPES)
    if len(text) > MAXIMUM_CLAIMS_BYTES:
        raise ValueError(f"the claims take {len(text)} bytes, more than {MAXIMUM_CLAIMS_BYTES}")
    return text


def canonical_string(
    key_id: str, timestamp: int, nonce: str, method: str, claims: str, body: bytes | None
) -> str:
    """The text that the HMAC is computed over: seven lines without a final newline.

    `claims` is the header's value, `body` the request message, None where it is left unsigned.
    """
    claims_digest = hashlib.sha256(claims.encode()).hexdigest()
    body_digest = "UNSIGNED" if body is None else hashlib.sha256(body).hexdigest()
    return "\n".join((ALGORITHM, key_id, str(timestamp), nonce, method, claims_digest, body_digest))


def needs_signature(method: str) -> bool:
    """Whether a method needs a signature: all of the contract but SystemService."""
    return method.startswith(f"/{PACKAGE}.") and not method.startswith(_OPEN_SERVICE)


def correlation_metadata(correlation_id: str | None) -> tuple[tuple[str, str], ...]:
    """The metadata for a correlation id: 1 to 128 of `[A-Za-z0-9._-]`, else ValueError. None: none."""
    if correlation_id is None:
        return ()
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,128}", correlation_id):
        raise ValueError("a correlation id has 1 to 128 of the characters A-Z a-z 0-9 . _ -")
    return ((CORRELATION_HEADER, correlation_id),)
