"""One open stream of events after the other, and the thread that ends those that fall silent."""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING

import grpc

from matching_client.errors import DeadlineExceeded, Unavailable
from matching_client.resume import SETTLE_SECONDS, start_of
from matching_client.status_details import from_rpc_error
from matching_client.watchdog import Watchdog

if TYPE_CHECKING:
    from grpc import _CallIterator

    from matching_client.contract import event


class EventStream:
    """What a watch reads: opened with the request of the moment when there is none, and again after `drop`."""

    def __init__(
        self,
        method: grpc.UnaryStreamMultiCallable[
            event.WatchProjectEventsRequest, event.WatchProjectEventsResponse
        ],
        request: Callable[[], event.WatchProjectEventsRequest],
        metadata: tuple[tuple[str, str], ...],
        name: str,
    ) -> None:
        self._method = method
        self._request = request
        self._metadata = metadata
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._call: _CallIterator[event.WatchProjectEventsResponse] | None = None
        self._watchdog = Watchdog(f"matching-watch-{name}")
        weakref.finalize(self, self._watchdog.stop)

    @property
    def closed(self) -> bool:
        """Whether it has been closed, by whichever thread."""
        return self._closed.is_set()

    def establish(self, deadline: float) -> str:
        """Opens a stream and waits for its start: the id where it starts, empty where it is not said.

        Raises DeadlineExceeded at the deadline (of the monotonic clock), else the error of the stream.
        """
        stream = self._open()
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
        start = start_of(metadata)
        if not start and ended.wait(SETTLE_SECONDS) and stream.code() is not grpc.StatusCode.OK:
            raise from_rpc_error(stream)
        return start

    def receive(self, silence: float) -> event.WatchProjectEventsResponse:
        """The next message. Only the time spent waiting for it counts as silence, in seconds.

        Raises the error of the stream: Cancelled after too much silence, Unavailable at its end.
        """
        stream = self._open()
        self._watchdog.arm(silence, stream.cancel)
        try:
            return next(stream)
        except StopIteration:
            raise Unavailable("the service ended the stream") from None
        except grpc.RpcError as error:
            raise from_rpc_error(error) from error
        finally:
            self._watchdog.disarm()

    def drop(self) -> None:
        """Forgets the stream that is open; the next one begins with a new request."""
        with self._lock:
            self._call = None

    def wait(self, seconds: float) -> None:
        """Waits, at most until it is closed."""
        self._closed.wait(seconds)

    def close(self) -> None:
        """Ends the open stream, whoever waits here, and the thread. Repeatable."""
        self._closed.set()
        with self._lock:
            if self._call is not None:
                self._call.cancel()
        self._watchdog.stop()
        self._watchdog.join()

    def _open(self) -> _CallIterator[event.WatchProjectEventsResponse]:
        with self._lock:
            if self._closed.is_set():
                raise Unavailable("the watch is closed")
            if self._call is None:
                self._call = self._method(self._request(), metadata=self._metadata)
            return self._call
