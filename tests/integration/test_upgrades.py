"""One release after the other: which servers work with which schema, and what a migration leaves to those that run."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from matching_server.commands import CannotRun
from matching_server.commands.database import migrate as migrate_command
from matching_server.storage import migrate as migrations
from matching_server.storage.migrate import CannotMigrate, Schema, current_revision, look_at, migrate
from tests.support.databases import transaction
from tests.support.later_releases import NEWEST, LaterRelease
from tests.support.load import Load
from tests.support.processes import ServerNotReady, Servers
from tests.support.worlds import own_world

EXPAND = "ALTER TABLE advisors ADD COLUMN nickname text"
CONTRACT = "ALTER TABLE advisors DROP COLUMN avatar_url"
HOT_TABLES = (
    *("projects", "advisors", "advisor_availability", "advisor_match_requests", "project_events"),
    *("project_event_heads", "workspace_provisioning_queue", "project_advisors", "notification_outbox"),
    *("used_nonces", "idempotent_requests", "unified_chat_sessions", "unified_chat_messages"),
)
EXPAND_EVERYTHING = (
    "CREATE TABLE badges (id uuid PRIMARY KEY, advisor_id uuid REFERENCES advisors)",
    *(f"ALTER TABLE {table} ADD COLUMN later text DEFAULT 'later'" for table in HOT_TABLES),
)


@pytest.fixture
def later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LaterRelease:
    """The next release, whose `matching-server migrate` this process is."""
    return LaterRelease(tmp_path / "later", monkeypatch)


def test_every_migration_says_from_which_release_on_servers_work_with_it() -> None:
    config = Config()
    config.set_main_option("script_location", migrations.SCRIPTS)
    scripts = ScriptDirectory.from_config(config)
    assert scripts.get_current_head() == NEWEST
    silent = [
        script.revision
        for script in scripts.walk_revisions()
        if script.revision > "0009" and not hasattr(script.module, "works_from")
    ]
    assert silent == []


def test_servers_serve_and_start_on_what_later_releases_have_added_and_not_where_they_miss_something(
    conn: Connection, servers: Servers, database_url: str, later: LaterRelease
) -> None:
    with own_world(conn, servers) as world:
        server = world.servers.start()
        later.add(EXPAND)
        assert migrate(database_url) is Schema.CURRENT
        world.matched()
        server.restart()
        assert world.service().create_match(world.new_project()).match.matched_advisor.id

        # The release after that one does without a column that this one reads.
        later.add(CONTRACT, works_from="0011")
        assert migrate(database_url) is Schema.CURRENT
        server.terminate()
        with pytest.raises(ServerNotReady, match="of a later release, with which this one does not work"):
            server.start()


def test_a_migration_that_would_break_servers_of_the_release_before_is_refused_as_a_whole(
    database_url: str, later: LaterRelease
) -> None:
    later.add(EXPAND)
    later.add(CONTRACT, works_from="0011")
    with pytest.raises(
        CannotMigrate, match=r"revision 0012 .* from revision 0011 on, and those of revision 0010"
    ):
        migrate(database_url)
    assert current_revision(database_url) == "0010"
    # Nor by one who has another try at what somebody has begun.
    migrate(database_url, revision="0011")
    with pytest.raises(CannotMigrate):
        migrate(database_url)
    assert migrate(database_url, stopped=True) is Schema.CURRENT
    assert current_revision(database_url) == "0012"


def test_an_earlier_release_leaves_the_schema_of_a_later_one_as_it_is(
    database_url: str, later: LaterRelease, monkeypatch: pytest.MonkeyPatch
) -> None:
    later.add(EXPAND)
    later.add("SELECT 1", works_from="0010")
    migrate(database_url)
    monkeypatch.undo()
    assert look_at(database_url) is Schema.LATER
    assert migrate_command(database_url) == "0012"


def test_an_earlier_release_says_that_it_does_not_work_with_a_later_schema(
    database_url: str, later: LaterRelease, monkeypatch: pytest.MonkeyPatch
) -> None:
    later.add(EXPAND)
    later.add(CONTRACT, works_from="0011")
    migrate(database_url, stopped=True)
    monkeypatch.undo()
    assert look_at(database_url) is Schema.BEYOND
    with pytest.raises(CannotRun, match="of a later release"):
        migrate_command(database_url)


def test_no_call_fails_while_every_table_in_use_is_migrated(
    conn: Connection, servers: Servers, database_url: str, later: LaterRelease
) -> None:
    for change in EXPAND_EVERYTHING:
        later.add(change)
    with own_world(conn, servers) as world:
        world.start_together(2)
        with Load(world, servers=2) as load:
            load.wait_for_progress(300)  # by then every connection has its statements prepared
            migrate(database_url)
            load.wait_for_progress(100)
        assert load.refusals == []
        load.assert_kept()
        errors = [server.told("step_failed") for server in world.servers.all]
        assert errors == [0, 0]
    assert look_at(database_url) is Schema.CURRENT


def test_a_migration_that_waits_for_a_table_holds_nobody_up_for_long(
    conn: Connection, servers: Servers, database_url: str, later: LaterRelease
) -> None:
    later.add("ALTER TABLE advisors ADD COLUMN nickname text")
    with own_world(conn, servers) as world, ThreadPoolExecutor(1) as thread:
        world.servers.start()
        with Load(world) as load:
            load.wait_for_progress(20)
            with transaction(database_url) as reader:
                reader.execute(text("SELECT count(*) FROM advisors"))
                done = thread.submit(migrate, database_url)
                began = time.monotonic()
                while time.monotonic() - began < 2.5:
                    load.wait_for_progress(1)
                assert not done.done()
            assert done.result(timeout=30) is Schema.CURRENT
        assert load.refusals == []
