"""What one would write instead of the service's worker: a workspace made by a task of procrastinate, or of pgqueuer.

Nothing else: no attempts kept beyond what the library keeps, no faults told apart, no events on a wire, metrics or
log lines. The task's statements are one transaction, prepared once a connection. Either worker is one process on
uvloop that makes as many workspaces at a time as its task's pool has connections, 4.

Usage: DATABASE_URL=postgresql://… python -m benchmarks.job_twins procrastinate|pgqueuer
"""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any

import asyncpg
import procrastinate
import uvloop
from pgqueuer import PgQueuer
from pgqueuer.models import Job
from psycopg import AsyncConnection
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool

AT_A_TIME = 4
TASK = "make_workspace"

_SQL = {
    "match": """
        SELECT m.project_id AS project, m.matched_advisor_id AS advisor, p.owner_id AS owner, u.locale
        FROM advisor_match_requests m JOIN projects p ON p.id = m.project_id
            LEFT JOIN auth.users u ON u.id = p.owner_id
        WHERE m.id = CAST(:match AS uuid) AND m.status = 'finalized' AND m.provisioning_state = 'queued'
        FOR UPDATE OF m
    """,
    "head": """
        UPDATE project_event_heads SET last_seq = last_seq + 2 WHERE project_id = CAST(:project AS uuid)
        RETURNING last_seq - 1 AS seq
    """,
    "access": """
        INSERT INTO project_advisors (project_id, advisor_id, status, role)
        VALUES (CAST(:project AS uuid), CAST(:advisor AS uuid), 'active', 'advisor')
        ON CONFLICT (project_id, advisor_id) DO UPDATE
        SET status = 'active', role = 'advisor', assigned_at = clock_timestamp()
    """,
    "session": """
        INSERT INTO unified_chat_sessions (project_id, user_id, actor_type, session_state, preferred_locale)
        VALUES (CAST(:project AS uuid), CAST(:advisor AS uuid), 'advisor', 'active', CAST(:locale AS text))
        ON CONFLICT (project_id, user_id) DO UPDATE
        SET session_state = 'active', last_active = clock_timestamp(), preferred_locale = excluded.preferred_locale
    """,
    "welcome": """
        INSERT INTO unified_chat_messages
            (id, project_id, actor_type, message_type, mode, text, response_data, seq)
        VALUES (gen_random_uuid(), CAST(:project AS uuid), 'system', 'system', 'plan',
            'Advisor has joined the workspace and is ready to help!',
            jsonb_build_object('event_code', 'advisor_joined', 'advisor_id', CAST(:advisor AS uuid),
                'match_id', CAST(:match AS uuid), 'timestamp', clock_timestamp()),
            CAST(:seq AS bigint))
        RETURNING id AS message
    """,
    "events": """
        INSERT INTO project_events (project_id, seq, type, payload)
        VALUES (CAST(:project AS uuid), CAST(:seq AS bigint), 'message.new',
            jsonb_build_object('id', CAST(:message AS uuid), 'project_id', CAST(:project AS uuid),
                'actor_type', 'system', 'message_type', 'system', 'mode', 'plan',
                'text', 'Advisor has joined the workspace and is ready to help!',
                'response_data', jsonb_build_object('event_code', 'advisor_joined',
                    'advisor_id', CAST(:advisor AS uuid), 'match_id', CAST(:match AS uuid),
                    'timestamp', clock_timestamp()),
                'seq', CAST(:seq AS bigint), 'created_at', clock_timestamp())),
        (CAST(:project AS uuid), CAST(:seq AS bigint) + 1, 'advisor.workspace_ready',
            jsonb_build_object('match_id', CAST(:match AS uuid), 'advisor_id', CAST(:advisor AS uuid),
                'project_id', CAST(:project AS uuid), 'timestamp', clock_timestamp()))
    """,
    "ready": """
        UPDATE advisor_match_requests SET provisioning_state = 'ready' WHERE id = CAST(:match AS uuid)
    """,
    "outbox": """
        INSERT INTO notification_outbox (type, recipient_id, payload)
        VALUES ('workspace_ready', CAST(:owner AS uuid), jsonb_build_object(
            'matchId', CAST(:match AS uuid), 'projectId', CAST(:project AS uuid),
            'advisorId', CAST(:advisor AS uuid)))
    """,
}
_NAME = re.compile(r":([a-z]+)\b")

