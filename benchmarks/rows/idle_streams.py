"""What a stream on which nothing happens costs a server."""

from __future__ import annotations

from dataclasses import dataclass

import psutil

from benchmarks.harness import calls, seed
from benchmarks.harness.effort import FULL, Effort
from benchmarks.harness.load import GrpcCall
from benchmarks.harness.processes import settle
from benchmarks.harness.results import Comparison, Limit, Outcome, Row
from benchmarks.harness.stage import Stage
from matching_server.config import Settings
from matching_server.streams import hub

STREAMS = 5_000
STEPS = 5
LIMIT_KB, THEN_KB = 40.0, 30.0
MORE_THREADS = 8
"""Than with a fifth of the streams, when the pools of threads have filled."""


@dataclass(frozen=True, slots=True)
class Size:
    """A process."""

    kilobytes: float
    """What it alone has in memory (USS)."""
    threads: int

    @classmethod
    def of(cls, pid: int) -> Size:
        """As it is once it has done what was left to do."""
        settle(pid)
        process = psutil.Process(pid)
        return cls(process.memory_full_info().uss / 1e3, process.num_threads())


def measure(effort: Effort) -> Outcome:
    """Memory a stream and threads, over 5,000 streams of as many projects, or fewer where it is to be short."""
    step = round(STREAMS / STEPS * min(1.0, effort.seconds / FULL.seconds))
    streams = STEPS * step
    comparison = Comparison(f"each further {step:,} streams", "service", "bare grpcio", "kB a stream")
    with Stage() as stage:
        url = stage.database()
        seed.insert_projects(stage.connect(url), streams, seed.stacks(12))
        server, watchers, others = stage.server(url), stage.watchers(), stage.watchers()
        threads: int = Settings.model_fields["rpc_threads"].default
        pid, address = stage.fanout(threads=threads, senders=hub._SENDERS)
        ours, theirs = [Size.of(server.pid)], [Size.of(pid)]
        for first in range(0, streams, step):
            projects = [seed.project_id(number) for number in range(first, first + step)]
            watchers.open(server.address, calls.WATCH, calls.watch(server, projects), keep=False)
            ours.append(Size.of(server.pid))
            others.open(address, "/bench.Fanout/Watch", [GrpcCall(b"")] * step, keep=False)
            theirs.append(Size.of(pid))
            grown = [(sizes[-1].kilobytes - sizes[-2].kilobytes) / step for sizes in (ours, theirs)]
            comparison.add(*grown)
    each = (ours[-1].kilobytes - ours[0].kilobytes) / streams
    more = ours[-1].threads - ours[1].threads
    return Outcome(
        [comparison],
        [
            Limit(f"a stream of {streams:,}", each, LIMIT_KB, "kB", then=THEN_KB),
            Limit(
                f"more with {streams:,} streams than with {step:,}", more, MORE_THREADS, "", what="Threads"
            ),
        ],
        {
            "threads of the server": {
                "with 0 streams": ours[0].threads,
                f"with {step:,}": ours[1].threads,
                "with all": ours[-1].threads,
            },
            "MB of the server": {
                "with 0 streams": round(ours[0].kilobytes / 1e3),
                "with all": round(ours[-1].kilobytes / 1e3),
            },
            "kB a stream of the bare server, from 0 to all": round(
                (theirs[-1].kilobytes - theirs[0].kilobytes) / streams, 1
            ),
        },
    )


_METHOD = """\
5,000 streams of as many projects, each of another caller, opened in five steps, each over 8 connections of its own.
Memory is what the server process alone has (USS), once it has done what was left to do after a step, less what it had
before the first; everything counts that comes with the streams, such as the pools of threads and connections that fill
up meanwhile. Threads are compared between the first step and the last, when those pools have filled; a few more may be
there, since the pool of calls is as large as ever were there at once.

Shown beside it: each step's growth, against the same of `benchmarks/grpc_fanout.py`, a bare `grpc.server` whose
streams are answered from callbacks. That much a stream takes in grpcio alone."""

ROWS = (
    Row(
        name="idle_streams",
        title="5,000 idle streams",
        against="streams of a bare grpcio server (shown, not judged)",
        method=_METHOD,
        measure=measure,
    ),
)
