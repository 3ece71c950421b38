"""A thread that does the same thing again and again, and at once when woken."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable

import structlog

from matching_server import metrics
from matching_server.domain.errors import StorageUnavailable, TransactionConflict

_log = structlog.get_logger(__name__)


class Loop:
    """Calls ``step`` every ``seconds``, sooner when woken, until stopped.

    A step that fails is logged and tried again at the next turn: what it does must survive that.

    Args:
        name: of the thread, and of the log lines.
        step: what to do; it returns whether to go on at once.
        seconds: between two steps.
    """

    def __init__(self, name: str, step: Callable[[], bool], seconds: float) -> None:
        self._name = name
        self._step = step
        self._seconds = seconds
        self._woken = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def wake(self) -> None:
        """Has the next step done now."""
        self._woken.set()

    def stop(self) -> None:
        """Lets the step under way end, and no further one begin. Returns at once."""
        self._stopping.set()
        self._woken.set()

    def join(self, timeout: float) -> None:
        """Waits for the thread to end."""
        if self._thread.ident is not None:
            self._thread.join(timeout)

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    def _run(self) -> None:
        go_on = False
        while not self._stopping.is_set():
            if not go_on:
                self._woken.wait(self._seconds)
            self._woken.clear()
            if not self._stopping.is_set():
                go_on = self._try_step()

    def _try_step(self) -> bool:
        # What one step does and causes is told under one id, like what a call does.
        structlog.contextvars.bind_contextvars(correlation_id=f"{random.getrandbits(128):032x}")
        try:
            return self._step()
        except (StorageUnavailable, TransactionConflict) as error:
            metrics.STEPS_FAILED.labels(self._name).inc()
            _log.warning("step_postponed", loop=self._name, reason=error.reason.value)
        except Exception:
            metrics.STEPS_FAILED.labels(self._name).inc()
            _log.exception("step_failed", loop=self._name)
        return False
