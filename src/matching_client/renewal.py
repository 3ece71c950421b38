"""Claims that an identity service gives, kept until shortly before they expire."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable

from matching_client.signing import Claims

MARGIN = 30.0
"""Seconds before they expire at which claims are renewed."""


class RenewingClaims:
    """A claims provider for MatchingClient that asks `fetch` once for all calls, and again before they expire.

    `fetch` returns Claims that state `expires`; it is called by one thread at a time. Where it fails, the
    claims at hand serve as long as they are valid, and then its error is raised by the call.
    """

    def __init__(self, fetch: Callable[[], Claims], *, margin: float = MARGIN) -> None:
        """`margin` is in seconds."""
        self._fetch = fetch
        self._kept = _Kept(margin)
        self._lock = threading.Lock()

    def __call__(self) -> Claims:
        """Valid claims. ValueError where those that were fetched do not state when they expire."""
        if self._kept.is_due():
            with self._lock:
                if self._kept.is_due():
                    try:
                        self._kept.keep(self._fetch())
                    except Exception:
                        if not self._kept.is_valid():
                            raise
        return self._kept.claims()


class AsyncRenewingClaims:
    """The same for AsyncMatchingClient: `fetch` is awaited, by one task at a time."""

    def __init__(self, fetch: Callable[[], Awaitable[Claims]], *, margin: float = MARGIN) -> None:
        """`margin` is in seconds."""
        self._fetch = fetch
        self._kept = _Kept(margin)
        self._lock = asyncio.Lock()

    def __call__(self) -> Claims | Awaitable[Claims]:
        """Valid claims, or what they have to be awaited from."""
        return self._renewed() if self._kept.is_due() else self._kept.claims()

    async def _renewed(self) -> Claims:
        async with self._lock:
            if self._kept.is_due():
                try:
                    self._kept.keep(await self._fetch())
                except Exception:
                    if not self._kept.is_valid():
                        raise
        return self._kept.claims()


class _Kept:
    """The claims at hand, and how long they last."""

    def __init__(self, margin: float) -> None:
        self._margin = margin
        self._claims: Claims | None = None
        self._expires = 0

    def is_due(self) -> bool:
        return time.time() >= self._expires - self._margin

    def is_valid(self) -> bool:
        return time.time() < self._expires

    def keep(self, claims: Claims) -> None:
        if claims.expires is None:
            raise ValueError("claims that are renewed must state when they expire")
        self._claims, self._expires = claims, claims.expires

    def claims(self) -> Claims:
        assert self._claims is not None
        return self._claims
