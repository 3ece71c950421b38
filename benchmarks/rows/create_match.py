"""CreateMatch, against what the database alone does, and against what one would write instead."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.harness import calls, pgbench, seed
from benchmarks.harness.effort import Effort
from benchmarks.harness.load import GrpcLoad, HttpLoad, Window
from benchmarks.harness.processes import cpu_seconds_of
from benchmarks.harness.results import BenchmarkError, Comparison, Goal, Outcome, Row
from benchmarks.harness.stage import Stage

SCRIPT = Path(__file__).parents[1] / "create_match.sql"
ADVISORS = 40
SLOTS = 100
PROJECTS = ADVISORS * SLOTS
HISTORY = 10_000
CALLERS = 8
WARM_UP = 200
MOST_CALLS = 3_600
"""Of a turn: with the warm-up, nearly as many as there are slots, so that nobody ever waits for one."""


@dataclass(frozen=True, slots=True)
class Side:
    """Who makes matches, and how: ``calls`` of them by ``callers`` at a time, for the projects from ``first`` on."""

    name: str
    make: Callable[[int, int, int], Window | pgbench.Transactions]
    pid: int | None = None
    """The process that is measured beside Postgres, where there is one."""


@dataclass(frozen=True, slots=True)
class Turn:
    """What a side did in its turn."""

    rate: float
    """Calls a second."""
    p50: float
    """Milliseconds."""
    cpu: dict[str, float]
    """Microseconds of CPU a call, by who took them."""


class Arena:
    """The database of these rows: 40 advisors of 100 slots, projects without a match, and history."""

    def __init__(self, stage: Stage) -> None:
        self.url = stage.database()
        self._postgres = stage.services.postgres.pid
        self._conn = stage.connect(self.url)
        seed.insert_projects(self._conn, PROJECTS + HISTORY, seed.stacks(12))
        seed.insert_advisors(self._conn, seed.profiles(ADVISORS, slots=(SLOTS, SLOTS)))
        seed.insert_history(self._conn, PROJECTS, HISTORY)
        self._began = self._value("SELECT clock_timestamp()")

    def turn(self, side: Side, *, callers: int, seconds: float) -> Turn:
        """A side's turn, from the same state as everybody's: a warm-up, and then what counts.

        Raises:
            BenchmarkError: it did not make exactly as many matches as it was asked for.
        """
        self._reset()
        warm_up = WARM_UP if callers > 1 else WARM_UP // 4
        rate = side.make(warm_up, callers, 0).rate
        calls_ = min(MOST_CALLS, max(callers, round(rate * seconds / callers) * callers))
        before = self._cpu(side)
        made = side.make(calls_, callers, warm_up)
        taken = {name: used - before[name] for name, used in self._cpu(side).items()}
        if isinstance(made, Window):
            taken["generator"] = made.generator_seconds
        self._check(warm_up + calls_)
        return Turn(made.rate, made.p50, {name: 1e6 * used / calls_ for name, used in taken.items()})

    def _cpu(self, side: Side) -> dict[str, float]:
        used = {"Postgres": cpu_seconds_of(self._postgres)}
        return used if side.pid is None else used | {"server": cpu_seconds_of(side.pid)}

    def _reset(self) -> None:
        """Takes away what a turn has made, and what that has left in the tables' files."""
        for statement in _UNDO:
            self._conn.execute(statement, {"began": self._began})
        self._conn.execute("VACUUM advisor_match_requests, project_events, project_event_heads")
        self._conn.execute("VACUUM notification_outbox, advisor_availability, projects")

    def _check(self, expected: int) -> None:
        matched = self._value(
            "SELECT count(*) FROM advisor_match_requests WHERE created_at > %s AND status = 'matched'",
            self._began,
        )
        taken = self._value("SELECT sum(current_projects) FROM advisor_availability")
        if not matched == taken == expected:
            raise BenchmarkError(
                f"{expected} matches were asked for, {matched} made, and {taken} slots taken"
            )

    def _value(self, query: str, *params: object) -> object:
        row = self._conn.execute(query, params).fetchone()
        assert row is not None
        return row[0]


_UNDO = (
    "DELETE FROM advisor_match_requests WHERE created_at > %(began)s",
    "DELETE FROM project_events WHERE created_at > %(began)s",
    "DELETE FROM notification_outbox WHERE created_at > %(began)s",
    "DELETE FROM project_event_heads h"
    " WHERE NOT EXISTS (SELECT FROM advisor_match_requests m WHERE m.project_id = h.project_id)",
    "UPDATE advisor_availability SET current_projects = 0, last_assigned_at = NULL",
)


