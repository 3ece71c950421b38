"""The usual case in two statements leaves behind what the general case leaves behind, or nothing at all."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from matching_server.domain.errors import ProjectNotFound, StorageUnavailable, Unauthenticated
from matching_server.domain.model import MatchCriteria, MatchStatus, ScoringWeights, TechStack
from matching_server.operations import offering
from matching_server.operations.commands import CreatedMatch, CreateMatch
from matching_server.operations.matching import create_match, explain_match
from matching_server.operations.runner import Runner
from matching_server.storage.database import Database
from tests.integration.world import World, answers, call, encoded, together
from tests.support.databases import connected
from tests.support.locks import held
from tests.support.rounds import rounds
from tests.support.seed import insert_advisors, insert_projects

CRITERIA = MatchCriteria(
    TechStack("Go", ("Go", "SQL"), ("payments",)), ScoringWeights(1, 2, 3, 4), None, (uuid4(),)
)
TABLES = {
    "advisor_match_requests": ("id", "project_id", "requested_by", "created_at", "updated_at", "expires_at"),
    "project_events": ("project_id", "user_id", "created_at"),
    "project_event_heads": ("project_id",),
    "notification_outbox": ("id", "created_at", "updated_at", "next_attempt_at"),
    "idempotent_requests": ("caller", "request_id", "created_at"),
    "used_nonces": ("nonce", "call_id", "used_at"),
}
"""What a request leaves behind, and the columns that differ from one to the next."""
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d[T ][\d:.+]+")
_ANSWER = re.compile(r'"answer": "[^"]*"')


@pytest.fixture
def general(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Turns the usual case off."""
    return lambda: monkeypatch.setattr(offering, "offer_at_once", lambda *_: None)


def written(world: World, project: UUID, match: UUID) -> dict[str, list[str]]:
    """All rows, with the ids and times of this request taken out."""
    rows = {}
    for table, own in TABLES.items():
        columns = " - ".join(["to_jsonb(t)", *(f"'{name}'" for name in own)])
        found = world.rows(f"SELECT ({columns})::text FROM {table} t")
        rows[table] = [
            str(row[0]).replace(str(match), "MATCH").replace(str(project), "PROJECT") for row in found
        ]
    return rows


@pytest.mark.parametrize("new", [False, True], ids=["with a log", "without"])
@pytest.mark.parametrize("large", [False, True], ids=["small", "large"])
def test_both_ways_write_the_same(world: World, general: Callable[[], None], large: bool, new: bool) -> None:
    insert_advisors(world.conn, 60 if large else 3, slots=5, languages=["go"], timezone="Asia/Kolkata")
    found = []
    for usual in (True, False):
        if not usual:
            general()
        for table in (*TABLES, "projects"):
            world.run(f"DELETE FROM {table}")
        world.run("UPDATE advisor_availability SET current_projects = 0, last_assigned_at = NULL")
        [project] = insert_projects(world.conn, 1)
        if not new:
            world.run("INSERT INTO project_event_heads (project_id) VALUES (:id)", id=project)
        by = world.client(project, nonce="00" * 16, request_id=uuid4())
        by = by.__class__(by.caller, "correlation", by.nonce, by.request_key)
        answer = world.ask_for(project, by, criteria=CRITERIA, allow_previous=True)
        match = world.ask("SELECT id FROM advisor_match_requests")
        given = answer if isinstance(answer, bytes) else f"{answer.match.id}".encode()
        assert str(match).encode() in given
        rows = written(world, project, match)
        rows["idempotent_requests"] = [
            row.replace(str(match), "MATCH") for row in rows["idempotent_requests"]
        ]
        found.append(_without_moments(world, rows))
    assert found[0] == found[1]


def _without_moments(world: World, rows: dict[str, list[str]]) -> dict[str, list[str]]:
    """The moment of decision and the answer's bytes hold times and ids inside of values."""
    return {
        table: sorted(_ANSWER.sub("", _MOMENT.sub("NOW", row)) for row in found)
        for table, found in rows.items()
    }


