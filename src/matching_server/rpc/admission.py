"""How many calls are let in, and how many of them are worked on at once.

gRPC gives a call a thread when its headers arrive, and the thread waits for the message. So there are far more threads
than calls that are worked on: callers who send headers and nothing else keep threads, and nobody from their turn.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from queue import Empty, SimpleQueue
from typing import Any

import grpc

from matching_server import metrics
from matching_server.domain.errors import TooManyRequests
from matching_server.rpc.access import METHODS
from matching_server.rpc.pooled import Pooled

DEFAULT_DEADLINE_SECONDS = 10.0
"""For calls that come without a deadline."""
MOST_CALLS = 512
"""Calls that can be here at once, those included whose message has not come; more are refused on arrival."""
_RETRY_SECONDS = 1.0

FULL = TooManyRequests("the server has too many calls already", retry_after=_RETRY_SECONDS)
"""What callers are told who are refused on arrival."""

Refuse = Callable[[str, grpc.ServicerContext], bytes]
"""Ends a call, by its path, that is one too many."""


class PastDeadline(Exception):
    """Nobody waits for the answer any more: nothing is to be begun."""


class CallThreads(ThreadPoolExecutor):
    """The threads of calls, which counts how many calls are here."""

    def __init__(self, most: int = MOST_CALLS) -> None:
        super().__init__(most, thread_name_prefix="rpc")
        self._most = most
        self._lock = threading.Lock()
        self._here = 0
        metrics.CALLS_OPEN.set_function(lambda: self._here)

    @property
    def full(self) -> bool:
        """Whether another call would have to wait for a thread."""
        return self._here >= self._most

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """As any executor does."""
        with self._lock:
            self._here += 1
        return super().submit(self._run, fn, args, kwargs)

    def _run(self, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        try:
            return fn(*args, **kwargs)
        finally:
            with self._lock:
                self._here -= 1


class Turns:
    """Lets so many calls be worked on at once; the others wait for their turn.

    Args:
        count: how many.
    """

    def __init__(self, count: int) -> None:
        # Far cheaper than a semaphore, which every call would pay for.
        self._free: SimpleQueue[None] = SimpleQueue()
        for _ in range(count):
            self._free.put(None)
        metrics.CALLS_RUNNING.set_function(lambda: count - self._free.qsize())

    def take(self, context: grpc.ServicerContext) -> None:
        """Waits for a turn, for as long as the caller does; whoever got one gives it back.

        Raises:
            PastDeadline: the caller waits no longer.
            TooManyRequests: no turn came within the default deadline.
        """
        try:
            self._free.get_nowait()
        except Empty:
            self._wait(context)

    def give_back(self) -> None:
        """The call is done."""
        self._free.put(None)

    def _wait(self, context: grpc.ServicerContext) -> None:
        remaining: float | None = context.time_remaining()
        patience = DEFAULT_DEADLINE_SECONDS if remaining is None else min(remaining, DEFAULT_DEADLINE_SECONDS)
        with metrics.CALLS_WAITING.track_inprogress():
            try:
                self._free.get(timeout=patience)
                got = True
            except Empty:
                got = False
        if not context.is_active() or context.time_remaining() == 0:
            if got:
                self.give_back()
            raise PastDeadline
        if not got:
            raise TooManyRequests(
                f"the server did not come to it within {patience:.0f} s", retry_after=_RETRY_SECONDS
            )


class Admission(grpc.ServerInterceptor):
    """Refuses calls of the contract on arrival while there are too many; health and reflection have their own threads.

    It runs on the server's only poller thread, so it does nothing but count.

    Args:
        threads: whose calls are counted.
        refuse: ends a call that is one too many.
    """

    def __init__(self, threads: CallThreads, refuse: Refuse) -> None:
        self._threads = threads
        self._refuse = refuse
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="refusals")

    def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], grpc.RpcMethodHandler[Any, Any] | None],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        """The call's handler, or one that refuses it without waiting for its message."""
        path = handler_call_details.method
        if not self._threads.full or path not in METHODS:
            return continuation(handler_call_details)
        # A handler of a stream of requests is called before any has come.
        return grpc.stream_unary_rpc_method_handler(
            Pooled(lambda _, context: self._refuse(path, context), self._pool)
        )
