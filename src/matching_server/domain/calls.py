"""One call as the use cases see it: who calls, and what makes the call unrepeatable or repeatable."""

from __future__ import annotations

from dataclasses import dataclass, field
from uuid import UUID, uuid4

from matching_server.domain.model import Caller


@dataclass(frozen=True, slots=True)
class Nonce:
    """The number used once of a signed mutation or stream, with the key that signed it."""

    kid: str
    value: str


@dataclass(frozen=True, slots=True)
class RequestKey:
    """What makes a repeated request recognizable: the caller's id for it, and what was asked."""

    request_id: UUID
    method: str
    body_hash: bytes


@dataclass(frozen=True, slots=True)
class Call:
    """A verified call. ``id`` tells this handling of it apart from a replay of the same bytes."""

    caller: Caller
    correlation_id: str
    nonce: Nonce | None = None
    request_key: RequestKey | None = None
    claims_expire_at: float = 0.0
    """Unix seconds."""
    id: UUID = field(default_factory=uuid4)
