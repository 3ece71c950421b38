"""GetAvailability, against a bare grpcio server that answers as many bytes."""

from __future__ import annotations

import statistics
from itertools import cycle, islice

from benchmarks.harness import calls, seed
from benchmarks.harness.effort import Effort
from benchmarks.harness.load import GrpcCall, GrpcLoad, LoadGenerator
from benchmarks.harness.results import Comparison, Goal, Outcome, Row
from benchmarks.harness.stage import Server, Stage
from matching_server.config import Settings

ADVISORS = 100
CALLERS = 8
WARM_UP = 300
MOST_CALLS = 20_000


def measure(effort: Effort) -> Outcome:
    """Calls/s at 8 callers."""
    comparison = Comparison("8 callers", "GetAvailability", "grpcio echo", "calls/s", Goal(0.3, 0.45))
    generator: list[float] = []
    with Stage() as stage:
        url = stage.database()
        advisors = seed.profiles(ADVISORS)
        seed.insert_advisors(stage.connect(url), advisors)
        server, load = stage.server(url), stage.load()
        (first,) = calls.get_availability(server, [advisors[0].id])
        (answer,) = load.run(GrpcLoad((server.address,), calls.GET_AVAILABILITY, [first], 1)).answers
        threads: int = Settings.model_fields["rpc_threads"].default
        echo = stage.echo(threads=threads, answer_bytes=len(answer))
        for strangers in effort.turns("GetAvailability and echo"):
            rate, used = _ours(load, server, advisors, effort.seconds)
            comparison.add(rate, _echo(load, echo, first.body, effort.seconds), strangers.share())
            generator.append(used)
    notes = {
        "bytes of a request": len(first.body),
        "bytes of an answer": len(answer),
        "threads of either server": threads,
        "µs of the generator's CPU a call": round(statistics.median(generator)),
    }
    return Outcome([comparison], notes=notes)


def _ours(
    load: LoadGenerator, server: Server, advisors: list[seed.Profile], seconds: float
) -> tuple[float, float]:
    ids = cycle(advisor.id for advisor in advisors)

    def run(count: int) -> GrpcLoad:
        made = calls.get_availability(server, islice(ids, count))
        return GrpcLoad((server.address,), calls.GET_AVAILABILITY, made, CALLERS)

    warm = load.run(run(WARM_UP))
    window = load.run(run(_count(warm.rate, seconds)))
    return window.rate, 1e6 * window.generator_seconds / len(window.answers)


def _echo(load: LoadGenerator, address: str, body: bytes, seconds: float) -> float:
    def run(count: int) -> GrpcLoad:
        return GrpcLoad((address,), "/bench.Echo/Echo", [GrpcCall(body)] * count, CALLERS)

    warm = load.run(run(WARM_UP))
    return load.run(run(_count(warm.rate, seconds))).rate


def _count(rate: float, seconds: float) -> int:
    return min(MOST_CALLS, max(CALLERS, round(rate * seconds)))


_METHOD = """\
8 calls in flight, each signed and for another of 100 advisors, against a `grpc.server` with as many threads whose
only handler answers at once with as many bytes. The echo's calls carry the same request and no signature: what
headers and their check cost is part of what is asked.

Of the time under the interpreter's lock (py-spy, `--gil`), gRPC's own Python takes about a third, asking Redis and
reading what it no longer holds a quarter, the log line a seventh. An answer is kept for 1.4 s at most, so that a
writer who cannot reach Redis is never hidden for longer than 2 s; with many more advisors in turn most reads miss,
and the ratio is lower."""

ROWS = (
    Row(
        name="get_availability",
        title="GetAvailability, calls/s",
        against="a bare grpcio server",
        method=_METHOD,
        measure=measure,
    ),
)
