"""The service behind PgBouncer in transaction mode, by real servers; skipped where there is no PgBouncer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from sqlalchemy import Connection, make_url, text

from matching_server.storage import sessions
from matching_server.storage.migrate import Schema, migrate
from tests.support.databases import connected, transaction
from tests.support.load import Load
from tests.support.pgbouncer import BOUNDS, OLDEST, pooled, program
from tests.support.processes import ServerNotReady, Servers
from tests.support.wait import eventually
from tests.support.watching import watching
from tests.support.world import World
from tests.support.worlds import own_world

pytestmark = pytest.mark.skipif(
    program() is None,
    reason=f"no pgbouncer {'.'.join(map(str, OLDEST))} or later on the path or in MATCHING_TEST_PGBOUNCER",
)


POOL = 4
LOCKS = text(
    "SELECT count(*) FROM pg_locks JOIN pg_database d ON d.oid = database"
    " WHERE locktype = 'advisory' AND datname = current_database()"
)


@pytest.fixture
def through(database_url: str) -> Iterator[str]:
    """The database through PgBouncer."""
    with pooled(database_url, pool=POOL) as url:
        yield url


@pytest.fixture
def behind(conn: Connection, tmp_path: Path, through: str, redis_url: str) -> Iterator[World]:
    """A world whose servers reach Postgres through PgBouncer alone, which has fewer connections than they."""
    servers = Servers(tmp_path, through, redis_url)
    with own_world(conn, servers) as world:
        yield world
    servers.end_all()


def bounds_of_each(url: str) -> set[tuple[str, ...]]:
    """The bounds of every connection that PgBouncer has, each held until all have been looked at."""
    query = text(
        "SELECT current_setting('statement_timeout'), current_setting('lock_timeout'),"
        " current_setting('idle_in_transaction_session_timeout'), current_setting('timezone')"
    )
    with ExitStack() as held:
        conns = [held.enter_context(transaction(url)) for _ in range(POOL)]
        return {tuple(conn.execute(query).one()) for conn in conns}


def test_whole_lives_of_matches_under_load_behind_a_pooler(behind: World, through: str) -> None:
    behind.start_together(2)
    project = behind.new_project()
    behind.new_advisor()
    with watching(behind.client(project), project) as watched, Load(behind, servers=2) as load:
        match = behind.service(server=1).create_match(project).match
        behind.client(project).submit_client_decision(match.id, "DECISION_APPROVED")
        behind.advisor(match.matched_advisor.id).submit_advisor_decision(match.id, "DECISION_APPROVED")
        behind.wait_for_ready(match.id)
        load.wait_for_progress(200)
        seen = next(event for event in watched if event.type == "advisor.workspace_ready")
        assert seen.project_id == project
    assert load.refusals == []
    load.assert_kept()
    eventually(load.all_provisioned, timeout=20, what="every finalized match has its workspace")
    assert all(server.told("step_failed") == 0 for server in behind.servers.all)
    # What a call sets for itself must not be found by the next on the same connection.
    assert bounds_of_each(through) == {("10s", "2s", "5s", "UTC")}


def test_a_migration_goes_through_a_pooler(empty_database_url: str) -> None:
    with pooled(empty_database_url) as url:
        assert migrate(url) is Schema.CURRENT
        # PgBouncer keeps its connection: a lock of the session would stay with it.
        with connected(empty_database_url) as conn:
            assert conn.execute(LOCKS).scalar() == 0


def test_a_pooler_that_sets_no_bounds_is_told_of(
    servers: Servers, database_url: str, redis_url: str, tmp_path: Path
) -> None:
    without = BOUNDS.replace("SET lock_timeout = 2000;", "")
    with pooled(database_url, connect_query=without) as url:
        directory = tmp_path / "pooled"
        directory.mkdir()
        behind = Servers(directory, url, redis_url)
        with pytest.raises(ServerNotReady, match="does not set itself: lock_timeout=2s"):
            behind.start()
    # The database may set them as well as the pooler.
    with connected(database_url) as conn:
        database = make_url(database_url).database
        conn.execute(text(f"ALTER DATABASE {database} SET lock_timeout = '2s'"))
    with pooled(database_url, connect_query=without) as url:
        assert sessions.fault(url) is None


def test_a_pooler_that_keeps_no_prepared_statements_is_told_of(database_url: str) -> None:
    with pooled(database_url, prepared=0) as url:
        said = sessions.fault(url)
        assert said is not None
        assert "keeps no prepared statements" in said
    with pooled(database_url) as url:
        assert sessions.fault(url) is None
    assert sessions.fault(database_url) is None
