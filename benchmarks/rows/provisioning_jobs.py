"""Provisioning jobs, against what one would write with a job queue's library instead."""

from __future__ import annotations

import statistics
import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from benchmarks.harness import seed
from benchmarks.harness.effort import Effort
from benchmarks.harness.processes import cpu_seconds_of
from benchmarks.harness.results import BenchmarkError, Comparison, Goal, Outcome, Row
from benchmarks.harness.stage import Stage

WORKERS = 4
ADVISORS = 40
HISTORY = 10_000
WARM_UP = 100
MOST_JOBS = 4_000
"""Of a turn: as many projects as wait for their workspace."""
_LOOK_SECONDS = 0.05
_PATIENCE_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Queue:
    """What a side keeps its jobs in, as SQL."""

    add: str
    """Queues a job for each of the first ``%(jobs)s`` matches."""
    live: str
    """Whether any job waits or is under way."""
    done: str
    """How many ended well, and the seconds from the first one's start to the last one's end."""
    clear: str
    """Takes the jobs since ``%(began)s`` away."""


@dataclass(frozen=True, slots=True)
class Side:
    """A worker that is running, and its queue."""

    name: str
    queue: Queue
    pid: int


@dataclass(frozen=True, slots=True)
class Turn:
    """What a side did in its turn."""

    rate: float
    """Jobs a second."""
    cpu: dict[str, float]
    """Microseconds of CPU a job, by who took them."""


class Arena:
    """The database of this row: finalized matches without a workspace, and history with."""

    def __init__(self, stage: Stage) -> None:
        self.url = stage.database()
        self._postgres = stage.services.postgres.pid
        self._conn = stage.connect(self.url)
        seed.insert_projects(self._conn, MOST_JOBS + HISTORY, seed.stacks(12))
        seed.insert_advisors(self._conn, seed.profiles(ADVISORS))
        for statement in _FILL:
            self._conn.execute(statement, {"waiting": MOST_JOBS, "all": MOST_JOBS + HISTORY})
        (self._began,) = self._row("SELECT clock_timestamp()")

    def turn(self, side: Side, seconds: float) -> Turn:
        """A side's turn, from the same state as everybody's: a warm-up, which is undone, and what counts.

        Raises:
            BenchmarkError: it did not make exactly the workspaces that it was asked for.
        """
        warm = self._run(side, WARM_UP)
        return self._run(side, min(MOST_JOBS, max(WORKERS, round(warm.rate * seconds))))

    def _run(self, side: Side, jobs: int) -> Turn:
        self._reset(side)
        before = self._cpu(side)
        self._conn.execute(side.queue.add, {"jobs": jobs})
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while self._row(side.queue.live)[0]:
            if time.monotonic() > deadline:
                raise BenchmarkError(f"{side.name} did not end {jobs} jobs in {_PATIENCE_SECONDS:.0f} s")
            time.sleep(_LOOK_SECONDS)
        taken = {name: used - before[name] for name, used in self._cpu(side).items()}
        done, seconds = self._row(side.queue.done, {"began": self._began})
        self._check(side, jobs, done)
        return Turn(jobs / float(seconds), {name: 1e6 * used / jobs for name, used in taken.items()})

    def _cpu(self, side: Side) -> dict[str, float]:
        return {"Postgres": cpu_seconds_of(self._postgres), "worker": cpu_seconds_of(side.pid)}

    def _reset(self, side: Side) -> None:
        """Takes away what a turn has made, and what that has left in the tables' files."""
        for statement in (side.queue.clear, *_UNDO):
            self._conn.execute(statement, {"began": self._began})
        self._conn.execute(_VACUUM)

    def _check(self, side: Side, expected: int, done: int) -> None:
        made = {what: self._row(query, {"began": self._began})[0] for what, query in _MADE.items()}
        if wrong := {what: number for what, number in (made | {"jobs": done}).items() if number != expected}:
            raise BenchmarkError(f"{expected} workspaces were asked for, and {side.name} made {wrong}")

    def _row(self, query: str, params: Mapping[str, object] | None = None) -> tuple[Any, ...]:
        row = self._conn.execute(query, params).fetchone()
        assert row is not None
        return row


def measure(effort: Effort) -> Outcome:
    """Jobs/s of one worker process with 4 at a time, against a worker of either library."""
    with Stage() as stage:
        arena = Arena(stage)
        ours = Side("worker", _OURS, stage.worker(arena.url, threads=WORKERS))
        theirs = [Side(name, queue, stage.job_twin(name, arena.url)) for name, queue in _THEIRS.items()]
        comparisons = {
            side.name: Comparison(side.name, "worker", side.name, "jobs/s", Goal(1.0, 2.0)) for side in theirs
        }
        cpu: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
        for strangers in effort.turns("provisioning jobs"):
            turns = {side.name: arena.turn(side, effort.seconds) for side in (ours, *theirs)}
            for name, comparison in comparisons.items():
                comparison.add(turns[ours.name].rate, turns[name].rate, strangers.share())
            for name, turn in turns.items():
                for who, used in turn.cpu.items():
                    cpu[name][who].append(used)
    spent = {
        name: {who: round(statistics.median(used)) for who, used in by.items()} for name, by in cpu.items()
    }
    return Outcome(list(comparisons.values()), notes={"µs of CPU a job": spent})


