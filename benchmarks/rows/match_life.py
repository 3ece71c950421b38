"""Matches from the first call to a workspace that a watcher sees, against CreateMatch alone."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.harness import calls, seed
from benchmarks.harness.effort import FULL, Effort
from benchmarks.harness.lives import Lives
from benchmarks.harness.load import GrpcLoad, LoadGenerator, Window
from benchmarks.harness.processes import cpu_seconds_of, settle
from benchmarks.harness.results import BenchmarkError, Comparison, Goal, Outcome, Row
from benchmarks.harness.stage import Server, Stage
from benchmarks.harness.watchers import Watchers

ADVISORS = 40
SLOTS = 100
PROJECTS = ADVISORS * SLOTS
HISTORY = 10_000
CALLERS = 8
IN_FLIGHT = 8
WARM_UP = 100
MOST = 3_600
"""Of a turn: with the warm-up, fewer than there are slots."""


@dataclass(frozen=True, slots=True)
class Turn:
    """What came of a turn."""

    rate: float
    """Lives or calls a second."""
    p50: float
    """Milliseconds."""
    cpu: dict[str, float]
    """Microseconds of CPU each, by who took them."""


class Arena:
    """The server, its database of 40 advisors with 100 slots, and history."""

    def __init__(self, stage: Stage) -> None:
        url = stage.database()
        self._postgres = stage.services.postgres.pid
        self._conn = stage.connect(url)
        seed.insert_projects(self._conn, PROJECTS + HISTORY, seed.stacks(12))
        seed.insert_advisors(self._conn, seed.profiles(ADVISORS, slots=(SLOTS, SLOTS)))
        seed.insert_history(self._conn, PROJECTS, HISTORY)
        self._began = self._value("SELECT clock_timestamp()")
        self._server: Server = stage.server(url)
        self._load: LoadGenerator = stage.load()
        self._watchers: Watchers = stage.watchers()

    def creates(self, seconds: float) -> Turn:
        """A turn of CreateMatch alone."""
        turn = self._turn(self._create, seconds)
        self._check("SELECT count(*) FROM advisor_match_requests WHERE created_at > %s")
        return turn

    def lives(self, seconds: float) -> Turn:
        """A turn of lives."""
        turn = self._turn(self._live, seconds)
        self._check(
            "SELECT count(*) FROM advisor_match_requests m"
            " JOIN project_advisors a ON (a.project_id, a.advisor_id) = (m.project_id, m.matched_advisor_id)"
            " WHERE created_at > %s AND provisioning_state = 'ready' AND a.status = 'active'"
        )
        return turn

    def _create(self, first: int, number: int) -> Callable[[], Window]:
        made = calls.create_match(self._server, range(first, first + number))

        def run() -> Window:
            window = self._load.run(GrpcLoad((self._server.address,), calls.CREATE_MATCH, made, CALLERS))
            calls.assert_matched(window.answers)
            return window

        return run

    def _live(self, first: int, number: int) -> Callable[[], Window]:
        server, projects = self._server, range(first, first + number)
        self._watchers.close()
        streams = calls.watch(server, map(seed.project_id, projects))
        self._watchers.open(server.address, calls.WATCH, streams, marker=b"advisor.workspace_ready")
        settle(server.pid)
        made = calls.create_match(server, projects)
        load = Lives(server.address, server.key_id, server.secret, seed.OWNER, made, IN_FLIGHT)
        return lambda: self._watchers.live(load)

    def _turn(self, make: Callable[[int, int], Callable[[], Window]], seconds: float) -> Turn:
        self._reset()
        warm_up = max(IN_FLIGHT, round(WARM_UP * min(1.0, seconds / FULL.seconds)))
        warm = make(0, warm_up)()
        number = min(MOST, max(IN_FLIGHT, round(warm.rate * seconds)))
        self._asked = warm_up + number
        run = make(warm_up, number)
        before = self._cpu()
        window = run()
        taken = {who: used - before[who] for who, used in self._cpu().items()}
        self._watchers.close()
        taken["generator"] = window.generator_seconds
        return Turn(window.rate, window.p50, {who: 1e6 * used / number for who, used in taken.items()})

    def _cpu(self) -> dict[str, float]:
        return {"Postgres": cpu_seconds_of(self._postgres), "server": cpu_seconds_of(self._server.pid)}

    def _reset(self) -> None:
        """Takes away what a turn has made, and what that has left in the tables' files."""
        for statement in _UNDO:
            self._conn.execute(statement, {"began": self._began})
        self._conn.execute(_VACUUM)

    def _check(self, query: str) -> None:
        """The database holds what was asked for, and nothing else was measured."""
        made = self._value(query, self._began)
        taken = self._value("SELECT sum(current_projects) FROM advisor_availability")
        if not made == taken == self._asked:
            raise BenchmarkError(f"{self._asked} were asked for, {made} made, and {taken} slots taken")

    def _value(self, query: str, *params: object) -> object:
        row = self._conn.execute(query, params).fetchone()
        assert row is not None
        return row[0]


