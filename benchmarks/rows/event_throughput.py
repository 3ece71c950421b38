"""Events to 1,000 streams of one project, against a bare grpcio server that sends as much."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from uuid import uuid4

from benchmarks.harness import calls, seed
from benchmarks.harness.effort import FULL, Effort
from benchmarks.harness.load import GrpcCall, GrpcLoad, LoadGenerator
from benchmarks.harness.processes import cpu_seconds_of, settle
from benchmarks.harness.results import Comparison, Goal, Outcome, Row
from benchmarks.harness.stage import Server, Stage
from benchmarks.harness.watchers import Watchers
from matching_server.config import Settings
from matching_server.streams import hub

STREAMS = 1_000
PROJECT = seed.project_id(0)
CALLERS = 2
WARM_UP = 5
MOST_EVENTS = 400
"""Of a turn: fewer than may wait for a reader, so that none is ever cut."""


@dataclass(frozen=True, slots=True)
class Side:
    """A server with its streams open, and how an event comes to it."""

    pid: int
    address: str
    method: str
    make: Callable[[int], Sequence[GrpcCall]]
    watchers: Watchers


@dataclass(frozen=True, slots=True)
class Turn:
    """What a side did in its turn."""

    rate: float
    """Messages a second, over all streams."""
    cpu: dict[str, float]
    """Microseconds of CPU a message, by who took them."""


def measure(effort: Effort) -> Outcome:
    """Messages/s over 1,000 streams, or fewer where it is to be short."""
    streams = round(STREAMS * min(1.0, effort.seconds / FULL.seconds))
    comparison = Comparison(f"{streams:,} streams", "service", "bare grpcio", "messages/s", Goal(0.5, 0.8))
    cpu: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    with Stage() as stage:
        url = stage.database()
        seed.insert_projects(stage.connect(url), 1, seed.stacks(1))
        server, load = stage.server(url), stage.load()
        watchers = stage.watchers()
        message = _message(load, watchers, server)
        ours = _service(watchers, server, streams)
        theirs = _bare(stage, message, streams)
        for strangers in effort.turns("events to many streams"):
            turns = {
                comparison.ours: _turn(load, ours, streams, effort.seconds),
                comparison.theirs: _turn(load, theirs, streams, effort.seconds),
            }
            ours_rate, theirs_rate = (turn.rate for turn in turns.values())
            comparison.add(ours_rate, theirs_rate, strangers.share())
            for side, turn in turns.items():
                for who, used in turn.cpu.items():
                    cpu[side][who].append(used)
    spent = {
        side: {who: round(statistics.median(used), 1) for who, used in by.items()} for side, by in cpu.items()
    }
    return Outcome([comparison], notes={"bytes of a message": len(message), "µs of CPU a message": spent})


def _message(load: LoadGenerator, watchers: Watchers, server: Server) -> bytes:
    """One message as it goes over the wire."""
    watchers.open(server.address, calls.WATCH, calls.watch(server, [PROJECT]))
    load.run(GrpcLoad((server.address,), calls.SEND_MESSAGE, _messages(server, 1), 1))
    (receipt,) = watchers.hear(1).receipts
    watchers.close()
    return receipt.body


def _service(watchers: Watchers, server: Server, streams: int) -> Side:
    made = calls.watch(server, [PROJECT] * streams)
    watchers.open(server.address, calls.WATCH, made, marker=b"message.new", keep=False)
    settle(server.pid)
    return Side(server.pid, server.address, calls.SEND_MESSAGE, partial(_messages, server), watchers)


def _messages(server: Server, number: int) -> list[GrpcCall]:
    return calls.send_message(server, ((PROJECT, uuid4()) for _ in range(number)))


def _bare(stage: Stage, message: bytes, streams: int) -> Side:
    threads: int = Settings.model_fields["rpc_threads"].default
    pid, address = stage.fanout(threads=threads, senders=hub._SENDERS)
    watchers = stage.watchers()
    calls_ = [GrpcCall(b"")] * streams
    watchers.open(address, "/bench.Fanout/Watch", calls_, marker=b"message.new", keep=False)
    return Side(pid, address, "/bench.Fanout/Publish", lambda events: [GrpcCall(message)] * events, watchers)


def _turn(load: LoadGenerator, side: Side, streams: int, seconds: float) -> Turn:
    warm = _run(load, side, streams, WARM_UP)
    return _run(load, side, streams, max(1, min(MOST_EVENTS, round(warm.rate * seconds / streams))))


def _run(load: LoadGenerator, side: Side, streams: int, events: int) -> Turn:
    """So many events, and from the first call's beginning until the last message has come."""
    before = cpu_seconds_of(side.pid)
    window = load.run(GrpcLoad((side.address,), side.method, side.make(events), CALLERS))
    heard = side.watchers.hear(events * streams)
    used = {"server": cpu_seconds_of(side.pid) - before, "reader": heard.seconds}
    return Turn(
        heard.count / (heard.last - window.starts[0]),
        {who: 1e6 * taken / heard.count for who, taken in used.items()},
    )


_METHOD = """\
1,000 streams of one project, each of another caller; two SendMessage calls at a time at the same server, each of which
is one event to every stream, from the first call's beginning until the last message has come. So the calls, their
signatures and their transactions are in our figure. Against it `benchmarks/grpc_fanout.py`: a `grpc.server` that
answers its streams from callbacks as the service does, with as many sending threads (4), each with a quarter of the
streams; two calls at a time bring it the bytes of one such message, which it passes on as they are: it has no log, no
queue a stream, no limit to what may wait, no rights, heartbeats or resuming. One reader for both sides, 8 connections
of bare HTTP/2, which takes a half or less of what either server takes over a message, and so is not what bounds them; a
reader made with grpcio's asyncio takes about as long over a message as the bare server."""

ROWS = (
    Row(
        name="event_throughput",
        title="Events delivered/s to 1,000 streams of one project",
        against="a bare grpcio server of streams",
        method=_METHOD,
        measure=measure,
    ),
)
