"""`matching-server seed`: a directory out of a file, or of synthetic advisors by the thousand."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from subprocess import CompletedProcess
from uuid import uuid4

from sqlalchemy import Connection, text

from matching_server.domain.model import MatchStatus
from matching_server.operations import backlog
from matching_server.seeding import AddedBatch, add_synthetic_advisors
from matching_server.storage import availability, directory
from matching_server.storage.database import Database
from matching_server.synthetic import synthetic_advisor
from tests.integration.world import World
from tests.support.spawning import run_command

SAMPLE = Path(__file__).parents[2] / "examples" / "directory.json"
EVERYTHING = text(
    "SELECT md5(string_agg(t::text, ' ' ORDER BY t::text)) FROM ("
    " SELECT u::text AS t FROM auth.users u UNION ALL SELECT a::text FROM advisors a"
    " UNION ALL SELECT v::text FROM advisor_availability v) rows"
)


def seed(url: str | None, *arguments: str) -> CompletedProcess[str]:
    """The command, on that database."""
    return run_command("seed", *arguments, url=url)


def count(conn: Connection) -> int:
    """How many advisors there are, each of them with a user and with availability."""
    rows = conn.execute(
        text(
            "SELECT count(*), count(u.id), count(v.advisor_id) FROM advisors a"
            " LEFT JOIN auth.users u USING (id) LEFT JOIN advisor_availability v ON v.advisor_id = a.id"
        )
    ).one()
    assert len(set(rows)) == 1
    return int(rows[0])


def test_the_same_number_changes_nothing_and_a_larger_one_adds_the_rest(
    database_url: str, conn: Connection
) -> None:
    first = seed(database_url, "--advisors", "2500")
    assert (first.returncode, first.stdout) == (0, "2,500 advisors added, none was there before\n")
    assert "Adding advisors" in first.stderr
    assert "100%" in first.stderr
    assert count(conn) == 2500
    before = conn.execute(EVERYTHING).scalar_one()

    again = seed(database_url, "--advisors", "2500")
    assert (again.returncode, again.stdout) == (0, "nothing changed: all 2,500 were there already\n")
    assert conn.execute(EVERYTHING).scalar_one() == before

    more = seed(database_url, "--advisors", "6000")
    assert (more.returncode, more.stdout) == (0, "3,500 advisors added, 2,500 were there already\n")
    others = seed(database_url, "--advisors", "10", "--seed", "2")
    assert (others.returncode, others.stdout) == (0, "10 advisors added, none was there before\n")
    assert count(conn) == 6010


def test_what_is_stored_is_who_was_made_up(database: Database) -> None:
    assert list(add_synthetic_advisors(database, 2_001, 7)) == [AddedBatch(2_000, 2_000), AddedBatch(1, 1)]
    for number in (0, 1, 1_999, 2_000):
        made = synthetic_advisor(7, number)
        profile = database.read(partial(directory.get_advisor, advisor_id=made.profile.id))
        assert profile == replace(made.profile, active=True)
        stored = availability.get(database.ask, made.profile.id)
        assert stored is not None
        assert (stored.max_concurrent_projects, stored.preferences) == (made.slots, made.preferences)


def test_who_is_there_already_stays_as_they_are(world: World) -> None:
    made = synthetic_advisor(1, 0)
    for _ in add_synthetic_advisors(world.database, 1, 1):
        pass
    match = world.create()
    world.run("UPDATE advisors SET display_name = 'Married now'")
    world.run("UPDATE advisor_availability SET status = 'busy'")
    assert list(add_synthetic_advisors(world.database, 3, 1)) == [AddedBatch(3, 2)]
    assert world.load(made.profile.id) == 1
    assert world.ask("SELECT display_name FROM advisors WHERE id = :id", id=made.profile.id) == "Married now"
    assert match.matched_advisor_id == made.profile.id


def test_a_run_that_was_cut_short_is_finished_by_the_next(world: World) -> None:
    steps = add_synthetic_advisors(world.database, 4_500, 1)
    next(steps)
    assert count(world.conn) == 2_000
    rest = list(add_synthetic_advisors(world.database, 4_500, 1))
    assert rest == [AddedBatch(2_000, 0), AddedBatch(2_000, 2_000), AddedBatch(500, 500)]


def test_who_waits_is_given_one_of_those_that_were_added(world: World) -> None:
    waiting = world.create()
    assert waiting.status is MatchStatus.PENDING
    for _ in add_synthetic_advisors(world.database, 60, 1):
        pass
    assert backlog.run_pass(world.runner) == 1
    assert world.match(waiting.id).score is not None, "60 are ranked by score"


def test_a_file_and_synthetic_advisors_can_come_together(database_url: str, conn: Connection) -> None:
    both = seed(database_url, str(SAMPLE), "--advisors", "40")
    assert (both.returncode, both.stdout) == (0, "40 advisors added, none was there before\n")
    assert count(conn) == 100
    assert conn.execute(text("SELECT count(*) FROM projects")).scalar_one() > 0
    alone = seed(database_url, str(SAMPLE))
    assert (alone.returncode, alone.stdout) == (0, "")
    assert count(conn) == 100


def refusal(url: str | None, *arguments: str) -> str:
    refused = seed(url, *arguments)
    assert (refused.returncode, refused.stdout) == (2, "")
    [line] = refused.stderr.splitlines()
    return line.removeprefix("matching-server: ")


def test_what_cannot_be_done_is_said_in_one_line(
    database_url: str, empty_database_url: str, tmp_path: Path
) -> None:
    assert refusal(database_url) == "seed: name a FILE, or say with --advisors how many to make"
    assert "greater than or equal to 1" in refusal(database_url, "--advisors", "0")
    assert "--advisors" in refusal(database_url, "--advisors", "many")
    assert "No such file" in refusal(database_url, str(tmp_path / "nothing.json"), "--advisors", "1")
    assert refusal(None, "--advisors", "1") == "MATCHING_DATABASE_URL is not set"
    assert "run 'matching-server migrate'" in refusal(empty_database_url, "--advisors", "1")
    away = "postgresql+psycopg://nobody@127.0.0.1:1/nothing"
    assert refusal(away, "--advisors", "1").startswith("the database of MATCHING_DATABASE_URL cannot be used")


def test_a_wrong_entry_is_named_and_nothing_is_loaded(
    database_url: str, conn: Connection, tmp_path: Path
) -> None:
    file = tmp_path / "directory.json"
    file.write_text(json.dumps({"advisors": [{"profile": {"id": str(uuid4()), "rating": 9}}]}))
    assert f"{file}, advisors[0]:" in refusal(database_url, str(file), "--advisors", "5")
    assert count(conn) == 0
