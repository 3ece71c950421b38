"""A server stream that is answered from callbacks: no thread waits with it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress

import grpc

from matching_server.domain.errors import Reason
from matching_server.rpc import errors

CORRELATION_HEADER = "x-correlation-id"

SendResponse = Callable[[bytes | None], None]
"""What gRPC gives a non-blocking behaviour: it sends a message, or for ``None`` ends the stream."""
Finished = Callable[[grpc.StatusCode, Reason | None], None]
"""Told once how a stream ended."""


class StreamContext:
    """One open stream. Any thread may use it; it ends once, by whoever is first.

    Args:
        context: gRPC's context of the call.
        send_response: gRPC's callback of the call.
        correlation_id: goes into the initial metadata and into errors.
        finished: told once how the stream ended, in the thread that ended it.
    """

    def __init__(
        self,
        context: grpc.ServicerContext,
        send_response: SendResponse,
        *,
        correlation_id: str,
        finished: Finished,
    ) -> None:
        self.correlation_id = correlation_id
        self._context = context
        self._send_response = send_response
        self._finished = finished
        # Never held while something waits: a blocked sender must not keep others from ending the stream.
        self._lock = threading.Lock()
        self._metadata_sent = False
        self._ended = False

    @property
    def is_active(self) -> bool:
        """Whether the client is still there and the stream has not been ended."""
        return not self._ended and self._context.is_active()

    def on_end(self, callback: Callable[[], None]) -> bool:
        """Calls ``callback`` once the stream is over, however it ended.

        It runs on the server's only poller thread, so it may neither wait nor do I/O. ``False``: the stream
        was over already, and nothing will be called.
        """
        return self._context.add_callback(callback)

    def send_initial_metadata(self, pairs: Sequence[tuple[str, str]] = ()) -> None:
        """Sends ``pairs`` and the correlation id at once, ahead of any message; later calls do nothing."""
        with self._lock:
            if not self._ended:
                self._ensure_metadata(pairs)

    def send(self, message: bytes) -> None:
        """Sends one serialized message; does nothing once the stream is over.

        It returns when the message is on its way. It blocks where the reader takes nothing and about 4 MB
        wait for them; ``cancel`` from another thread sets it free.
        """
        if not self._metadata_sent:
            self.send_initial_metadata()
        if not self._ended:
            self._send_response(message)

    def end(self) -> bool:
        """Ends the stream with OK; ``False`` if it had ended before."""
        if not self._begin_end():
            return False
        self._finished(grpc.StatusCode.OK, None)
        self._send_response(None)
        return True

    def fail(self, error: Exception) -> bool:
        """Ends the stream with the rich status of ``error``; ``False`` if it had ended before."""
        if not self._begin_end():
            return False
        refusal = errors.refusal(error, self.correlation_id)
        self._context.set_code(refusal.code)
        self._context.set_details(refusal.message)
        self._context.set_trailing_metadata(refusal.trailing_metadata)
        self._finished(refusal.code, refusal.reason)
        self._send_response(None)
        return True

    def cancel(self) -> bool:
        """Cuts the stream; the client sees a bare CANCELLED. ``False`` if it had ended before.

        The call is cancelled in any case, since an ending may be stuck behind a message that nobody reads.
        """
        first = self._begin_end(reachable=False)
        if first:
            self._finished(grpc.StatusCode.CANCELLED, None)
        self._context.cancel()
        return first

    def gone(self) -> bool:
        """Notes, for the log, that the client went away; ``False`` if the stream had ended before.

        For whoever was told by ``on_end``, but not to be called from there.
        """
        if not self._begin_end(reachable=False):
            return False
        self._finished(grpc.StatusCode.CANCELLED, None)
        return True

    def _begin_end(self, *, reachable: bool = True) -> bool:
        with self._lock:
            if self._ended:
                return False
            if reachable:
                self._ensure_metadata(())
            self._ended = True
            return True

    def _ensure_metadata(self, pairs: Sequence[tuple[str, str]]) -> None:
        """Starts sending the initial metadata; under the lock, since it must go out before anything else."""
        if self._metadata_sent:
            return
        self._metadata_sent = True
        # Where the client is gone, ``on_end`` tells whoever has to know.
        with suppress(grpc.RpcError):
            self._context.send_initial_metadata(((CORRELATION_HEADER, self.correlation_id), *pairs))
