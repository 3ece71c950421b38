"""From a commit to a watcher, against Redis PUBLISH to a subscriber."""

from __future__ import annotations

import itertools
import statistics
import time
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing.connection import Connection as Pipe
from typing import Any
from uuid import UUID, uuid4

import grpc
import orjson
import redis

from advisor_matching.v1.event_service_pb2 import WatchProjectEventsResponse
from benchmarks.harness import calls, seed
from benchmarks.harness.effort import FULL, Effort
from benchmarks.harness.processes import settle
from benchmarks.harness.remote import Remote
from benchmarks.harness.results import Comparison, Goal, Limit, Outcome, Row
from benchmarks.harness.stage import Server, Stage
from benchmarks.harness.watchers import Receipt, Watchers
from matching_server.backend import Backend
from matching_server.domain.calls import Call
from matching_server.domain.event_json import event_to_json
from matching_server.domain.events import ChatMessage, ProjectEvent
from matching_server.domain.model import Caller, Role
from matching_server.operations import chat
from matching_server.operations.commands import SendMessage

STREAMS = 1_000
EVENTS_A_SECOND = 100
TURN = 2.0
"""Times the usual turn: a 99th percentile takes many events."""
SENDERS = 4
"""Threads that commit or publish, so that one that takes long does not hold up the next."""
LIMIT_MS = 100.0
_PATIENCE_SECONDS = 10.0
_PLATFORM = Caller(UUID(int=2), "platform@example.com", frozenset({Role.SERVICE}))

Moments = dict[UUID, float]
"""When it happened, by what it happened to."""


@dataclass(frozen=True, slots=True)
class Turn:
    """Milliseconds that each event took."""

    taken: list[float]

    @classmethod
    def between(cls, began: Moments, ended: Moments) -> Turn:
        """From each beginning to its end."""
        return cls(sorted(1000 * (ended[id_] - at) for id_, at in began.items()))

    @property
    def p50(self) -> float:
        """The median."""
        return statistics.median(self.taken)

    @property
    def p99(self) -> float:
        """What one in a hundred exceeds."""
        return self.taken[int(0.99 * (len(self.taken) - 1))]


class Subscriber(Remote):
    """A process with one redis-py subscriber and nothing else."""

    def __init__(self) -> None:
        super().__init__(_subscribe, "subscriber")

    def listen(self, url: str, channels: list[str], count: int) -> None:
        """Subscribes; returns once it hears."""
        self.ask((url, channels, count))

    def heard(self) -> Moments:
        """Waits for all that was to come, and says when it came."""
        moments: Moments = self.ask(None)
        return moments


def _subscribe(pipe: Pipe) -> None:
    while True:
        try:
            url, channels, count = pipe.recv()
        except EOFError:
            return
        with redis.Redis.from_url(url) as client, client.pubsub() as pubsub:
            pubsub.subscribe(*channels)
            for _ in channels:
                pubsub.get_message(timeout=_PATIENCE_SECONDS)
            pipe.send(True)
            came: list[tuple[bytes, float]] = []
            while len(came) < count:
                message = pubsub.get_message(timeout=_PATIENCE_SECONDS)
                if message is None:
                    break
                came.append((message["data"], time.perf_counter()))
        pipe.recv()
        if len(came) < count:
            pipe.send(f"{count} messages were published, and the subscriber heard {len(came)}")
        else:
            pipe.send({UUID(orjson.loads(data)["payload"]["client_msg_id"]): at for data, at in came})


class Ours:
    """A server with the streams, another one, which is this process, and the moments of its commits."""

    def __init__(self, stage: Stage, streams: int) -> None:
        url = stage.database()
        seed.insert_projects(stage.connect(url), streams, seed.stacks(12))
        self.projects = [seed.project_id(number) for number in range(streams)]
        self._committed: Moments = {}
        self.event: ProjectEvent | None = None
        self._replica: Backend = stage.replica(url, show=self._note)
        self._server: Server = stage.server(url)
        self._watchers: Watchers = stage.watchers()
        made = calls.watch(self._server, self.projects)
        self._watchers.open(self._server.address, calls.WATCH, made, marker=b"message.new")
        settle(self._server.pid)
        self._channel = grpc.insecure_channel(self._server.address)
        self._send: Any = self._channel.unary_unary(calls.SEND_MESSAGE)

    def _note(self, events: list[ProjectEvent]) -> None:
        """Called right after COMMIT was answered, by whoever committed."""
        now = time.perf_counter()
        for event in events:
            assert isinstance(event.payload, ChatMessage)
            self._committed[UUID(event.payload.client_msg_id)] = now
            self.event = event

    def across(self, count: int) -> Turn:
        """Committed by the one server, seen by a watcher of the other."""
        self._committed.clear()
        places = itertools.cycle(self.projects)

        def commit() -> None:
            command = SendMessage(next(places), calls.TEXT, uuid4())
            chat.send_message(self._replica.runner, Call(_PLATFORM, uuid4().hex), command)

        _paced(count, commit)
        return Turn.between(self._committed, self._seen(count))

    def within(self, count: int) -> tuple[Turn, Turn]:
        """Asked for and seen at one server: from the call's beginning to the receipt, and to its answer."""
        asked: Moments = {}
        answered: Moments = {}
        places = itertools.cycle(self.projects)

        def call() -> None:
            id_ = uuid4()
            (made,) = calls.send_message(self._server, [(next(places), id_)])
            asked[id_] = time.perf_counter()
            self._send(made.body, metadata=made.metadata, timeout=_PATIENCE_SECONDS)
            answered[id_] = time.perf_counter()

        _paced(count, call)
        return Turn.between(asked, self._seen(count)), Turn.between(asked, answered)

    def _seen(self, count: int) -> Moments:
        return {_message_id(receipt): receipt.at for receipt in self._watchers.hear(count).receipts}

    def close(self) -> None:
        """Closes the channel that calls are made over."""
        self._channel.close()


