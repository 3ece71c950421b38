"""Page tokens: where the next page of a list begins, opaque to callers."""

from __future__ import annotations

import base64
import binascii
from datetime import UTC, datetime, timedelta
from uuid import UUID

from matching_server.domain.model import MessageOrder

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


_ORDERS = {MessageOrder.NEWEST_FIRST: b"\x01", MessageOrder.OLDEST_FIRST: b"\x02"}
_SEQ_BYTES = 8


def encode_message_token(seq: int | None, project_id: UUID, order: MessageOrder) -> str:
    """The token of a place in a chat as it is listed in that order; empty for ``None``, the end of the list."""
    if seq is None:
        return ""
    raw = _message_list(project_id, order) + seq.to_bytes(_SEQ_BYTES, "big")
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def decode_message_token(token: str, project_id: UUID, order: MessageOrder) -> int | None:
    """The number that a token names; ``None`` for the empty one, the beginning of the list.

    Raises:
        ValueError: the text is no page token, or one of another project or order.
    """
    if not token:
        return None
    try:
        raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    prefix, seq = raw[:-_SEQ_BYTES], int.from_bytes(raw[-_SEQ_BYTES:], "big", signed=True)
    if prefix != _message_list(project_id, order) or seq < 1:
        raise ValueError("is not a page token of this list")
    return seq


def _message_list(project_id: UUID, order: MessageOrder) -> bytes:
    return _ORDERS[order] + project_id.bytes