_MATCH, _PROJECT = "md5('match ' || n)::uuid", "md5(n::text)::uuid"
_JOBS = f"SELECT {_MATCH} AS match, {_PROJECT} AS project FROM generate_series(0, %(jobs)s::int - 1) n"

_OURS = Queue(
    add=f"""
        INSERT INTO workspace_provisioning_queue (match_id, project_id)
        SELECT match, project FROM ({_JOBS}) AS jobs
    """,
    live="""
        SELECT EXISTS (SELECT FROM workspace_provisioning_queue
            WHERE status IN ('pending', 'processing', 'rollback_needed'))
    """,
    done="""
        SELECT count(*), extract(epoch FROM max(a.ended_at) - min(a.started_at))
        FROM workspace_provisioning_queue q JOIN workspace_provisioning_attempts a ON a.job_id = q.id
        WHERE q.created_at > %(began)s AND q.status = 'completed'
    """,
    clear="DELETE FROM workspace_provisioning_queue WHERE created_at > %(began)s",
)
_THEIRS = {
    "procrastinate": Queue(
        add=f"""
            INSERT INTO procrastinate_jobs (queue_name, task_name, args)
            SELECT 'default', 'make_workspace', jsonb_build_object('match', match) FROM ({_JOBS}) AS jobs
        """,
        live="SELECT EXISTS (SELECT FROM procrastinate_jobs WHERE status IN ('todo', 'doing'))",
        done="""
            SELECT count(*) FILTER (WHERE type = 'succeeded'), extract(epoch FROM
                max(at) FILTER (WHERE type = 'succeeded') - min(at) FILTER (WHERE type = 'started'))
            FROM procrastinate_events
        """,
        clear="TRUNCATE procrastinate_jobs CASCADE",
    ),
    "pgqueuer": Queue(
        add=f"""
            INSERT INTO pgqueuer (priority, entrypoint, payload, status)
            SELECT 0, 'make_workspace', convert_to(match::text, 'UTF8'), 'queued' FROM ({_JOBS}) AS jobs
        """,
        live="SELECT EXISTS (SELECT FROM pgqueuer)",
        done="""
            SELECT count(*) FILTER (WHERE status = 'successful'), extract(epoch FROM
                max(created) FILTER (WHERE status = 'successful') - min(created) FILTER (WHERE status = 'picked'))
            FROM pgqueuer_log
        """,
        clear="TRUNCATE pgqueuer, pgqueuer_log",
    ),
}