def _message_id(receipt: Receipt) -> UUID:
    return UUID(WatchProjectEventsResponse.FromString(receipt.body).event.message.client_msg_id)


class Theirs:
    """Redis, a publisher in this process, and a subscriber in one of its own."""

    def __init__(self, stage: Stage, subscriber: Subscriber, event: ProjectEvent, channels: int) -> None:
        self._url = stage.services.redis_url
        self._client = redis.Redis.from_url(self._url)
        self._subscriber = subscriber
        self._channels = [f"bench:{number}" for number in range(channels)]
        self._event = event_to_json(event)

    def turn(self, count: int) -> Turn:
        """From just before PUBLISH to the receipt."""
        published: Moments = {}
        places = itertools.cycle(self._channels)

        def publish() -> None:
            id_ = uuid4()
            payload = self._event["payload"] | {"client_msg_id": str(id_)}
            message = orjson.dumps(self._event | {"payload": payload})
            published[id_] = time.perf_counter()
            self._client.publish(next(places), message)

        self._subscriber.listen(self._url, self._channels, count)
        _paced(count, publish)
        return Turn.between(published, self._subscriber.heard())

    def close(self) -> None:
        """Closes the publisher's connections."""
        self._client.close()


def _paced(count: int, do: Callable[[], None]) -> None:
    """Does it so many times, at an even pace whatever one takes."""
    with ThreadPoolExecutor(SENDERS) as pool:
        began = time.perf_counter()
        done = []
        for number in range(count):
            time.sleep(max(0.0, began + number / EVENTS_A_SECOND - time.perf_counter()))
            done.append(pool.submit(do))
        for future in done:
            future.result()


def measure(effort: Effort) -> Outcome:
    """p99 at 100 events/s over 1,000 streams, or fewer where it is to be short."""
    streams = round(STREAMS * min(1.0, effort.seconds / FULL.seconds))
    count = max(20, round(TURN * effort.seconds * EVENTS_A_SECOND))
    p99 = Comparison("p99, other server", "service", "Redis", "ms", Goal(5.0, 2.0, "lower"))
    p50 = Comparison("p50, other server", "service", "Redis", "ms")
    all_: dict[str, list[float]] = defaultdict(list)
    with Stage() as stage, Subscriber() as subscriber:
        ours = Ours(stage, streams)
        ours.across(20)
        assert ours.event is not None
        theirs = Theirs(stage, subscriber, ours.event, streams)
        ours.within(20)
        theirs.turn(20)
        for strangers in effort.turns("events to one of many streams"):
            across, published = ours.across(count), theirs.turn(count)
            p99.add(across.p99, published.p99, strangers.share())
            p50.add(across.p50, published.p50, strangers.share())
            receipt, answer = ours.within(count)
            for what, turn in (("across", across), ("receipt", receipt), ("answer", answer)):
                all_[what] += turn.taken
        ours.close()
        theirs.close()
    spread = {what: Turn(sorted(taken)) for what, taken in all_.items()}
    told = {what: {"p50": round(turn.p50, 2), "p99": round(turn.p99, 2)} for what, turn in spread.items()}
    notes = {
        "ms from the commit to the receipt at another server, all rounds": told["across"],
        "ms from a call's beginning to the receipt at the same server": told["receipt"],
        "ms from a call's beginning to its answer": told["answer"],
    }
    middle = statistics.median(round_.ours for round_ in p99.counted)
    limit = Limit("median of the rounds' p99", middle, LIMIT_MS, "ms", what="Time")
    return Outcome([p99, p50], [limit], notes)


_METHOD = """\
1,000 streams at one server, each of another project and another caller. The events are chat messages, 100 a second at
an even pace, to one project after the other; they are committed by another server: the benchmark's own process runs
the service's back end, with its pool of connections and its publisher. The clock starts there right after COMMIT was
answered; the publisher tells Redis, the server under test hears it and sends; the clock stops in the watchers' process
(all processes of a machine share it). Against it PUBLISH of as many bytes, at the same pace to as many channels, to
one redis-py subscriber in a process of its own, from just before the call to its receipt. A turn is 6 s; its 99th
percentile counts. The watchers read bare HTTP/2, as the subscriber reads bare Redis: a client made with grpcio would
add what it takes itself.

Shown beside it: the median; and the way within one server, from the beginning of a SendMessage call, signed and with
its transaction, to the receipt, and to the call's own answer."""

ROWS = (
    Row(
        name="event_latency",
        title="From the commit to a watcher, p99 at 100 events/s",
        against="Redis PUBLISH to a bare subscriber",
        method=_METHOD,
        measure=measure,
    ),
)
