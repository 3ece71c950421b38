"""One thread that acts when something takes too long."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class Watchdog:
    """Runs an action unless it is disarmed in time. The thread starts with the first deadline."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._changed = threading.Condition()
        self._deadline: float | None = None
        self._action: Callable[[], object] = bool
        self._wakes_at: float | None = None
        self._stopped = False
        self._thread: threading.Thread | None = None

    def arm(self, seconds: float, action: Callable[[], object]) -> None:
        """Runs the action in so many seconds, unless disarmed, armed anew, or stopped before."""
        with self._changed:
            if self._stopped:
                return
            self._deadline, self._action = time.monotonic() + seconds, action
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                self._thread.start()
            elif self._wakes_at is None or self._deadline < self._wakes_at:
                self._changed.notify()

    def disarm(self) -> None:
        """Forgets the deadline and the action."""
        with self._changed:
            self._deadline, self._action = None, bool

    def stop(self) -> None:
        """Ends the thread. It may outlive the call by an instant; see `join`."""
        with self._changed:
            self._stopped = True
            self._deadline, self._action = None, bool
            self._changed.notify()

    def join(self) -> None:
        """Waits for the end of the thread, except from within an action."""
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()

    def _run(self) -> None:
        while (action := self._next_action()) is not None:
            action()

    def _next_action(self) -> Callable[[], object] | None:
        """Waits for the deadline to pass and gives the action that is due; None once stopped."""
        with self._changed:
            while not self._stopped:
                self._wakes_at = self._deadline
                remaining = None if self._deadline is None else self._deadline - time.monotonic()
                if remaining is not None and remaining <= 0:
                    action, self._deadline, self._action = self._action, None, bool
                    return action
                self._changed.wait(remaining)
            return None
