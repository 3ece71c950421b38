"""What open streams need as time passes: heartbeats, the end of claims and rights, and events that no hint told of."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable

import structlog

from matching_server.domain.errors import AuthenticationFault, EventIdUnknown, Unauthenticated
from matching_server.operations.watching import EventSource
from matching_server.streams.hub import Hub
from matching_server.streams.watch import Watch

_TICK_SECONDS = 0.1
_TICKS_A_LOOK = 10
"""Between two looks at all streams."""
_LOOK_SECONDS = 2.0
"""How long an event can stay unseen where no hint of it arrives."""
_RIGHTS_SECONDS = 30.0

_log = structlog.get_logger(__name__)


class Keeper:
    """Looks after the streams of a hub.

    Args:
        hub: whose streams.
        source: the log, and who may see it.
        heartbeat_seconds: silence after which a heartbeat is sent.
    """

    def __init__(self, hub: Hub, source: EventSource, *, heartbeat_seconds: float) -> None:
        self._hub = hub
        self._source = source
        self._heartbeat_seconds = heartbeat_seconds
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(target=self._keep, name="stream-keeper", daemon=True),
            threading.Thread(target=self._look, name="event-poller", daemon=True),
        ]

    def start(self) -> None:
        """Starts the threads."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Ends the threads."""
        self._stopping.set()
        for thread in self._threads:
            thread.join(timeout=5)

    @property
    def alive(self) -> bool:
        """Whether every thread that should run does."""
        return all(thread.is_alive() for thread in self._threads)

    def _look(self) -> None:
        """Finds what no hint told of."""
        while not self._stopping.wait(_LOOK_SECONDS):
            try:
                if self._source.was_replaced():
                    _log.warning("event_log_replaced")
                    self._hub.forget(EventIdUnknown())
                shown = self._hub.shown()
                for project_id in self._source.moved_on(shown) if shown else ():
                    self._hub.look_at(project_id)
            except Exception as error:
                _log.warning("event_poll_failed", error=type(error).__name__)

    def _keep(self) -> None:
        ticks = 0
        while not self._stopping.wait(_TICK_SECONDS):
            ticks += 1
            try:
                self._hub.check_senders()
                if ticks % _TICKS_A_LOOK == 0:
                    watches = self._hub.watches()
                    self._keep_time(watches)
                    self._keep_rights(_share(watches, ticks // _TICKS_A_LOOK))
            except Exception:
                _log.exception("stream_keeper_failed")

    def _keep_time(self, watches: Iterable[Watch]) -> None:
        now, wall = time.monotonic(), time.time()
        for watch in watches:
            if wall >= watch.claims_expire_at:
                self._hub.end(
                    watch, Unauthenticated(AuthenticationFault.CLAIMS_EXPIRED, "the claims have expired")
                )
            elif now - watch.last_sent >= self._heartbeat_seconds and not watch.waiting:
                self._hub.beat(watch)

    def _keep_rights(self, watches: Iterable[Watch]) -> None:
        """The platform can move rights without an event. Owners, which most are, are looked up together."""
        watches = [watch for watch in watches if not watch.caller.acts_for_platform]
        owned = self._source.owned([(watch.project_id, watch.caller) for watch in watches]) if watches else ()
        for watch, is_owner in zip(watches, owned, strict=True):
            if watch.rights.by_place or not is_owner:
                self._hub.look_up_rights(watch)


def _share(watches: Iterable[Watch], turn: int) -> list[Watch]:
    """Those whose turn it is to have their rights looked up: each once in 30 s, as many a second."""
    turns = max(1, round(_RIGHTS_SECONDS / (_TICK_SECONDS * _TICKS_A_LOOK)))
    return [watch for watch in watches if watch.stream.id.int % turns == turn % turns]