_FILL = (
    f"""
    INSERT INTO advisor_match_requests (id, project_id, requested_by, status, previous_status, matched_advisor_id,
        client_decision, advisor_decision, provisioning_state, match_reason, expires_in, expires_at)
    SELECT {_MATCH}, {_PROJECT}, gen_random_uuid(), 'finalized', 'client_approved',
        advisor[1 + n %% cardinality(advisor)], 'approved', 'approved',
        CASE WHEN n < %(waiting)s THEN 'queued' ELSE 'ready' END,
        'Least loaded of 40 free advisors (0 of 100 slots taken).', interval '3 days', now() + interval '3 days'
    FROM generate_series(0, %(all)s::int - 1) n, (SELECT array_agg(id) AS advisor FROM advisors) AS pool
    """,
    # What it takes until a match is finalized: three events. Of those that are ready, two more.
    f"""
    INSERT INTO project_event_heads (project_id, last_seq)
    SELECT {_PROJECT}, CASE WHEN n < %(waiting)s THEN 3 ELSE 5 END FROM generate_series(0, %(all)s::int - 1) n
    """,
    """
    INSERT INTO project_events (project_id, seq, type, payload)
    SELECT project_id, seq, 'advisor.matched', jsonb_build_object('match_id', gen_random_uuid())
    FROM project_event_heads, generate_series(1, last_seq) seq
    """,
    """
    CREATE TEMPORARY TABLE ready AS SELECT m.id AS match, m.project_id AS project, m.matched_advisor_id AS advisor
    FROM advisor_match_requests m WHERE m.provisioning_state = 'ready'
    """,
    "INSERT INTO project_advisors (project_id, advisor_id) SELECT project, advisor FROM ready",
    """
    INSERT INTO unified_chat_sessions (project_id, user_id, actor_type, session_state)
    SELECT project, advisor, 'advisor', 'active' FROM ready
    """,
    """
    INSERT INTO unified_chat_messages (id, project_id, actor_type, message_type, text, response_data, seq)
    SELECT gen_random_uuid(), project, 'system', 'system', 'Advisor has joined the workspace',
        jsonb_build_object('event_code', 'advisor_joined', 'match_id', match), 4
    FROM ready
    """,
    """
    INSERT INTO notification_outbox (type, recipient_id, payload, status, next_attempt_at)
    SELECT 'workspace_ready', advisor, jsonb_build_object('matchId', match), 'sent', NULL FROM ready
    """,
    """
    WITH jobs AS (
        INSERT INTO workspace_provisioning_queue (match_id, project_id, status, attempt_count)
        SELECT match, project, 'completed', 1 FROM ready RETURNING id
    )
    INSERT INTO workspace_provisioning_attempts (job_id, number, ended_at) SELECT id, 1, clock_timestamp() FROM jobs
    """,
)
_UNDO = (
    "DELETE FROM project_advisors WHERE assigned_at > %(began)s",
    "DELETE FROM unified_chat_sessions WHERE created_at > %(began)s",
    "DELETE FROM unified_chat_messages WHERE created_at > %(began)s",
    "DELETE FROM project_events WHERE created_at > %(began)s",
    "DELETE FROM notification_outbox WHERE created_at > %(began)s",
    "UPDATE project_event_heads h SET last_seq = 3 FROM advisor_match_requests m"
    " WHERE m.project_id = h.project_id AND m.provisioning_state = 'ready' AND m.updated_at > %(began)s",
    "UPDATE advisor_match_requests SET provisioning_state = 'queued'"
    " WHERE provisioning_state = 'ready' AND updated_at > %(began)s",
)
_VACUUM = """
    VACUUM ANALYZE project_advisors, unified_chat_sessions, unified_chat_messages, project_events,
        project_event_heads, notification_outbox, advisor_match_requests, workspace_provisioning_queue,
        workspace_provisioning_attempts
"""
_MADE = {
    "access rows": "SELECT count(*) FROM project_advisors WHERE assigned_at > %(began)s AND status = 'active'",
    "sessions": "SELECT count(*) FROM unified_chat_sessions WHERE created_at > %(began)s",
    "welcomes": "SELECT count(*) FROM unified_chat_messages WHERE created_at > %(began)s"
    " AND response_data ->> 'event_code' = 'advisor_joined'",
    "messages' events": "SELECT count(*) FROM project_events e JOIN project_event_heads h USING (project_id)"
    " WHERE e.created_at > %(began)s AND e.type = 'message.new' AND e.seq = 4 AND h.last_seq = 5",
    "ready events": "SELECT count(*) FROM project_events WHERE created_at > %(began)s"
    " AND type = 'advisor.workspace_ready' AND seq = 5",
    "ready matches": "SELECT count(*) FROM advisor_match_requests"
    " WHERE provisioning_state = 'ready' AND updated_at > %(began)s",
    "notifications": "SELECT count(*) FROM notification_outbox"
    " WHERE created_at > %(began)s AND type = 'workspace_ready'",
}

_METHOD = """\
Three worker processes on one database, each with 4 jobs at a time: `matching-server worker`, procrastinate (psycopg)
and pgqueuer (asyncpg), the two by `benchmarks/job_twins.py`, whose task makes the same workspace with eight plain,
prepared statements in a transaction: look at the match and its parties, move the head, access row, chat session,
welcome message, both events, match ready, notification. Each turn begins from the same state: finalized matches that
wait for their workspace, 10,000 earlier ones that have theirs; the jobs are queued by SQL in one transaction, 100 to
warm up and then what counts. The time is that from the first job's start to the last one's end in the queue's own
records, and after each turn the database must hold exactly the workspaces that were asked for.

What only our side does: it locks the project and looks whether all is as it was, checks that the advisor is still
active, keeps each attempt with its beginning and end, gives every job a lease of its own that all writes for it name,
completes the job in the transaction that makes its workspace (so a crash repeats nothing), publishes both events to
Redis, writes a log line in JSON and metrics for each job, and runs the sweeps, the backlog and the picture of the pool.
What only they do: procrastinate writes two events a job by triggers, and ends it in a further transaction; pgqueuer
logs two states of each job, and ends jobs ten at a time, up to 0.1 s later, so that a crash in between makes up to ten
tasks run again. It takes ten at a time, too, and more than run: its `max_concurrent_tasks=4` would allow batches of
two, and sleeps 0.1 s whenever four are under way, so here its task's pool of connections bounds it. Both run on uvloop
and log nothing. Each workspace is on disk before its job counts as done, on all sides; that a job was taken is waited
for by the two libraries alone, since with us nothing written for a job can outlive that.

Where our time goes: the usual job is three statements, a take, a look and one that writes everything (docs/decisions,
10), and takes about 0.8 ms of the worker's CPU and 1.1 ms of Postgres', which on two cores is what bounds it. Of the
time under the interpreter's lock (py-spy, `--gil`) taking jobs, mostly one at a time as each thread comes free, takes
three tenths, looking at them a fifteenth, writing it all a fifth, and publishing a quarter. pgqueuer shares one take,
and one record of the end, among ten jobs."""

ROWS = (
    Row(
        name="provisioning_jobs",
        title="Provisioning jobs/s, 4 at a time",
        against="the same workspace by the library's task",
        method=_METHOD,
        measure=measure,
    ),
)
