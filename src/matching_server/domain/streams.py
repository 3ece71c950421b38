"""A user's open streams, on whichever server: at most so many, and one a ``watch_id``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID


@dataclass(frozen=True, slots=True)
class OpenStream:
    """One open stream of a user. Of two of the same user, the one with the higher ``number`` is the newer."""

    id: UUID
    user_id: UUID
    watch_id: str
    """The user's name for it; where they gave none, one that is nobody else's."""
    number: int
    opened_at: datetime


def contested(streams: Sequence[OpenStream], watch_id: str, limit: int) -> list[UUID]:
    """Those that may have to go once another one is opened under ``watch_id``: it replaces one, or makes them too many.

    Streams under one name count as one, since only the newest of them stays. Those that had to go before are left out.
    """
    gone = []
    for stream in streams:
        newer = {other.watch_id for other in streams if other.number > stream.number}
        had_to_go = stream.watch_id in newer or len(newer) >= limit
        newer.add(watch_id)
        if not had_to_go and (stream.watch_id in newer or len(newer) >= limit):
            gone.append(stream.id)
    return gone
