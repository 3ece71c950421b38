"""The threads that put messages on the wire, few for however many streams."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable

import structlog

from matching_server import metrics
from matching_server.streams.watch import Watch

_BATCH = 64
_STUCK_SECONDS = 0.1
"""A send that blocks longer than this gets its pool another thread."""
_MOST_REPLACED = 60
_CUT_SECONDS = 10.0
"""A send that blocks longer than this is cut: its reader is gone or frozen."""

_log = structlog.get_logger(__name__)


class Senders:
    """A pool of threads that send what streams have queued.

    Args:
        count: threads while no send blocks.
        drained: called with a stream after what it had queued was sent.
    """

    def __init__(self, count: int, drained: Callable[[Watch], None]) -> None:
        self._count = count
        self._drained = drained
        self._ready: queue.SimpleQueue[Watch | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._busy: dict[threading.Thread, tuple[Watch, float]] = {}
        self._threads: set[threading.Thread] = set()
        self._stopping = False
        self.alive = True
        """Whether no thread has ended otherwise than it should."""

    def start(self) -> None:
        """Starts the threads."""
        for _ in range(self._count):
            self._add_thread()

    def stop(self) -> None:
        """Ends the threads; what is queued by then is sent first."""
        with self._lock:
            self._stopping = True
            threads = list(self._threads)
        for _ in threads:
            self._ready.put(None)
        for thread in threads:
            thread.join(timeout=2)

    def schedule(self, watch: Watch) -> None:
        """Has a stream's queue sent by whichever thread is free."""
        if watch.schedule():
            self._ready.put(watch)

    def check(self) -> None:
        """Replaces threads that a blocked send holds, and cuts streams that block for too long."""
        now = time.monotonic()
        with self._lock:
            stuck = [
                (watch, now - since) for watch, since in self._busy.values() if now - since > _STUCK_SECONDS
            ]
            missing = self._count + min(len(stuck), _MOST_REPLACED) - len(self._threads)
        for _ in range(missing):
            self._add_thread()
        for watch, seconds in stuck:
            if seconds > _CUT_SECONDS and watch.sink.cancel():
                metrics.STREAMS_CUT.inc()
                _log.info("stream_cut", project_id=str(watch.project_id), blocked_seconds=round(seconds, 1))

    def _add_thread(self) -> None:
        with self._lock:
            if self._stopping:
                return
            thread = threading.Thread(target=self._run, name=f"sender-{len(self._threads)}", daemon=True)
            self._threads.add(thread)
        thread.start()

    def _run(self) -> None:
        try:
            self._send_all()
        except BaseException:
            self.alive = False
            raise

    def _send_all(self) -> None:
        me = threading.current_thread()
        while True:
            watch = self._ready.get()
            if watch is None or self._surplus(me):
                if watch is not None:
                    self._ready.put(watch)
                break
            self._send(me, watch)
        with self._lock:
            self._threads.discard(me)

    def _surplus(self, me: threading.Thread) -> bool:
        """Whether this thread was added for one that is free again; it leaves the count at once."""
        with self._lock:
            if len(self._threads) - len(self._busy) <= self._count:
                return False
            self._threads.discard(me)
            return True

    def _send(self, me: threading.Thread, watch: Watch) -> None:
        with self._lock:
            self._busy[me] = (watch, time.monotonic())
        try:
            messages = watch.take(_BATCH)
            for data in messages:
                watch.sink.send(data)
                # Replaced as a whole: ``check`` sees the one or the other.
                watch.last_sent = time.monotonic()
                self._busy[me] = (watch, watch.last_sent)
            metrics.STREAM_MESSAGES.inc(len(messages))
        except Exception:
            _log.exception("send_failed", project_id=str(watch.project_id))
            watch.sink.cancel()
        finally:
            with self._lock:
                self._busy.pop(me, None)
        error = watch.release()
        if error is not None:
            watch.sink.fail(error)
            return
        self.schedule(watch)
        self._drained(watch)
