"""Where a watch stands, and whether and from where it goes on after an error. No I/O."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Sequence

from matching_client.arguments import seconds
from matching_client.contract import event as events
from matching_client.contract import types
from matching_client.errors import (
    Cancelled,
    InternalError,
    MatchingError,
    SlowConsumer,
    TooManyRequests,
    TransactionConflict,
    Unauthenticated,
    Unavailable,
    WatchPositionUnknown,
)
from matching_client.retry import backoff
from matching_client.signing import START_HEADER

SILENT_HEARTBEATS = 2.5
"""So many heartbeat intervals without anything mean that the connection is dead."""
WATCH_BACKOFF_CAP = 2.0
"""Largest upper bound of a wait before reconnecting, in seconds."""
SETTLE_SECONDS = 0.02
"""Where the initial metadata does not tell a start from a refusal, a refusal follows within this time."""
_REFUSALS = 2
"""So many CLAIMS_EXPIRED without a message between them are a refusal, and not the claims' natural end."""


class WatchCursor:
    """The position of one watch, through all its streams."""

    def __init__(
        self,
        project_id: str,
        *,
        last_event_id: str | None = None,
        from_start: bool = False,
        types: Sequence[str] = (),
        watch_id: str | None = None,
    ) -> None:
        """`watch_id` is made where it is None. ValueError unless it is 1 to 64 of `[A-Za-z0-9._-]`."""
        if isinstance(types, str):
            raise TypeError(f"types must be a sequence of names, not the string {types!r}")
        self.watch_id = str(uuid.uuid4()) if watch_id is None else watch_id
        if not re.fullmatch(r"[A-Za-z0-9._-]{1,64}", self.watch_id):
            raise ValueError("a watch_id has 1 to 64 of the characters A-Z a-z 0-9 . _ -")
        self.last_event_id = last_event_id or ""
        self._established = False
        self._project_id = project_id
        self._from_start = from_start
        self._types = tuple(types)
        self._last_seq = 0
        self._failures = 0
        self._expiries = 0

    def request(self) -> events.WatchProjectEventsRequest:
        """The request that goes on from here."""
        return events.WatchProjectEventsRequest(
            project_id=self._project_id,
            last_event_id=self.last_event_id,
            from_start=self._from_start and not self.last_event_id,
            types=self._types,
            watch_id=self.watch_id,
        )

    def accept(self, response: events.WatchProjectEventsResponse) -> types.ProjectEvent | None:
        """The event to hand on, None for a heartbeat or an event that was handed on before."""
        event = response.event
        self._failures = self._expiries = 0
        if event.WhichOneof("payload") == "heartbeat":
            self.last_event_id = event.heartbeat.last_event_id or self.last_event_id
            return None
        if event.seq <= self._last_seq:
            return None
        self._last_seq, self.last_event_id = event.seq, event.id
        return event

    def establish(self, start_event_id: str) -> None:
        """The service has fixed the start, at this id; empty where it did not say."""
        self._established = True
        self.last_event_id = self.last_event_id or start_event_id

    def retry_delay(self, error: MatchingError) -> float:
        """Seconds to wait before reconnecting after the error.

        Raises the error where the watch ends with it, or WatchPositionUnknown where going on could miss
        events.
        """
        self._failures += 1
        if isinstance(error, Unauthenticated):
            self._expiries += 1
        if not is_resumable(error) or self._expiries >= _REFUSALS:
            raise error
        if self._established and not self.last_event_id and not self._from_start:
            raise WatchPositionUnknown(
                f"the watch broke before its position was known ({error.message})",
                code=error.code,
                correlation_id=error.correlation_id,
            ) from error
        return backoff(self._failures, WATCH_BACKOFF_CAP, error.retry_after)


def silence_of(heartbeat_interval: float) -> float:
    """Seconds of silence that mean a dead connection. ValueError unless the interval, in seconds, is above 0."""
    if seconds("heartbeat_interval", heartbeat_interval) <= 0:
        raise ValueError(f"heartbeat_interval is more than 0 seconds, not {heartbeat_interval!r}")
    return heartbeat_interval * SILENT_HEARTBEATS


def is_resumable(error: MatchingError) -> bool:
    """Whether a watch reconnects after the error: the stream broke, and nobody decided that it should end."""
    match error:
        case Unavailable() | Cancelled() | SlowConsumer() | TooManyRequests() | TransactionConflict():
            return True
        case Unauthenticated():
            return error.detail == "CLAIMS_EXPIRED"
        case InternalError():
            return not error.reason
        case _:
            return False


def start_of(metadata: Iterable[tuple[str, str | bytes]]) -> str:
    """The id of the place where a stream starts; empty where its initial metadata does not say."""
    return next((str(value) for key, value in metadata if key == START_HEADER), "")
