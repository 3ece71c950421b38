"""When each event of a project was received."""

from __future__ import annotations

import threading
import time

from advisor_matching.v1.types_pb2 import ProjectEvent
from matching_client import MatchingClient, Watch
from tests.support.wait import eventually
from tests.support.world import World


class Receipts:
    """Reads a watch in a thread of its own, and notes when each event came."""

    def __init__(self, client: MatchingClient, project: str) -> None:
        self.received: list[tuple[ProjectEvent, float]] = []
        self._watch: Watch = client.watch(project)
        self._thread = threading.Thread(target=self._run, name="receipts")
        self._thread.start()

    def __enter__(self) -> Receipts:
        return self

    def __exit__(self, *_: object) -> None:
        self._watch.close()
        self._thread.join(10)
        assert not self._thread.is_alive()

    def _run(self) -> None:
        for event in self._watch:
            self.received.append((event, time.time()))

    def delays(self, first: int) -> list[float]:
        """Seconds from when each event happened to its receipt, from that one on."""
        return [at - event.timestamp.ToNanoseconds() / 1e9 for event, at in self.received[first:]]


def delays_of_more(world: World, project: str, receipts: Receipts) -> list[float]:
    """How long events take that are made by calls to another server: an offer and its refusal, twice."""
    first = len(receipts.received)
    for _ in range(2):
        match = world.service(server=1).create_match(project, allow_previous=True, timeout=5).match
        world.client(project, server=1).submit_client_decision(match.id, "DECISION_DECLINED", timeout=5)
    eventually(lambda: len(receipts.received) >= first + 4, what=f"{first + 4} events are seen")
    return receipts.delays(first)
