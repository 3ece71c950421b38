"""The migrations: what they make, over what, how often, and how many at once."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any
from uuid import UUID, uuid4

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, make_url, text
from sqlalchemy.exc import ProgrammingError

from matching_server.storage.migrate import (
    LOCK_KEY,
    VERSION_TABLE,
    Schema,
    current_revision,
    look_at,
    migrate,
)
from matching_server.storage.tables import metadata
from tests.support.catalog import Catalog, catalog, differences
from tests.support.databases import connected, transaction
from tests.support.history import History, every_fate
from tests.support.seed import insert_advisor
from tests.support.wait import eventually

MIGRATE = "import sys; from matching_server.storage.migrate import migrate; migrate(sys.argv[1])"
PLATFORM = """
CREATE SCHEMA auth;
CREATE TABLE auth.users (
    id uuid PRIMARY KEY, email varchar(320) UNIQUE, locale text, timezone text,
    roles text[] DEFAULT '{}', password text
);
CREATE TABLE projects (
    id uuid PRIMARY KEY, owner_id uuid REFERENCES auth.users, name text,
    technology_stack jsonb, project_complexity text, billing jsonb
);
CREATE TABLE alembic_version (version_num text);
INSERT INTO alembic_version VALUES ('platform');
INSERT INTO auth.users (id, email) VALUES (gen_random_uuid(), 'ada@example.com');
INSERT INTO projects (id, owner_id, name) SELECT gen_random_uuid(), id, 'Engine' FROM auth.users;
"""
PLATFORM_ROWS = "SELECT u::text, p::text, v::text FROM auth.users u, projects p, alembic_version v"


def run(url: str, sql: str) -> None:
    with connected(url) as conn:
        conn.execute(text(sql))


def read_catalog(url: str) -> Catalog:
    with connected(url) as conn:
        return catalog(conn)


def tables_of(url: str) -> set[str | None]:
    return {row[1] for row in read_catalog(url)["tables"]}


@pytest.fixture
def url_from_metadata(empty_database_url: str) -> str:
    """A database as the tables in the code describe it."""
    with connected(empty_database_url) as conn:
        conn.execute(text("CREATE SCHEMA auth"))
        metadata.create_all(conn)
    return empty_database_url


def test_the_tables_in_the_code_are_those_of_the_migrations(conn: Connection) -> None:
    options = {"include_schemas": True, "compare_server_default": True, "version_table": VERSION_TABLE}
    found = compare_metadata(MigrationContext.configure(conn, opts=options), metadata)
    # Defaults are compared by what they give, and a new id is never the same: its text is compared below.
    assert [change for change in found if not is_default_of(change, "session_id")] == []


def is_default_of(change: Any, column: str) -> bool:
    return isinstance(change, list) and [step[0] for step in change if step[3] == column] == [
        "modify_default"
    ]


def test_postgres_sees_no_difference_between_code_and_migrations(
    database_url: str, url_from_metadata: str
) -> None:
    assert differences(read_catalog(database_url), read_catalog(url_from_metadata)) == []


@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE advisors ALTER rating TYPE numeric",
        "ALTER TABLE advisors ALTER display_name DROP NOT NULL",
        "ALTER TABLE advisors ALTER active SET DEFAULT false",
        "ALTER TABLE advisor_availability DROP has_slot",
        "ALTER TABLE advisor_availability RESET (fillfactor)",
        "ALTER TABLE project_advisors DROP CONSTRAINT ck_project_advisors_role",
        "DROP INDEX ix_advisor_match_requests_pending;"
        " CREATE INDEX ix_advisor_match_requests_pending ON advisor_match_requests (created_at, id)",
        "COMMENT ON TABLE projects IS 'ours'",
    ],
)
def test_postgres_would_see_a_difference(database_url: str, url_from_metadata: str, change: str) -> None:
    run(url_from_metadata, change)
    assert differences(read_catalog(database_url), read_catalog(url_from_metadata))


def test_up_from_empty(empty_database_url: str) -> None:
    assert current_revision(empty_database_url) is None
    assert look_at(empty_database_url) is Schema.BEHIND
    migrate(empty_database_url)
    assert current_revision(empty_database_url) is not None
    assert look_at(empty_database_url) is Schema.CURRENT
    assert tables_of(empty_database_url) == {table.name for table in metadata.tables.values()}


def test_a_second_run_changes_nothing(database_url: str, conn: Connection) -> None:
    epoch = conn.execute(text("SELECT epoch FROM event_log_epoch")).scalar_one()
    before = read_catalog(database_url)
    migrate(database_url)
    assert read_catalog(database_url) == before
    assert conn.execute(text("SELECT epoch FROM event_log_epoch")).scalar_one() == epoch


@contextmanager
def migrations_held_up(conn: Connection, waiting: int) -> Iterator[None]:
    """Holds the lock that a migration asks for until so many processes wait for it."""
    conn.execute(text("SELECT pg_advisory_lock(:key)"), {"key": LOCK_KEY})
    yield
    asking = text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
    eventually(lambda: conn.execute(asking).scalar_one() == waiting, timeout=30, what="all wait for the lock")
    conn.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": LOCK_KEY})


def test_two_at_once_are_safe(empty_database_url: str) -> None:
    command = [sys.executable, "-c", MIGRATE, empty_database_url]
    with connected(empty_database_url) as conn, migrations_held_up(conn, waiting=2):
        both = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate(timeout=60)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert look_at(empty_database_url) is Schema.CURRENT


def test_what_the_platform_owns_is_left_alone(empty_database_url: str) -> None:
    run(empty_database_url, PLATFORM)
    before = read_catalog(empty_database_url)
    with connected(empty_database_url) as conn:
        rows = conn.execute(text(PLATFORM_ROWS)).all()
        migrate(empty_database_url)
        assert conn.execute(text(PLATFORM_ROWS)).all() == rows
    after = read_catalog(empty_database_url)
    assert all(before[subject] <= after[subject] for subject in before)
    platform = {"users", "projects", "alembic_version"}
    for subject in ("columns", "constraints", "indexes"):
        assert {row for row in after[subject] if row[0] in platform} == before[subject]


def test_few_rights_are_enough_beside_the_platform(empty_database_url: str) -> None:
    """Neither does the service need to own the platform's tables, nor the platform the service's."""
    service, platform = (f"{name}_{uuid4().hex}" for name in ("service", "platform"))
    run(empty_database_url, PLATFORM)
    run(
        empty_database_url,
        f"""
        CREATE ROLE {service} LOGIN PASSWORD 'secret';
        CREATE ROLE {platform} LOGIN PASSWORD 'secret';
        GRANT CREATE ON SCHEMA public TO {service};
        GRANT USAGE ON SCHEMA auth TO {service}, {platform};
        GRANT SELECT, REFERENCES ON auth.users, projects TO {service};
        GRANT SELECT, DELETE ON auth.users, projects TO {platform};
        """,
    )

    def url_of(role: str) -> str:
        url = make_url(empty_database_url).set(username=role, password="secret")
        return url.render_as_string(hide_password=False)

    migrate(url_of(service))
    run(
        url_of(service),
        """
        INSERT INTO advisors (id, display_name) SELECT id, 'Ada' FROM auth.users;
        INSERT INTO advisor_availability (advisor_id, current_projects) SELECT id, 1 FROM advisors;
        INSERT INTO project_advisors (project_id, advisor_id) SELECT p.id, a.id FROM projects p, advisors a;
        """
        f"GRANT DELETE ON project_advisors TO {platform}",
    )
    run(url_of(platform), "SET search_path = auth; DELETE FROM public.project_advisors")
    with connected(url_of(service)) as conn:
        assert conn.execute(text("SELECT current_projects FROM advisor_availability")).scalar_one() == 0
    run(url_of(platform), "DELETE FROM projects; DELETE FROM auth.users")


def test_a_migration_that_fails_leaves_nothing(empty_database_url: str) -> None:
    run(empty_database_url, "CREATE TABLE idempotent_requests ()")
    with pytest.raises(ProgrammingError, match="already exists"):
        migrate(empty_database_url)
    assert tables_of(empty_database_url) == {"idempotent_requests"}
    assert current_revision(empty_database_url) is None


def test_notifications_that_nothing_has_delivered_for_days_are_not_sent_all_at_once(
    empty_database_url: str,
) -> None:
    migrate(empty_database_url, revision="0004")
    run(
        empty_database_url,
        "INSERT INTO notification_outbox (type, recipient_id, status, created_at)"
        " SELECT status || age, gen_random_uuid(), status, clock_timestamp() - make_interval(hours => age)"
        " FROM unnest(ARRAY['pending', 'sent']) AS status, unnest(ARRAY[25, 23]) AS age",
    )
    migrate(empty_database_url)
    with connected(empty_database_url) as conn:
        rows = conn.execute(
            text(
                "SELECT type, status, last_error, attempt_count, next_attempt_at IS NULL"
                " FROM notification_outbox ORDER BY type"
            )
        ).all()
    assert rows == [
        ("pending23", "pending", None, 0, False),
        ("pending25", "dead", "too old to be sent", 0, True),
        ("sent23", "sent", None, 0, False),
        ("sent25", "sent", None, 0, False),
    ]


# ------------------------------------------------------------------------------ what the database keeps by itself


@pytest.fixture
def history(conn: Connection) -> History:
    return History(conn)


_ADVISOR = "advisor_id = :id"


def load_of(history: History, advisor: UUID) -> int:
    return int(history.ask(f"SELECT current_projects FROM advisor_availability WHERE {_ADVISOR}", id=advisor))


def test_every_write_of_a_match_is_counted_and_its_former_status_kept(history: History) -> None:
    match = history.offered()
    written = history.get(match, "updated_at")
    history.set(match, "match_reason = 'the only one'")
    assert (history.get(match, "version"), history.get(match, "previous_status")) == (2, None)
    assert history.get(match, "updated_at") > written
    history.approve(match, "client")
    history.set(match, "match_reason = 'still the only one'")
    assert history.get(match, "previous_status") == "matched"
    # Whatever a writer says of it.
    history.set(match, "version = 1")
    assert history.get(match, "version") == 6


def test_availability_mirrors_whether_the_advisor_is_active(history: History) -> None:
    advisor = insert_advisor(history.conn, active=False)
    slot = f"SELECT has_slot FROM advisor_availability WHERE {_ADVISOR}"
    assert history.ask(slot, id=advisor) is False
    history.run("UPDATE advisors SET active = true")
    assert history.ask(slot, id=advisor) is True
    history.run("UPDATE advisors SET active = false")
    assert history.ask(slot, id=advisor) is False


@pytest.mark.parametrize("first", ["deactivation", "availability"])
def test_an_availability_made_during_a_deactivation_mirrors_it(
    database_url: str, history: History, first: str
) -> None:
    advisor = insert_advisor(history.conn)
    history.run("DELETE FROM advisor_availability")
    deactivate = text("UPDATE advisors SET active = false")
    make = text("INSERT INTO advisor_availability (advisor_id) SELECT id FROM advisors")
    before, after = (deactivate, make) if first == "deactivation" else (make, deactivate)
    waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
    with ThreadPoolExecutor(1) as thread:
        with transaction(database_url) as other:
            other.execute(before)
            second = thread.submit(run, database_url, after.text)
            eventually(lambda: history.ask(waiting) == 1, what="the second waits for the first")
        second.result(timeout=10)
    assert history.ask(f"SELECT has_slot FROM advisor_availability WHERE {_ADVISOR}", id=advisor) is False


def test_a_project_that_the_platform_deletes_frees_its_advisors(history: History) -> None:
    fates = every_fate(history)
    ready, released = (history.get(fates[fate], "matched_advisor_id") for fate in ("ready", "released"))
    history.offered(advisor_id=released)
    assert (load_of(history, ready), load_of(history, released)) == (1, 1)
    history.run("DELETE FROM projects")
    # An offer is the service's to close, and access that has ended held nothing.
    assert (load_of(history, ready), load_of(history, released)) == (0, 1)


def test_a_slot_that_an_offer_still_holds_is_not_freed_twice(history: History) -> None:
    """The platform may grant access itself, where a finalized match is not provisioned by the service."""
    match = every_fate(history)["by_hand"]
    advisor = history.get(match, "matched_advisor_id")
    history.run(
        "INSERT INTO project_advisors (project_id, advisor_id)"
        " SELECT project_id, matched_advisor_id FROM advisor_match_requests WHERE id = :match",
        match=match,
    )
    history.run("DELETE FROM projects WHERE id = :project", project=history.get(match, "project_id"))
    assert load_of(history, advisor) == 1
    history.close(match, "expired", "advisor.match_expired", "project_gone")
    assert load_of(history, advisor) == 0


def test_the_platform_reads_the_chat_under_its_own_name(history: History) -> None:
    every_fate(history)
    row = history.conn.execute(text("SELECT * FROM project_chat_log_minimal LIMIT 1")).mappings().one()
    assert list(row) == [
        *("id", "project_id", "user_id", "actor_type", "message_type", "mode"),
        *("text", "response_data", "client_msg_id", "seq", "created_at"),
    ]
    assert row["response_data"]["event_code"] == "advisor_joined"


EVERY_OTHER_ROW = """
INSERT INTO admin_advisor_assignments (project_id, advisor_id, match_id, assignment_type, assigned_by)
SELECT project_id, coalesce(matched_advisor_id, requested_by), id, 'manual_assignment', requested_by
FROM advisor_match_requests;
INSERT INTO admin_preference_rules (advisor_id, effect, project_id, created_by)
SELECT matched_advisor_id, 'require', project_id, requested_by FROM advisor_match_requests
WHERE matched_advisor_id IS NOT NULL;
INSERT INTO unified_chat_messages (id, project_id, user_id, actor_type, message_type, text, seq)
SELECT gen_random_uuid(), p.id, p.owner_id, 'client', 'user', 'Hello', 0 FROM projects p;
INSERT INTO unified_chat_sessions (project_id, user_id, actor_type, session_state)
SELECT p.id, p.owner_id, 'client', 'active' FROM projects p;
INSERT INTO used_nonces (kid, nonce, call_id) SELECT 'test', id::text, id FROM projects;
INSERT INTO idempotent_requests (caller, request_id, method, body_hash, answer)
SELECT owner_id, id, 'Create', '', '' FROM projects;
INSERT INTO stream_servers (id) SELECT id FROM projects;
INSERT INTO open_streams (id, user_id, watch_id, server_id) SELECT id, owner_id, 'mine', id FROM projects;
"""
HISTORY = {
    "advisor_match_requests",
    "admin_advisor_assignments",
    "admin_matching_interventions",
    "workspace_provisioning_queue",
    "workspace_provisioning_attempts",
    "unified_chat_messages",
    "notification_outbox",
    "project_events",
    "project_event_heads",
}
OF_PROJECTS = {"projects", "project_advisors", "unified_chat_sessions", "admin_preference_rules"}
OF_ADVISORS = {"advisors", "advisor_availability", "admin_preference_rules"}
_WITH_ADVISOR = "SELECT matched_advisor_id FROM advisor_match_requests"


@pytest.mark.parametrize(
    ("delete", "emptied"),
    [
        ("DELETE FROM projects", OF_PROJECTS),
        ("DELETE FROM advisors", OF_ADVISORS),
        (f"DELETE FROM auth.users WHERE id IN ({_WITH_ADVISOR})", OF_ADVISORS | {"project_advisors"}),
        ("DELETE FROM auth.users WHERE id IN (SELECT owner_id FROM projects)", OF_PROJECTS),
        ("DELETE FROM auth.users", OF_PROJECTS | OF_ADVISORS | {"users"}),
    ],
)
def test_the_platform_may_delete_anybody_and_history_stays(
    history: History, delete: str, emptied: set[str]
) -> None:
    """The audit at the end of the test adds that nobody's load is wrong."""
    every_fate(history)
    history.run(EVERY_OTHER_ROW)
    before = counts(history)
    assert all(count > 0 for count in before.values()), before
    history.run(delete)
    after = counts(history)
    assert {name: after[name] for name in HISTORY} == {name: before[name] for name in HISTORY}
    assert {name: after[name] for name in emptied} == dict.fromkeys(emptied, 0)


def counts(history: History) -> dict[str, int]:
    tables = metadata.tables.values()
    return {table.name: history.ask(f"SELECT count(*) FROM {table.fullname}") for table in tables}