def measure(effort: Effort) -> Outcome:
    """Lives/s, against CreateMatch calls/s of the same server."""
    comparison = Comparison(f"{IN_FLIGHT} at a time", "life", "CreateMatch", "a second", Goal(0.2, 0.3))
    turns: dict[str, list[Turn]] = defaultdict(list)
    with Stage() as stage:
        arena = Arena(stage)
        for strangers in effort.turns("lives and CreateMatch"):
            lives, creates = arena.lives(effort.seconds), arena.creates(effort.seconds)
            comparison.add(lives.rate, creates.rate, strangers.share())
            turns["life"].append(lives)
            turns["CreateMatch"].append(creates)
    spent = {
        what: {who: round(statistics.median(turn.cpu[who] for turn in taken)) for who in taken[0].cpu}
        for what, taken in turns.items()
    }
    medians = {what: round(statistics.median(turn.p50 for turn in taken), 1) for what, taken in turns.items()}
    return Outcome([comparison], notes={"µs of CPU": spent, "p50 in ms": medians})


_UNDO = (
    "DELETE FROM workspace_provisioning_queue WHERE created_at > %(began)s",
    "DELETE FROM project_advisors WHERE assigned_at > %(began)s",
    "DELETE FROM unified_chat_sessions WHERE created_at > %(began)s",
    "DELETE FROM unified_chat_messages WHERE created_at > %(began)s",
    "DELETE FROM advisor_match_requests WHERE created_at > %(began)s",
    "DELETE FROM project_events WHERE created_at > %(began)s",
    "DELETE FROM notification_outbox WHERE created_at > %(began)s",
    "DELETE FROM project_event_heads h"
    " WHERE NOT EXISTS (SELECT FROM advisor_match_requests m WHERE m.project_id = h.project_id)",
    "UPDATE advisor_availability SET current_projects = 0, last_assigned_at = NULL",
)
_VACUUM = """
    VACUUM ANALYZE project_advisors, unified_chat_sessions, unified_chat_messages, project_events,
        project_event_heads, notification_outbox, advisor_match_requests, workspace_provisioning_queue,
        workspace_provisioning_attempts, advisor_availability, projects
"""

_METHOD = """\
8 lives at a time at one server process, as in production: signed calls, JSON log lines, workers running and automatic
provisioning on. A life is CreateMatch by the owner, the owner's decision, the advisor's, and the workspace that the
workers then make; it ends when the watcher of its project has received `advisor.workspace_ready`. Each project has a
watcher of its own, whose stream is open before the clock runs. Against it, turns of CreateMatch alone at the same
server, 8 calls in flight, nobody watching. All turns begin from the same state: 40 advisors of 100 slots, all free,
10,000 earlier matches in the tables; after each the database must hold exactly the matches, or the ready workspaces
with their advisors' access, that were asked for. Opening the streams is in neither figure, nor in the CPU times.

A life is three calls, a job, six events on the stream and five transactions at least, where CreateMatch is one call
and one transaction. The usual approval is one look and one statement, as the usual offer is."""

ROWS = (
    Row(
        name="match_life",
        title="Whole lives of matches a second",
        against="CreateMatch calls/s of the same server",
        method=_METHOD,
        measure=measure,
    ),
)
