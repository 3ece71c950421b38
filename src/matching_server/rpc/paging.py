"""Page tokens: where the next page of a list that is newest first begins, opaque to callers."""

from __future__ import annotations

import base64
import binascii
from datetime import UTC, datetime, timedelta
from uuid import UUID

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_TIME_BYTES = 8
_TOKEN_CHARS = 32
"""24 bytes in base64: no padding."""

Position = tuple[datetime, UUID]


def encode_page_token(position: Position | None) -> str:
    """The token of a position; empty for ``None``, the end of the list."""
    if position is None:
        return ""
    created_at, id_ = position
    microseconds = (created_at - _EPOCH) // _MICROSECOND
    raw = microseconds.to_bytes(_TIME_BYTES, "big", signed=True) + id_.bytes
    return base64.urlsafe_b64encode(raw).decode()


def decode_page_token(token: str) -> Position | None:
    """The position that a token names; ``None`` for the empty one, the beginning of the list.

    Raises:
        ValueError: the text is no page token.
    """
    if not token:
        return None
    if len(token) != _TOKEN_CHARS:
        raise ValueError("is not a page token")
    try:
        raw = base64.b64decode(token, altchars=b"-_", validate=True)
        microseconds = int.from_bytes(raw[:_TIME_BYTES], "big", signed=True)
        return _EPOCH + timedelta(microseconds=microseconds), UUID(bytes=raw[_TIME_BYTES:])
    except (binascii.Error, ValueError, OverflowError):
        raise ValueError("is not a page token") from None
