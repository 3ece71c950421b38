"""How the time to match grows with the pool."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count

from advisor_matching.v1.types_pb2 import MatchCriteria, ProjectComplexity, ScoringWeights, TechStack
from benchmarks.harness import calls, seed
from benchmarks.harness.effort import Effort
from benchmarks.harness.load import GrpcLoad, LoadGenerator
from benchmarks.harness.processes import memory_of
from benchmarks.harness.results import BenchmarkError, Comparison, Goal, Limit, Outcome, Row
from benchmarks.harness.stage import Server, Stage

SIZES = (50, 1_000, 10_000, 100_000)
SMALLEST, LARGEST = SIZES[0], SIZES[-1]
PROJECTS = 5_000
MOST_CALLS = 200
"""Of a turn. The smallest pool has 5,000 slots, for all turns together."""
CALL_SECONDS = 120.0
MEMORY_MB = 500.0


@dataclass(slots=True)
class Pool:
    """A pool of one size, in a database and with a server of its own."""

    size: int
    server: Server
    excluded: list[str]
    turns: list[float] = field(default_factory=list)
    """p50 of each turn, in milliseconds."""
    projects: count[int] = field(default_factory=count)

    def turn(self, load: LoadGenerator, seconds: float) -> None:
        """Calls one by one, as many as the time allows; of one that was begun the end is waited for."""
        projects = (next(self.projects) for _ in range(MOST_CALLS))
        made = calls.create_match(self.server, projects, _criteria(self.excluded))
        address = (self.server.address,)
        try:
            window = load.run(GrpcLoad(address, calls.CREATE_MATCH, made, 1, CALL_SECONDS, budget=seconds))
        except BenchmarkError as error:
            raise BenchmarkError(f"with {self.size:,} advisors, {error}") from None
        calls.assert_matched(window.answers)
        self.turns.append(window.p50)


def measure(effort: Effort) -> Outcome:
    """Median latency of one caller, for pools of 50 to 100,000."""
    with Stage() as stage:
        pools = {size: _pool(stage, size) for size in SIZES}
        load = stage.load()
        for pool in pools.values():
            pool.turn(load, effort.seconds)
            pool.turns.clear()
        shares = []
        for strangers in effort.turns("pool sizes"):
            for pool in pools.values():
                pool.turn(load, effort.seconds)
            shares.append(strangers.share())
        for size in SIZES[:-1]:
            stage.end(pools[size].server.pid)
        limits = [
            Limit("server at 100,000", memory_of(pools[LARGEST].server.pid), MEMORY_MB, "MB"),
            Limit("Postgres at 100,000", memory_of(stage.services.postgres.pid), MEMORY_MB, "MB"),
        ]
    return Outcome([_comparison(pools, size, shares) for size in SIZES[1:]], limits)


def _pool(stage: Stage, size: int) -> Pool:
    url = stage.database()
    conn = stage.connect(url)
    seed.insert_projects(conn, PROJECTS, seed.stacks(1))
    stage.seed(url, size)
    # The smallest pool must have a slot for every call, and the others be no different.
    conn.execute(
        "UPDATE advisor_availability SET max_concurrent_projects = 100,"
        " availability_preferences = availability_preferences - 'auto_accept'"
    )
    conn.execute("VACUUM ANALYZE")
    excluded = conn.execute("SELECT id FROM advisors ORDER BY id LIMIT 3").fetchall()
    return Pool(size, stage.server(url), [str(id_) for (id_,) in excluded])


def _criteria(excluded: list[str]) -> MatchCriteria:
    """All that can be asked for."""
    return MatchCriteria(
        tech_stack=TechStack(
            framework="react",
            languages=["typescript", "python"],
            complexity_factors=["payments", "accessibility", "e-commerce"],
        ),
        scoring_weights=ScoringWeights(availability=30, skills=40, timezone=20, preference=10),
        project_complexity=ProjectComplexity.PROJECT_COMPLEXITY_COMPLEX,
        exclude_advisor_ids=excluded,
    )


def _comparison(pools: dict[int, Pool], size: int, shares: list[float]) -> Comparison:
    goal = Goal(3.0, 2.0, "lower") if size == LARGEST else None
    comparison = Comparison(f"{size:,} advisors", f"{size:,} advisors", f"{SMALLEST} advisors", "ms", goal)
    for turns in zip(pools[size].turns, pools[SMALLEST].turns, shares, strict=True):
        comparison.add(*turns)
    return comparison


_METHOD = """\
One caller, all criteria given (technologies, weights, complexity, three exclusions); advisors of all kinds, made by
`matching-server seed`, each free and with 100 slots. Every size has a database and a server process of its own on one
Postgres, and they take turns. Memory is the proportional set size of the largest pool's server, and of all of
Postgres, at the end, when the other servers have ended."""

ROWS = (
    Row(
        name="pool_size",
        title="CreateMatch, p50 with 100,000 free advisors",
        against="the same with 50",
        method=_METHOD,
        measure=measure,
        axis="sizes",
    ),
)
