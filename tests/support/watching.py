"""Watches that do not wait for ever."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from matching_client import MatchingClient, Watch

_SECONDS = 20.0


@contextmanager
def watching(
    client: MatchingClient,
    project_id: str,
    *,
    last_event_id: str | None = None,
    from_start: bool = False,
    types: Sequence[str] = (),
) -> Iterator[Watch]:
    """The client's watch; one that is still open after 20 s ends, so that who waits for an event fails."""
    with client.watch(project_id, last_event_id=last_event_id, from_start=from_start, types=types) as watch:
        limit = threading.Timer(_SECONDS, watch.close)
        limit.start()
        try:
            yield watch
        finally:
            limit.cancel()
            limit.join()
