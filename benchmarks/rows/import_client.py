"""Importing the client, against importing grpc alone."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from tempfile import TemporaryDirectory

from benchmarks.harness.effort import Effort
from benchmarks.harness.results import Comparison, Goal, Outcome, Row

PACKAGE = "import matching_client"
CLIENT = "from matching_client import MatchingClient"
GRPC = "import grpc"
_ALONE = "pass"


def measure(effort: Effort) -> Outcome:
    """The time that a new interpreter takes for it, beyond what it takes to start."""
    package = Comparison(f"`{PACKAGE}`", "matching_client", "grpc", "ms", Goal(1.5, 1.2, "lower"))
    client = Comparison(f"`{CLIENT}`", "MatchingClient", "grpc", "ms")
    starts: list[float] = []
    with TemporaryDirectory() as kept:
        _least(0, kept)
        for strangers in effort.turns("importing"):
            least = _least(effort.seconds, kept)
            share = strangers.share()
            alone = least[_ALONE]
            starts.append(alone)
            package.add(least[PACKAGE] - alone, least[GRPC] - alone, share)
            client.add(least[CLIENT] - alone, least[GRPC] - alone, share)
    return Outcome(
        [package, client], notes={"ms to start the interpreter": round(statistics.median(starts), 1)}
    )


def _least(seconds: float, kept: str) -> dict[str, float]:
    """Milliseconds that each program takes at least, of as many turns as there is time for."""
    taken: dict[str, list[float]] = {program: [] for program in (PACKAGE, CLIENT, GRPC, _ALONE)}
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline or not taken[_ALONE]:
        for program, times in taken.items():
            times.append(_milliseconds(program, kept))
    return {program: min(times) for program, times in taken.items()}


def _milliseconds(program: str, kept: str) -> float:
    environment = os.environ | {"PYTHONPYCACHEPREFIX": kept, "PYTHONDONTWRITEBYTECODE": ""}
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", program], check=True, env=environment)
    return 1000 * (time.perf_counter() - began)


_METHOD = """\
A new interpreter is started for each import, in turns: the package, the package with its client class, grpc, and
nothing at all, all with their bytecode kept. The least time of a turn counts, less that of nothing at all: what else
ran meanwhile only adds.

`import matching_client` loads no more than the names need: messages, stubs and retries come with the first call. A
program that calls needs the client class as well, which is why it is shown beside it."""

ROWS = (
    Row(
        name="import_client",
        title="Importing matching_client",
        against="importing grpc",
        method=_METHOD,
        measure=measure,
    ),
)
