"""Signs calls as the contract's page describes it, on its own: it shares no code with the server."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any

USER = "3f1c2a6e-8f0b-4b0e-9a44-0d0a4f4f7a11"
SECRET = "an-example-secret-of-more-than-32-bytes"
KID = "test-key"
NONCE = "0123456789abcdef0123456789abcdef"
NOW = 1_750_000_000


def claims(**changes: Any) -> str:
    values = {"userId": USER, "email": "ada@example.com", "roles": ["client"], "expires": NOW + 3600}
    return json.dumps(values | changes)


def signature(
    claims_text: str,
    method: str,
    body: bytes = b"",
    *,
    kid: str = KID,
    secret: str = SECRET,
    ts: object = NOW,
    nonce: str = NONCE,
    unsigned: bool = False,
) -> str:
    lines = [
        "SHEEN-HMAC-SHA256-V1",
        kid,
        str(ts),
        nonce,
        method,
        hashlib.sha256(claims_text.encode()).hexdigest(),
        "UNSIGNED" if unsigned else hashlib.sha256(body).hexdigest(),
    ]
    digest = hmac.new(secret.encode(), "\n".join(lines).encode(), hashlib.sha256).hexdigest()
    rule = "unsigned" if unsigned else "sha256"
    return f"v1;kid={kid};ts={ts};nonce={nonce};body={rule};sig={digest}"


def headers(
    method: str, body: bytes = b"", claims_text: str | None = None, **how: Any
) -> list[tuple[str, str]]:
    text = claims() if claims_text is None else claims_text
    return [("x-sheen-claims", text), ("x-sheen-signature", signature(text, method, body, **how))]