@pytest.mark.parametrize("new", [False, True], ids=["with a log", "without"])
def test_the_usual_case_is_two_statements(world: World, monkeypatch: pytest.MonkeyPatch, new: bool) -> None:
    world.advisor()
    [project] = insert_projects(world.conn, 1)
    if not new:
        world.run("INSERT INTO project_event_heads (project_id) VALUES (:id)", id=project)
    by = world.client(project, nonce="00" * 16, request_id=uuid4())
    monkeypatch.setattr("matching_server.operations.runner.Runner.run_once", _must_not_run)
    assert world.ask_for(project, by)
    assert world.ask("SELECT count(*) FROM advisor_match_requests WHERE status = 'matched'") == 1


def _must_not_run(*_: Any) -> None:
    raise AssertionError("the general case ran")


def nothing_left(world: World) -> bool:
    counts = [
        world.ask(f"SELECT count(*) FROM {table}") for table in TABLES if table != "project_event_heads"
    ]
    return not any(counts)


def test_a_replay_is_refused_and_leaves_nothing(world: World) -> None:
    world.advisor(slots=5)
    first, second = insert_projects(world.conn, 2)
    world.run("INSERT INTO project_event_heads (project_id) SELECT id FROM projects")
    world.ask_for(first, world.client(first, nonce="00" * 16))
    with pytest.raises(Unauthenticated):
        world.ask_for(second, world.client(second, nonce="00" * 16))
    assert world.ask("SELECT count(*) FROM advisor_match_requests") == 1


