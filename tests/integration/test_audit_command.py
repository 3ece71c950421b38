"""`matching-server audit`: what it prints, what its status says, and what it mends."""

from __future__ import annotations

from subprocess import CompletedProcess

import pytest
import redis
from sqlalchemy import Connection, text

from tests.integration.world import World
from tests.support.seed import insert_advisor
from tests.support.spawning import run_command

BREAK = text("UPDATE advisor_availability SET current_projects = 2")


def audit(url: str | None, *arguments: str, **settings: str) -> CompletedProcess[str]:
    """The command, on that database."""
    return run_command("audit", *arguments, url=url, **settings)


def outcome(done: CompletedProcess[str]) -> tuple[int, str]:
    return done.returncode, done.stdout


@pytest.mark.parametrize("arguments", [(), ("--repair",)])
def test_a_sound_database_is_called_so(database_url: str, arguments: tuple[str, ...]) -> None:
    assert outcome(audit(database_url, *arguments)) == (0, "all 12 invariants hold\n")


def test_a_violation_is_printed_with_its_rows_and_mended_when_asked(
    database_url: str, conn: Connection
) -> None:
    advisor = insert_advisor(conn)
    conn.execute(BREAK)
    code, told = outcome(audit(database_url))
    assert code == 1
    first, *rows = told.splitlines()
    assert first.startswith("load_is_counted: an advisor's current_projects")
    assert rows == [f"  advisor_id={advisor}, current_projects=2, counted=0"]
    done = audit(database_url, "--repair")
    assert outcome(done) == (0, "repaired load_is_counted: 1\nall 12 invariants hold\n")
    assert str(advisor) in done.stderr
    assert outcome(audit(database_url, "--repair")) == (0, "all 12 invariants hold\n")
    logged = "SELECT intervention_type, created_by FROM admin_matching_interventions"
    assert [tuple(row) for row in conn.execute(text(logged))] == [("invariant_repair", None)]


@pytest.mark.plants_violations("log_has_no_gap")
def test_what_is_left_after_a_repair_is_a_violation(database_url: str, world: World) -> None:
    world.advisor()
    world.create()
    world.run("UPDATE project_event_heads SET last_seq = last_seq + 1")
    world.conn.execute(BREAK)
    code, told = outcome(audit(database_url, "--repair"))
    assert code == 1
    assert told.splitlines()[0] == "repaired load_is_counted: 1"
    assert told.splitlines()[1].startswith("log_has_no_gap: ")
    assert "invariants hold" not in told


@pytest.mark.plants_violations
def test_of_a_great_many_rows_it_says_that_there_are_more(database_url: str, conn: Connection) -> None:
    for _ in range(101):
        insert_advisor(conn)
    conn.execute(BREAK)
    code, told = outcome(audit(database_url))
    assert (code, len(told.splitlines())) == (1, 102)
    assert told.splitlines()[-1] == "  and perhaps more"


def test_what_is_late_is_by_the_servers_settings(database_url: str, world: World) -> None:
    world.advisor()
    world.create()
    world.run("UPDATE advisor_match_requests SET expires_at = clock_timestamp() - interval '15 s'")
    assert audit(database_url, sweep_seconds="60").returncode == 0
    assert audit(database_url).returncode == 1
    assert audit(database_url, "--repair", sweep_seconds="60").returncode == 0
    assert outcome(audit(database_url, "--repair"))[1].splitlines()[0] == "repaired expired_is_closed: 1"


def test_what_is_cached_of_whom_it_mends_is_forgotten(
    database_url: str, redis_url: str, conn: Connection
) -> None:
    broken, sound = (f"advisor_matching:availability:{insert_advisor(conn)}" for _ in range(2))
    conn.execute(text(f"{BREAK} WHERE advisor_id = :id"), {"id": broken.rpartition(":")[2]})
    with redis.Redis.from_url(redis_url) as cache:
        cache.mset({broken: "=old", sound: "=new"})
        assert audit(database_url, "--repair", redis_url=redis_url).returncode == 0
        assert cache.mget(broken, sound) == [None, b"=new"]


@pytest.mark.parametrize(
    ("arguments", "settings", "complaint"),
    [
        ((), {}, "MATCHING_DATABASE_URL is not set"),
        (("--fix",), {}, "No such option: --fix"),
        (("now",), {}, "unexpected extra argument"),
        ((), {"database_url": "nowhere"}, "is not a database URL"),
        ((), {"database_url": "postgresql+psycopg://127.0.0.1:1/x"}, "cannot be used"),
        ((), {"sweep_seconds": "never"}, "MATCHING_SWEEP_SECONDS"),
    ],
)
def test_where_it_cannot_be_asked_it_says_why_in_one_line(
    arguments: tuple[str, ...], settings: dict[str, str], complaint: str
) -> None:
    done = audit(None, *arguments, **settings)
    assert (done.returncode, done.stdout) == (2, "")
    [line] = done.stderr.splitlines()
    assert complaint in line


def test_it_needs_the_newest_schema(empty_database_url: str) -> None:
    done = audit(empty_database_url)
    assert done.returncode == 2
    assert "run 'matching-server migrate'" in done.stderr
