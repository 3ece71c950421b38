"""The live events of a project, as an iterator that survives broken streams."""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING

import grpc

from advisor_matching.v1.event_service_pb2 import WatchProjectEventsRequest, WatchProjectEventsResponse
from advisor_matching.v1.types_pb2 import ProjectEvent
from matching_client.errors import DeadlineExceeded, MatchingError, Unavailable
from matching_client.resume import WatchCursor
from matching_client.signing import START_HEADER
from matching_client.status_details import from_rpc_error
from matching_client.watchdog import Watchdog

if TYPE_CHECKING:
    from grpc import _CallIterator

    _Method = grpc.UnaryStreamMultiCallable[WatchProjectEventsRequest, WatchProjectEventsResponse]

HEARTBEAT_SECONDS = 15.0
"""Silence after which the service sends a heartbeat, unless it is configured otherwise."""
SILENT_HEARTBEATS = 2.5
"""So many heartbeat intervals without anything mean that the connection is dead."""
_SETTLE_SECONDS = 0.02
"""Where the initial metadata does not tell a start from a refusal, a refusal follows within this time."""


class Watch(Iterator[ProjectEvent]):
    """The events of a project, each once and in order. Made by `MatchingClient.watch`.

    Iterate in one thread; `close()` may be called from any, and ends the iteration. Broken streams are
    resumed after the last event or heartbeat received, for as long as it takes. Errors that reconnecting
    cannot cure are raised once (StreamEvicted, ProjectNotFound, EventsCompacted and so on), and the watch is
    closed then.
    """

    def __init__(
        self,
        method: _Method,
        cursor: WatchCursor,
        *,
        heartbeat_interval: float = HEARTBEAT_SECONDS,
        metadata: tuple[tuple[str, str], ...] = (),
    ) -> None:
        """`heartbeat_interval` is in seconds."""
        self._method = method
        self._cursor = cursor
        self._silence = heartbeat_interval * SILENT_HEARTBEATS
        self._metadata = metadata
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._call: _CallIterator[WatchProjectEventsResponse] | None = None
        self._watchdog = Watchdog(f"matching-watch-{cursor.watch_id}")
        weakref.finalize(self, self._watchdog.stop)

    @property
    def last_event_id(self) -> str:
        """Id to resume after, here or elsewhere: of the last event or heartbeat. Empty: none yet."""
        return self._cursor.last_event_id

    @property
    def watch_id(self) -> str:
        """The watch's name, the same through all reconnects."""
        return self._cursor.watch_id

    def start(self, timeout: float) -> None:
        """Connects, and returns once the service has fixed the start; what commits later is delivered.

        A service out of reach is tried again within `timeout` seconds. Raises the error that is left then,
        and any that reconnecting cannot cure. A refusal that arrives late is raised by the first `next()`.
        """
        deadline = time.monotonic() + timeout
        refused: MatchingError | None = None
        while not self._closed.is_set():
            try:
                self._establish(deadline)
            except DeadlineExceeded as error:
                # The last attempt was cut off: why those before it failed says more.
                self._pause(refused or error, deadline)
            except MatchingError as error:
                self._pause(error, deadline)
                refused = error
            else:
                break

    def __next__(self) -> ProjectEvent:
        """The next event, as soon as there is one. StopIteration once the watch is closed."""
        while not self._closed.is_set():
            try:
                event = self._cursor.accept(self._receive())
            except MatchingError as error:
                self._pause(error)
            else:
                if event is not None:
                    return event
        raise StopIteration

    def close(self) -> None:
        """Ends the stream, the iteration and the watch's thread. Repeating it does nothing."""
        self._closed.set()
        with self._lock:
            if self._call is not None:
                self._call.cancel()
        self._watchdog.stop()
        self._watchdog.join()

    def __enter__(self) -> Watch:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _stream(self) -> _CallIterator[WatchProjectEventsResponse]:
        """The open stream, or a new one from the present position."""
        with self._lock:
            if self._closed.is_set():
                raise Unavailable("the watch is closed")
            if self._call is None:
                self._call = self._method(self._cursor.request(), metadata=self._metadata)
            return self._call

    def _establish(self, deadline: float) -> None:
        """Opens a stream and waits for its initial metadata. The watchdog cancels it at the deadline."""
        stream = self._stream()
        ended = threading.Event()
        if not stream.add_callback(ended.set):
            ended.set()
        self._watchdog.arm(max(deadline - time.monotonic(), 0.0), stream.cancel)
        try:
            metadata = stream.initial_metadata()
        finally:
            self._watchdog.disarm()
        if time.monotonic() >= deadline and not stream.is_active():
            raise DeadlineExceeded("the watch was not established within the timeout")
        start = _start_of(metadata)
        if not start and ended.wait(_SETTLE_SECONDS) and stream.code() is not grpc.StatusCode.OK:
            raise from_rpc_error(stream)
        self._cursor.establish(start)

    def _receive(self) -> WatchProjectEventsResponse:
        """The next message of the stream. Only the time spent waiting for it counts as silence."""
        stream = self._stream()
        self._watchdog.arm(self._silence, stream.cancel)
        try:
            return next(stream)
        except StopIteration:
            raise Unavailable("the service ended the stream") from None
        except grpc.RpcError as error:
            raise from_rpc_error(error) from error
        finally:
            self._watchdog.disarm()

    def _pause(self, error: MatchingError, deadline: float | None = None) -> None:
        """Waits until it is time to reconnect. Raises the error where it ends the watch."""
        if self._closed.is_set():
            return
        with self._lock:
            self._call = None
        try:
            delay = self._cursor.retry_delay(error)
            if deadline is not None and time.monotonic() + delay >= deadline:
                raise error
        except MatchingError:
            self.close()
            raise
        self._closed.wait(delay)


def _start_of(metadata: Iterable[tuple[str, str | bytes]]) -> str:
    """The id of the place where a stream starts; empty where its initial metadata does not say."""
    return next((str(value) for key, value in metadata if key == START_HEADER), "")