def test_a_head_that_moved_since_it_was_looked_at_is_left_to_the_general_case(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another request for the project is answered in between: both get the one match."""
    world.advisor(slots=5)
    project = world.project()
    world.run("INSERT INTO project_event_heads (project_id) SELECT id FROM projects")
    offer = offering.offer_at_once
    first: list[CreatedMatch | bytes] = []

    def late(*args: Any) -> CreatedMatch | bytes | None:
        if not first:
            monkeypatch.setattr(offering, "offer_at_once", offer)
            first.append(world.ask_for(project))
        return offer(*args)

    monkeypatch.setattr(offering, "offer_at_once", late)
    second = world.ask_for(project)
    assert isinstance(first[0], CreatedMatch)
    assert isinstance(second, CreatedMatch)
    assert (second.match.id, second.already_open) == (first[0].match.id, True)


@pytest.mark.parametrize("new", [False, True], ids=["with a log", "without"])
def test_a_project_that_got_another_owner_since_it_was_looked_at_is_not_there_for_the_former(
    world: World, monkeypatch: pytest.MonkeyPatch, new: bool
) -> None:
    world.advisor(slots=5)
    project = world.project()
    if not new:
        world.run("INSERT INTO project_event_heads (project_id) SELECT id FROM projects")
    by, offer = world.client(project), offering.offer_at_once

    def late(*args: Any) -> CreatedMatch | bytes | None:
        world.run("INSERT INTO auth.users (id) VALUES (:id)", id=(other := uuid4()))
        world.run("UPDATE projects SET owner_id = :id", id=other)
        return offer(*args)

    monkeypatch.setattr(offering, "offer_at_once", late)
    with pytest.raises(ProjectNotFound):
        world.ask_for(project, by)
    assert world.ask("SELECT count(*) FROM advisor_match_requests") == 0


def test_the_first_requests_for_a_new_project_are_one_match(world: World) -> None:
    advisor = world.advisor(slots=20)
    for _ in range(rounds(5)):
        project = world.project()
        created = answers(together(*[lambda project=project: world.create(project) for _ in range(8)]))
        assert len({match.id for match in created}) == 1
        assert world.told(project) == ["advisor.matched"]
    assert world.load(advisor) == rounds(5)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE advisor_availability SET status = 'busy' WHERE advisor_id = :id",
        "UPDATE advisor_availability SET max_concurrent_projects = 2 WHERE advisor_id = :id",
        "UPDATE advisors SET skills = '{new}' WHERE id = :id",
        "UPDATE advisor_availability SET availability_preferences = '{\"auto_accept\": true}' WHERE advisor_id = :id",
        "UPDATE advisors SET active = false WHERE id = :id",
        "DELETE FROM auth.users WHERE id = :id",
    ],
)
def test_whoever_is_no_longer_as_they_were_ranked_is_ranked_anew(
    world: World, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    """The change commits between the ranking and the claim."""
    best, _ = world.advisor(rating=5), world.advisor(rating=4)
    project = world.project()
    world.run("INSERT INTO project_event_heads (project_id) SELECT id FROM projects")
    propose = world.picture.propose

    def overtaken(*args: Any) -> Any:
        proposal = propose(*args)
        world.run(change, id=best)
        monkeypatch.setattr(world.picture, "propose", propose)
        return proposal

    monkeypatch.setattr(world.picture, "propose", overtaken)
    match = world.create(project)
    stored = world.match(match.id)
    assert stored.matched_advisor == match.matched_advisor
    if "busy" in change or "false" in change or "DELETE" in change:
        assert match.matched_advisor_id != best
    else:
        assert match.matched_advisor_id == best
    if "auto_accept" in change:
        assert match.status is MatchStatus.ADVISOR_ACCEPTED
    if "skills" in change:
        assert match.matched_advisor is not None
        assert match.matched_advisor.skills == ("new",)


def test_a_held_row_is_waited_for_a_moment_and_then_left_to_the_general_case(world: World) -> None:
    best, other = world.advisor(rating=5), world.advisor(rating=4)
    project = world.project()
    world.run("INSERT INTO project_event_heads (project_id) SELECT id FROM projects")
    with held(world.conn, "SELECT FROM advisor_availability WHERE advisor_id = :id FOR UPDATE", id=best):
        assert world.create(project).matched_advisor_id == other


def test_concurrent_usual_cases_get_what_serial_ones_would(world: World, database_url: str) -> None:
    """Twelve requests at once over six advisors of two slots: each slot once, and never two before each has one."""
    ids = insert_advisors(world.conn, 6, slots=2)
    projects = insert_projects(world.conn, 12)
    world.run("INSERT INTO project_event_heads (project_id) SELECT id FROM projects")
    picture = world.picture
    picture._max_age = 1_000
    picture.look()
    works = [lambda project=project: world.create(project, world.client(project)) for project in projects[:6]]
    first = answers(together(*works))
    assert sorted(str(match.matched_advisor_id) for match in first) == sorted(map(str, ids))
    works = [lambda project=project: world.create(project, world.client(project)) for project in projects[6:]]
    second = answers(together(*works))
    assert sorted(str(match.matched_advisor_id) for match in second) == sorted(map(str, ids))
    with connected(database_url) as conn:
        assert conn.exec_driver_sql("SELECT min(current_projects) FROM advisor_availability").scalar() == 2


def test_a_boost_of_any_legal_size_is_a_boost(world: World) -> None:
    """The record keeps exact fractions, whose integers have any length."""
    insert_advisors(world.conn, 60)
    best = world.advisor(rating=5)
    world.run(
        "INSERT INTO admin_preference_rules (advisor_id, effect, boost, created_by) VALUES (:id, 'boost', :boost, :id)",
        id=best,
        boost=-1 / 70,
    )
    match = world.create()
    record, replays = explain_match(world.runner, call(), match.id)
    assert replays
    assert str(best) in {one["advisor_id"] for one in [record["chosen"], *record["runners_up"]]}


def test_a_database_that_takes_no_writes_is_unavailable(world: World, database_url: str) -> None:
    world.advisor()
    project = world.project()
    world.run("INSERT INTO project_event_heads (project_id) SELECT id FROM projects")
    world.database.read(lambda conn: conn.execute(text("SELECT 1")))
    name = world.ask("SELECT current_database()")
    world.run(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
    reader = Database(database_url, pool_size=1, application_name="read-only")
    try:
        runner = Runner(reader, world.policy, world.picture, world.effects.append)
        with pytest.raises(StorageUnavailable):
            create_match(runner, world.client(project), CreateMatch(project), encoded)
    finally:
        reader.close()


def test_a_rule_that_comes_while_an_offer_is_tried_again_is_respected(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    best, second, other = world.advisor(rating=5), world.advisor(rating=4), world.advisor(rating=3)
    project = world.project()
    world.run("INSERT INTO project_event_heads (project_id) SELECT id FROM projects")
    propose = world.picture.propose

    def overtaken(*args: Any) -> Any:
        proposal = propose(*args)
        world.run("UPDATE advisor_availability SET status = 'busy' WHERE advisor_id = :id", id=best)
        world.run(
            "INSERT INTO admin_preference_rules (advisor_id, effect, created_by) VALUES (:id, 'exclude', :id)",
            id=second,
        )
        monkeypatch.setattr(world.picture, "propose", propose)
        return proposal

    monkeypatch.setattr(world.picture, "propose", overtaken)
    assert world.create(project).matched_advisor_id == other