def by_pgbench(arena: Arena) -> Side:
    """The script, by pgbench."""

    def make(calls_: int, callers: int, first: int) -> pgbench.Transactions:
        return pgbench.run(arena.url, SCRIPT, clients=callers, transactions=calls_ // callers, first=first)

    return Side("pgbench", make)


def by_service(stage: Stage, arena: Arena) -> Side:
    """One server of ours."""
    server, load = stage.server(arena.url), stage.load()

    def make(calls_: int, callers: int, first: int) -> Window:
        made = calls.create_match(server, range(first, first + calls_))
        window = load.run(GrpcLoad((server.address,), calls.CREATE_MATCH, made, callers))
        calls.assert_matched(window.answers)
        return window

    return Side("CreateMatch", make, server.pid)


def by_twin(stage: Stage, arena: Arena) -> Side:
    """The FastAPI twin."""
    pid, port = stage.twin(arena.url)
    load = stage.load()

    def make(calls_: int, callers: int, first: int) -> Window:
        requests = [_post(f'{{"project_id":"{seed.project_id(first + n)}"}}') for n in range(calls_)]
        return load.run(HttpLoad(port, requests, callers))

    return Side("FastAPI twin", make, pid)


def _post(body: str) -> bytes:
    head = f"POST /matches HTTP/1.1\r\nhost: twin\r\ncontent-type: application/json\r\ncontent-length: {len(body)}"
    return f"{head}\r\n\r\n{body}".encode()


def against_pgbench(effort: Effort) -> Outcome:
    """Calls/s at 8 callers, against pgbench with 8 clients."""
    comparison = Comparison("8 callers", "CreateMatch", "pgbench", "calls/s", Goal(0.22, 0.33))
    with Stage() as stage:
        arena = Arena(stage)
        sides = by_service(stage, arena), by_pgbench(arena)
        return _compared(comparison, arena, sides, effort, callers=CALLERS, figure=lambda turn: turn.rate)


def against_twin(effort: Effort) -> Outcome:
    """Calls/s at 8 callers, against the twin."""
    comparison = Comparison("8 callers", "CreateMatch", "FastAPI twin", "calls/s", Goal(1.2, 1.8))
    with Stage() as stage:
        arena = Arena(stage)
        sides = by_service(stage, arena), by_twin(stage, arena)
        return _compared(comparison, arena, sides, effort, callers=CALLERS, figure=lambda turn: turn.rate)


def alone(effort: Effort) -> Outcome:
    """Median latency of one caller, against pgbench with one client."""
    comparison = Comparison("1 caller", "CreateMatch", "pgbench", "ms", Goal(4.0, 2.0, "lower"))
    with Stage() as stage:
        arena = Arena(stage)
        sides = by_service(stage, arena), by_pgbench(arena)
        return _compared(comparison, arena, sides, effort, callers=1, figure=lambda turn: turn.p50)


def _compared(
    comparison: Comparison,
    arena: Arena,
    sides: tuple[Side, Side],
    effort: Effort,
    *,
    callers: int,
    figure: Callable[[Turn], float],
) -> Outcome:
    """Our turn, theirs, ours, theirs, …; and what a call took of the processors, which noise changes least."""
    cpu: dict[str, dict[str, list[float]]] = {side.name: defaultdict(list) for side in sides}
    for strangers in effort.turns(f"{comparison.ours} and {comparison.theirs}"):
        ours, theirs = (arena.turn(side, callers=callers, seconds=effort.seconds) for side in sides)
        comparison.add(figure(ours), figure(theirs), strangers.share())
        for side, turn in zip(sides, (ours, theirs), strict=True):
            for who, used in turn.cpu.items():
                cpu[side.name][who].append(used)
    spent = {
        side: {who: round(statistics.median(used)) for who, used in by.items()} for side, by in cpu.items()
    }
    return Outcome([comparison], notes={"µs of CPU a call": spent})


_TURNS = """\
Each turn begins from the same state: 40 advisors of 100 slots, all free, 10,000 earlier matches in the tables, and
projects without a match. A few calls warm up what they need and are not counted; between turns the tables are put
back, outside the time that counts. After each turn the database must hold exactly the matches that were asked for."""

_AGAINST_PGBENCH = f"""\
8 calls in flight to one server process, signed, with a request id, logged as JSON to a file, background work
running; against `pgbench -M prepared` with 8 clients and `benchmarks/create_match.sql`, the six statements that it
takes at least, in the same database.

{_TURNS}

Where it falls short, it is bound by the interpreter: a call takes the server about three times the CPU time that the
six statements take Postgres, and with its log lines, metrics and limits a little more than when 0.232 was measured
(417 calls/s then), so that what pgbench makes of a commit in a run decides the ratio."""

_AGAINST_TWIN = """\
The same, against `benchmarks/fastapi_twin.py`: what one would write instead, with FastAPI, uvicorn (one worker,
uvloop, httptools, no access log) and SQLAlchemy's asyncio with asyncpg, the same six statements, and no signatures,
request ids, log lines, event streams or explanations. One generator makes both sides' calls, from bytes that are
ready; HTTP costs it less than gRPC, which leans towards the twin.

Where it falls short, py-spy (`--gil`), before the dispatcher delivered notifications beside the calls, shows why:
of the time under the interpreter's lock the use case takes 47 % (its two statements 21 %, the match with its
record, event and answer 7 %, ranking 5 %), publishing to Redis and hearing from it 25 %, gRPC's own Python 10 %,
signature and log line 7 %, the loops in the background 6 %. The twin publishes nothing and keeps no record,
signature, log line or answer. And the less a commit costs on a machine, the more the rest shows: here pgbench
itself makes about 2,000 transactions a second, so that the twin, at two fifths of it, has little but commits to
wait for."""

_ALONE = f"""\
One call at a time, against the same script with one client.

{_TURNS}"""

ROWS = (
    Row(
        name="create_match",
        title="CreateMatch, calls/s",
        against="pgbench, the six plain statements",
        method=_AGAINST_PGBENCH,
        measure=against_pgbench,
    ),
    Row(
        name="create_match_twin",
        title="CreateMatch, calls/s",
        against="the six statements behind FastAPI",
        method=_AGAINST_TWIN,
        measure=against_twin,
    ),
    Row(
        name="create_match_latency",
        title="CreateMatch, p50 of one caller",
        against="pgbench with one client",
        method=_ALONE,
        measure=alone,
    ),
)
