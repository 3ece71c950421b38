"""How the time to take a job grows with the jobs that wait, and with those that are done."""

from __future__ import annotations

import statistics
import time
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import Connection, create_engine

from benchmarks.harness.effort import FULL, Effort
from benchmarks.harness.results import BenchmarkError, Comparison, Goal, Outcome, Row
from benchmarks.harness.stage import Stage
from matching_server.storage import provisioning
from matching_server.storage.database import Transaction, asking_all

COMPLETED, WAITING, FEW = 1_000_000, 100_000, 100
JUST_COMPLETED = 20_000
"""Taken and completed in a row before the second comparison, without a VACUUM."""
WARM_UP = 30
"""More than the runs after which a plan turns generic."""
TAKES = 300
"""Of a turn."""
_BATCH = 100
_LEASE = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class Backlog:
    """A queue, and a connection that takes from it as a worker's does."""

    conn: Connection

    def turn(self, takes: int) -> float:
        """The median of so many takes."""
        return statistics.median(self.take() for _ in range(takes))

    def take(self) -> float:
        """Takes a job and hands it back; returns the milliseconds that taking it took.

        Without the commit: it costs both sides the same, and would make them more alike than they are.
        """
        with self.conn.begin():
            started = time.perf_counter()
            jobs = provisioning.take(asking_all(self.conn), 1, _LEASE)
            taken = time.perf_counter()
        with self.conn.begin():
            returned = provisioning.hand_back(Transaction(self.conn), jobs)
        if returned != 1:
            raise BenchmarkError(f"one job was to be taken and handed back, and {returned} were")
        return 1000 * (taken - started)

    def complete(self, number: int) -> None:
        """Takes so many, a batch a transaction, and ends them well."""
        for _ in range(0, number, _BATCH):
            with self.conn.begin():
                tx = Transaction(self.conn)
                jobs = provisioning.take(asking_all(self.conn), _BATCH, _LEASE)
                for job in jobs:
                    provisioning.complete(tx, job)
            if len(jobs) != _BATCH:
                raise BenchmarkError(f"{_BATCH} jobs were to be taken, and {len(jobs)} were")


def measure(effort: Effort) -> Outcome:
    """The time to take a job of a long queue with a long history, against a short one without."""
    part = min(1.0, effort.seconds / FULL.seconds)
    completed, waiting, just = (round(part * number) for number in (COMPLETED, WAITING, JUST_COMPLETED))
    takes = max(WARM_UP, round(part * TAKES))
    at_rest = Comparison(
        f"{waiting:,} waiting", "long queue", "short queue", "ms", Goal(1.5, 1.1, better="lower")
    )
    after = Comparison(f"after {just:,} were just completed", "long queue", "short queue", "ms")
    with Stage() as stage, ExitStack() as open_:
        long, short = (
            _backlog(stage, open_, waiting=waiting, completed=completed),
            _backlog(stage, open_, waiting=FEW, completed=0),
        )
        for backlog in (long, short):
            backlog.turn(WARM_UP)
        for strangers in effort.turns("a long queue and a short one"):
            at_rest.add(long.turn(takes), short.turn(takes), strangers.share())
        long.complete(just)
        first = long.take()
        for strangers in effort.turns("the same after many were completed"):
            after.add(long.turn(takes), short.turn(takes), strangers.share())
    return Outcome(
        [at_rest, after],
        notes={
            "completed jobs in the long queue": f"{completed:,}, none in the short one",
            f"ms of the first take after those {just:,}": first,
        },
    )


def _backlog(stage: Stage, open_: ExitStack, *, waiting: int, completed: int) -> Backlog:
    """A database with so many jobs, as autovacuum would have left it."""
    url = stage.database()
    fill = stage.connect(url)
    for statement in _FILL:
        fill.execute(statement, {"completed": completed, "all": completed + waiting})
    fill.execute("VACUUM ANALYZE")
    engine = create_engine(url)
    open_.callback(engine.dispose)
    return Backlog(open_.enter_context(engine.connect()))


_MATCH, _PROJECT, _JOB = (f"md5('{what} ' || n)::uuid" for what in ("match", "project", "job"))
_FILL = (
    # Every row refers to one that is put in here: to look each of them up would take minutes.
    "SET session_replication_role = replica",
    f"""
    INSERT INTO advisor_match_requests (id, project_id, requested_by, status, previous_status, matched_advisor_id,
        client_decision, advisor_decision, provisioning_state, expires_in, expires_at)
    SELECT {_MATCH}, {_PROJECT}, gen_random_uuid(), 'finalized', 'client_approved', gen_random_uuid(),
        'approved', 'approved', CASE WHEN n < %(completed)s THEN 'ready' ELSE 'queued' END,
        interval '3 days', now() + interval '3 days'
    FROM generate_series(0, %(all)s::int - 1) n
    """,
    # A job in 10 s, over months; those that wait have been due for a while.
    f"""
    INSERT INTO workspace_provisioning_queue
        (id, match_id, project_id, status, attempt_count, next_retry_at, created_at, updated_at)
    SELECT {_JOB}, {_MATCH}, {_PROJECT}, CASE WHEN done THEN 'completed' ELSE 'pending' END, done::int, t, t, t
    FROM generate_series(0, %(all)s::int - 1) n, LATERAL (SELECT n < %(completed)s AS done) AS fate,
        LATERAL (SELECT now() - (%(all)s - n) * interval '10 seconds' AS t) AS moment
    """,
    f"""
    INSERT INTO workspace_provisioning_attempts (job_id, number, started_at, ended_at)
    SELECT {_JOB}, 1, now(), now() FROM generate_series(0, %(completed)s::int - 1) n
    """,
    "RESET session_replication_role",
)

_METHOD = """\
`storage.provisioning.take` for one job, on a connection whose statements are prepared, up to the answer and without the
commit, which costs either side the same; then the job is handed back. Two databases on one Postgres, each as
autovacuum leaves it: one with 100,000 jobs that are due, and 1,000,000 that were completed with their attempts and
matches, against one with 100 and none. They take turns of 300 takes, whose median counts.

Shown beside it: the same when 20,000 jobs have just been taken and completed, and nothing has been vacuumed since. The
index of what is due begins with their dead entries, and who takes a job steps over them."""

ROWS = (
    Row(
        name="take_job",
        title="Taking a job of 100,000 with 1,000,000 completed",
        against="a job of 100 with none completed",
        method=_METHOD,
        measure=measure,
    ),
)
