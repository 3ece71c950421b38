"""Lists, page by page."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable
from typing import Any, TypeVar

from matching_client.testing.refusals import invalid

DEFAULT_PAGE = 50
_T = TypeVar("_T")


def page(
    rows: Iterable[tuple[int, _T]], request: Any, *, oldest_first: bool = False, scope: str = ""
) -> tuple[list[_T], str]:
    """A page of rows with their serials, and the token of the next one. Raises InvalidArgument.

    A token is good for lists of the same `scope` alone.
    """
    after = _serial_of(request.page_token, scope) if request.page_token else None
    found = sorted(rows, key=lambda row: row[0], reverse=not oldest_first)
    if after is not None:
        found = [row for row in found if (row[0] > after if oldest_first else row[0] < after)]
    size = request.page_size or DEFAULT_PAGE
    following = ""
    if len(found) > size:
        following = base64.urlsafe_b64encode(f"{scope}:{found[size - 1][0]}".encode()).decode()
    return [row for _, row in found[:size]], following


def _serial_of(token: str, scope: str) -> int:
    try:
        made_for, _, serial = base64.b64decode(token, altchars=b"-_", validate=True).decode().rpartition(":")
        number = int(serial)
    except (binascii.Error, ValueError):
        raise invalid("page_token", "is not a page token") from None
    if made_for != scope:
        raise invalid("page_token", "is not a page token of this list")
    return number
