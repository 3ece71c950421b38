"""Whether calls that are made at the same time get the advisors that they would get one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count, islice
from uuid import UUID

from benchmarks.harness import calls, exact, seed
from benchmarks.harness.effort import FULL, Effort
from benchmarks.harness.load import GrpcLoad, Window
from benchmarks.harness.results import BenchmarkError, Comparison, Goal, Outcome, Row
from benchmarks.harness.stage import Stage
from matching_server.domain.model import (
    AdvisorSummary,
    AvailabilityPreferences,
    AvailabilityStatus,
    ProjectComplexity,
    ScoringWeights,
    TechStack,
)
from matching_server.domain.scoring import PoolAdvisor, RankingRequest
from tests.unit.domain import naive_ranking

POOLS = (seed.profiles(40, slots=(100, 100)), seed.profiles(60, slots=(60, 100)))
"""One on each side of 50, from where on the ranking is by score; in the second, slots and scores differ."""
WAYS = ((8, 1), (8, 4), (16, 1), (16, 4))
"""Callers and servers."""
SERVERS = 4
KINDS = 12
CALLS = 180
"""Of a run. All runs together take fewer slots than there are, and each of their projects once."""
MOST_ROUNDS = 4
PROJECTS = CALLS * (1 + MOST_ROUNDS * (1 + len(WAYS)))


def measure(effort: Effort) -> Outcome:
    """The share of right choices, with several callers and servers, against one caller."""
    effort = replace(effort, rounds=min(effort.rounds, MOST_ROUNDS), budget=effort.budget / len(POOLS))
    comparisons = []
    notes = {}
    for advisors in POOLS:
        with Stage() as stage:
            trial = Trial(stage, advisors)
            comparisons += trial.compare(effort)
            notes[f"{len(advisors)} advisors"] = f"{trial.judged} choices judged"
    return Outcome(comparisons, notes=notes)


class Trial:
    """A pool that fills up while its matches are judged, run after run."""

    def __init__(self, stage: Stage, advisors: Sequence[seed.Profile]) -> None:
        url = stage.database()
        self.judged = 0
        self._conn = stage.connect(url)
        self._projects = count()
        self._pool = ExactPool(advisors, seed.stacks(KINDS))
        seed.insert_projects(self._conn, PROJECTS, seed.stacks(KINDS))
        seed.insert_advisors(self._conn, advisors)
        for statement in _OBSERVE:
            self._conn.execute(statement)
        self._servers = [stage.server(url) for _ in range(SERVERS)]
        self._load = stage.load()

    def compare(self, effort: Effort) -> list[Comparison]:
        """Each way of calling in its turn, and one caller as often."""
        size, goal = self._pool.size, Goal(0.99, 1.0)
        of = {
            (callers, servers): Comparison(
                f"{size} advisors, {callers} callers, {servers} {'server' if servers == 1 else 'servers'}",
                f"{callers} callers",
                "1 caller",
                "share of right choices",
                goal,
            )
            for callers, servers in WAYS
        }
        calls_ = max(16, round(CALLS * min(1.0, effort.seconds / FULL.seconds)))
        self._run(calls_ // 4, callers=SERVERS, servers=SERVERS)
        for _ in effort.turns(f"quality with {size} advisors"):
            serial = self._run(calls_, callers=1, servers=1)
            for (callers, servers), comparison in of.items():
                comparison.add(self._run(calls_, callers=callers, servers=servers), serial)
        return list(of.values())

    def _run(self, calls_: int, *, callers: int, servers: int) -> float:
        """The share of so many matches that were right."""
        used = self._servers[:servers]
        projects = list(islice(self._projects, calls_))
        # Any of the servers takes the signature: they share their key.
        made = calls.create_match(used[0], projects)
        addresses = tuple(server.address for server in used)
        window = self._load.run(GrpcLoad(addresses, calls.CREATE_MATCH, made, callers))
        calls.assert_matched(window.answers)
        claims = self._claims(projects, window)
        self.judged += calls_
        self._pool.projects = {seed.project_id(number): number for number in projects}
        return exact.right_choices(claims, self._pool.best, self._pool.took) / calls_

    def _claims(self, projects: Sequence[int], window: Window) -> list[exact.Claim]:
        """What was claimed for these projects, by the calls of the window."""
        seen = {project: rest for project, *rest in self._conn.execute(_CLAIMS).fetchall()}
        self._conn.execute("TRUNCATE benchmark_claims")
        if seen.keys() != {seed.project_id(number) for number in projects}:
            raise BenchmarkError(f"{len(projects)} matches were made, and {len(seen)} claims seen")
        claims = []
        for number, start, latency in zip(projects, window.starts, window.latencies, strict=True):
            project = seed.project_id(number)
            advisor, claimed, assigned = seen[project]
            claims.append(exact.Claim(project, advisor, start, start + latency, claimed, assigned))
        return claims


class ExactPool:
    """The pool as the matches so far have left it, ranked by the naive ranking that the unit tests use, too."""

    def __init__(self, advisors: Sequence[seed.Profile], kinds: Sequence[seed.Stack]) -> None:
        self.projects: dict[UUID, int] = {}
        """The number of each project of the run."""
        self._advisors = {advisor.id: _pool_advisor(advisor) for advisor in advisors}
        self._requests = [_request(kind) for kind in kinds]
        self._moment = datetime.now(UTC)

    @property
    def size(self) -> int:
        """How many advisors there are."""
        return len(self._advisors)

    def best(self, project: UUID) -> UUID:
        """Whom the project should get."""
        request = self._requests[self.projects[project] % len(self._requests)]
        return naive_ranking.ranked(list(self._advisors.values()), request, self._moment)[0][0]

    def took(self, claim: exact.Claim) -> None:
        """One more project for the advisor."""
        before = self._advisors[claim.advisor]
        self._advisors[claim.advisor] = replace(
            before,
            current_projects=before.current_projects + 1,
            last_assigned_at=max(before.last_assigned_at or claim.assigned, claim.assigned),
        )


def _pool_advisor(advisor: seed.Profile) -> PoolAdvisor:
    return PoolAdvisor(
        summary=AdvisorSummary(advisor.id, advisor.name, advisor.skills, (), advisor.rating),
        active=True,
        status=AvailabilityStatus.AVAILABLE,
        current_projects=0,
        max_concurrent_projects=advisor.slots,
        last_assigned_at=None,
        languages=advisor.languages,
        frameworks=advisor.frameworks,
        timezone=advisor.zone,
        preferences=AvailabilityPreferences(
            preferred_complexity=tuple(map(ProjectComplexity, advisor.preferred_complexity))
        ),
    )


def _request(kind: seed.Stack) -> RankingRequest:
    return RankingRequest(
        owner_id=seed.OWNER,
        tech_stack=TechStack(kind.framework, kind.languages, kind.factors),
        complexity=ProjectComplexity(kind.complexity),
        weights=ScoringWeights(40, 35, 15, 10),
        owner_timezone=seed.OWNER_ZONE,
    )


_OBSERVE = (
    "CREATE TABLE benchmark_claims (advisor_id uuid, load int, claimed timestamptz, assigned timestamptz)",
    """
    CREATE FUNCTION benchmark_observe() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO benchmark_claims
        VALUES (NEW.advisor_id, OLD.current_projects, clock_timestamp(), NEW.last_assigned_at);
        RETURN NULL;
    END
    $$
    """,
    """
    CREATE TRIGGER benchmark_observe AFTER UPDATE ON advisor_availability FOR EACH ROW
    WHEN (NEW.current_projects > OLD.current_projects) EXECUTE FUNCTION benchmark_observe()
    """,
)
_CLAIMS = """
    SELECT m.project_id, c.advisor_id, c.claimed, c.assigned
    FROM benchmark_claims c JOIN advisor_match_requests m
        ON m.matched_advisor_id = c.advisor_id AND m.load_at_claim = c.load
"""

_METHOD = """\
Pools of 40 (ranked by load) and of 60 (ranked by score: skills, zones and slots of all kinds), projects of 12 kinds.
The matches are put into an order, and judged in it by the naive exact ranking of the unit tests, each on the loads that
those before it had left. A match whose call was answered before another's was made comes before it; calls that
overlapped may be ordered either way. The order that is found is a good one, not always the best, so the true share is
at the least what is shown. Two calls that both take the advisor who was best before either of them cannot both be
right, unless that advisor still is the best after the first.

One server counts an advisor as taken from the moment of the proposal. Several servers hear of each other's claims once
those have committed, a moment later by Redis: in between, two can hold the same advisor for the best. The claim that
comes second finds a load higher than the one it was ranked with, and is ranked anew on what is stored by then."""

ROWS = (
    Row(
        name="matching_quality",
        title="Matching quality under load, share of right choices",
        against="one caller",
        method=_METHOD,
        measure=measure,
    ),
)
