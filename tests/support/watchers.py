"""Watchers in threads of their own, who note all that they are told: by hand, and with the client's watch."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any
from uuid import uuid4

import grpc

from advisor_matching.v1.event_service_pb2 import WatchProjectEventsRequest
from matching_client import MatchingClient, MatchingError, Watch
from matching_client.signing import START_HEADER
from matching_client.status_details import from_rpc_error
from tests.support.watch_history import Connection, Watcher

_PAUSE_SECONDS = 0.05
_JOIN_SECONDS = 30.0
_MOST = 20_000
"""Messages after which somebody leaves, at most."""


@dataclass(frozen=True, slots=True)
class Habits:
    """How somebody watches. Times are seconds, and chosen at random up to these."""

    from_start: bool = False
    types: Sequence[str] = ()
    stays: float = 3.0
    """On one connection."""
    away: float = 0.2
    """Between two."""
    naps: float = 0.0
    """For just so long it reads nothing, once a connection: from its first heartbeat on, when it is up to date."""


class RawWatcher:
    """Watches by bare streams, each on a server of its choice, and goes on from where it was."""

    def __init__(
        self, name: str, project: str, clients: Sequence[MatchingClient], habits: Habits, dice: Random
    ) -> None:
        self.history = Watcher(name, frozenset(habits.types))
        self._project, self._clients, self._habits, self._dice = project, clients, habits, dice
        self._watch_id = str(uuid4())
        self._hurried = threading.Event()
        self._stopping = threading.Event()
        self._call: Any = None
        self._thread = threading.Thread(target=self._run, name=f"watcher-{name}")
        self._thread.start()

    @property
    def position(self) -> str:
        """The id up to which it was told everything; empty where it does not know."""
        return self.history.position

    def hurry(self) -> None:
        """From now on it stays where it is, and sleeps no more."""
        self._hurried.set()

    def stop(self) -> None:
        """Ends it."""
        self._hurried.set()
        self._stopping.set()
        if self._call is not None:
            self._call.cancel()
        self._thread.join(_JOIN_SECONDS)
        assert not self._thread.is_alive()

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._connect()
            self._hurried.wait(self._dice.uniform(0, self._habits.away))
            self._stopping.wait(_PAUSE_SECONDS)

    def _connect(self) -> None:
        position = self.history.position
        connection = Connection(position, self._habits.from_start and not position)
        self.history.connections.append(connection)
        request = WatchProjectEventsRequest(
            project_id=self._project,
            last_event_id=connection.resumed_from,
            from_start=connection.from_start,
            types=self._habits.types,
            watch_id=self._watch_id,
        )
        stays = _JOIN_SECONDS if self._hurried.is_set() else self._dice.uniform(0.1, self._habits.stays)
        client = self._dice.choice(self._clients)
        self._call = client.stubs.event.WatchProjectEvents(request, timeout=stays + 2 * self._habits.naps)
        try:
            connection.start = str(dict(self._call.initial_metadata()).get(START_HEADER, ""))
            self._read(connection)
        except grpc.RpcError as error:
            ended = from_rpc_error(error)
            connection.end = ended.reason or ended.code.name

    def _read(self, connection: Connection) -> None:
        leaves = int(self._dice.triangular(1, _MOST, 1))
        tired = self._habits.naps > 0
        for number, response in enumerate(self._call, 1):
            connection.hear(response.event)
            if tired and response.event.HasField("heartbeat"):
                tired = False
                self._hurried.wait(self._habits.naps)
            elif number == leaves and not self._hurried.is_set():
                self._call.cancel()
        connection.end = "OK"


class ClientWatcher:
    """Watches with the client's ``watch``, which hides its connections: here they are one."""

    def __init__(self, name: str, project: str, client: MatchingClient, habits: Habits) -> None:
        self.history = Watcher(name, frozenset(habits.types))
        self._open: Callable[[], Watch] = lambda: client.watch(
            project,
            from_start=habits.from_start,
            types=habits.types,
            heartbeat_interval=1,
            timeout=_JOIN_SECONDS,
        )
        self._watch: Watch | None = None
        self._from_start = habits.from_start
        self._thread = threading.Thread(target=self._run, name=f"watcher-{name}")
        self._thread.start()

    @property
    def position(self) -> str:
        """The id up to which it was told everything; empty where it does not know."""
        return self._watch.last_event_id if self._watch is not None else ""

    def hurry(self) -> None:
        """Nothing: it always does."""

    def stop(self) -> None:
        """Ends it."""
        if self._watch is not None:
            self._watch.close()
        self._thread.join(_JOIN_SECONDS)
        assert not self._thread.is_alive()

    def _run(self) -> None:
        with self._open() as watch:
            self._watch = watch
            # The place of a watch is its last event or heartbeat: here, before any, the start.
            connection = Connection(from_start=self._from_start, start=watch.last_event_id)
            self.history.connections.append(connection)
            try:
                for event in watch:
                    connection.hear(event)
            except MatchingError as error:
                connection.end = error.reason or error.code.name