Known = dict[str, Any]
Run = Callable[[str, Known], Awaitable[Mapping[str, Any] | None]]
"""Runs the statement of that name with what is known by then, and returns its first row."""


async def _make_workspace(run: Run, match: str) -> None:
    """The task; its caller's block is the transaction."""
    known: Known = {"match": match}
    found = await run("match", known)
    if found is None:
        return
    known |= found
    for name in ("head", "access", "session", "welcome", "events", "ready", "outbox"):
        known |= await run(name, known) or {}


# ------------------------------------------------------------------------------------------------------ procrastinate

_FOR_PSYCOPG = {name: _NAME.sub(r"%(\1)s", statement) for name, statement in _SQL.items()}


def _on_psycopg(conn: AsyncConnection[DictRow]) -> Run:
    async def run(name: str, known: Known) -> Mapping[str, Any] | None:
        cursor = await conn.execute(_FOR_PSYCOPG[name], known, prepare=True)
        return await cursor.fetchone() if cursor.description else None

    return run


async def _procrastinate(url: str) -> None:
    """By psycopg, which is the only driver it has a connector for that is not called legacy."""
    app = procrastinate.App(
        connector=procrastinate.PsycopgConnector(conninfo=url, min_size=AT_A_TIME, max_size=AT_A_TIME + 2)
    )
    options = {"row_factory": dict_row}
    async with (
        AsyncConnectionPool[AsyncConnection[DictRow]](
            url, kwargs=options, min_size=AT_A_TIME, max_size=AT_A_TIME
        ) as pool,
        app.open_async(),
    ):

        async def make_workspace(match: str) -> None:
            async with pool.connection() as conn:
                await _make_workspace(_on_psycopg(conn), match)

        app.task(name=TASK)(make_workspace)
        await app.schema_manager.apply_schema_async()
        print("working", flush=True)
        await app.run_worker_async(concurrency=AT_A_TIME)


# ----------------------------------------------------------------------------------------------------------- pgqueuer


def _for_asyncpg(statement: str) -> tuple[str, list[str]]:
    """The statement with numbers for its names, and the names in the order of the numbers."""
    names = list(dict.fromkeys(_NAME.findall(statement)))
    return _NAME.sub(lambda found: f"${1 + names.index(found[1])}", statement), names


_FOR_ASYNCPG = {name: _for_asyncpg(statement) for name, statement in _SQL.items()}


def _on_asyncpg(conn: Any) -> Run:
    async def run(name: str, known: Known) -> Mapping[str, Any] | None:
        statement, names = _FOR_ASYNCPG[name]
        row: Mapping[str, Any] | None = await conn.fetchrow(statement, *(known[name] for name in names))
        return row

    return run


async def _pgqueuer(url: str) -> None:
    """By asyncpg, which its documentation puts first.

    How many run at a time is the pool's to say: ``max_concurrent_tasks=4``, its own way, allows batches of two and
    sleeps 0.1 s whenever four are taken.
    """
    async with (
        asyncpg.create_pool(url, min_size=AT_A_TIME, max_size=AT_A_TIME) as pool,
        asyncpg.create_pool(url, min_size=2, max_size=AT_A_TIME) as queue,
    ):
        pgq = PgQueuer.from_asyncpg_pool(queue)

        async def make_workspace(job: Job) -> None:
            assert job.payload is not None
            async with pool.acquire() as conn, conn.transaction():
                await _make_workspace(_on_asyncpg(conn), job.payload.decode())

        pgq.entrypoint(TASK)(make_workspace)
        await pgq.qm.queries.install()
        print("working", flush=True)
        await pgq.run()


TWINS: dict[str, Callable[[str], Coroutine[Any, Any, None]]] = {
    "procrastinate": _procrastinate,
    "pgqueuer": _pgqueuer,
}


def main() -> None:
    """Works until it is ended."""
    # Nothing has to be drained here, and a library's own way of ending must not hold the row up.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    uvloop.run(TWINS[sys.argv[1]](os.environ["DATABASE_URL"]))


if __name__ == "__main__":
    main()
