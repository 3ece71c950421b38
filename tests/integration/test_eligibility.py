"""Who comes into question for a match is the same in the backlog, in claims and in the ranking's own words."""

from __future__ import annotations

import json
import random
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from matching_server.domain.model import MatchCriteria, MatchStatus, ProjectComplexity, Side, TechStack
from matching_server.storage import backlog, eligibility, matches
from matching_server.storage.database import Transaction
from matching_server.storage.json_values import criteria_to_json
from matching_server.storage.project_context import project_context
from tests.integration.world import World
from tests.support import rules
from tests.support.rounds import rounds
from tests.support.seed import insert_advisors, insert_projects

COOLDOWN = timedelta(hours=168)
ANY_TIME = timedelta(days=1)
STACKS: list[Any] = [
    {"framework": "React"},
    {"framework": "vue", "languages": ["ts"]},
    {"framework": ""},
    {"framework": 7},
    {"framework": ["react"]},
    {"languages": ["go"]},
    {},
    [],
    ["framework", "tech_stack"],
    "react",
    3,
    None,
]
COMPLEXITIES = ["simple", "medium", "complex", "COMPLEX", "", "odd", None]
CRITERIA: list[dict[str, Any]] = [
    {},
    {"tech_stack": {}},
    {"tech_stack": {"languages": ["go"]}},
    {"tech_stack": {"framework": "REACT"}},
    {"tech_stack": {"framework": "vue"}, "project_complexity": "complex"},
    {"project_complexity": "simple"},
]
RULE_SCOPES: list[dict[str, Any]] = [
    {},
    {"framework": "react"},
    {"framework": "VUE"},
    {"framework": "7"},
    {"complexity": "simple"},
    {"complexity": "medium"},
    {"complexity": "complex"},
]


def wait(world: World, project_id: UUID, criteria: dict[str, Any] | None = None, **columns: Any) -> UUID:
    """A match that waits, younger than all before it."""
    match_id = uuid4()
    world.run(
        """
        INSERT INTO advisor_match_requests
            (id, project_id, requested_by, status, match_criteria, expires_in, expires_at, allow_previous)
        VALUES (:id, :project, :project, 'pending', CAST(:criteria AS jsonb), interval '2 h',
            clock_timestamp() + interval '2 h', :allow_previous)
        """,
        id=match_id,
        project=project_id,
        criteria=json.dumps(criteria or {}),
        allow_previous=columns.get("allow_previous", False),
    )
    event = {"match_id": str(match_id), "status": "pending", "previous_status": None}
    world.run(
        """
        WITH head AS (
            INSERT INTO project_event_heads (project_id, last_seq) VALUES (:project, 1)
            ON CONFLICT (project_id) DO UPDATE SET last_seq = project_event_heads.last_seq + 1
            RETURNING last_seq
        )
        INSERT INTO project_events (project_id, seq, type, payload)
        SELECT :project, last_seq, 'advisor.match_pending', CAST(:payload AS jsonb) FROM head
        """,
        project=project_id,
        payload=json.dumps(event),
    )
    return match_id


def rule(world: World, advisor_id: UUID, effect: str, **columns: Any) -> None:
    values = {"advisor_id": advisor_id, "effect": effect, "created_by": uuid4(), **columns}
    values |= {"boost": 5} if effect == "boost" else {}
    names, binds = ", ".join(values), ", ".join(f":{name}" for name in values)
    world.run(f"INSERT INTO admin_preference_rules ({names}) VALUES ({binds})", **values)


def eligible(world: World, match_id: UUID, advisors: list[UUID]) -> set[UUID]:
    """Those for whom the SQL says yes."""
    return world.database.read(
        lambda conn: {one for one in advisors if eligibility.is_eligible(conn, match_id, one, COOLDOWN)}
    )


def by_the_words(world: World, match_id: UUID, advisors: list[UUID]) -> set[UUID]:
    """The same from what is read of the project and the rules, a reason at a time."""
    match = world.match(match_id)
    context = project_context(world.database.ask, match.project_id, match.criteria, COOLDOWN)
    assert context is not None
    framework, complexity = context.tech_stack.framework, context.complexity
    applying = world.database.read(lambda conn: rules.applying(conn, match.project_id, framework, complexity))
    excluded = {one.advisor_id for one in applying if one.effect == "exclude"}
    required = {one.advisor_id for one in applying if one.effect == "require"}
    never = excluded | set(match.criteria.exclude_advisor_ids) | context.already_active | {context.owner_id}
    if not match.allow_previous:
        never |= context.cooling_down
    return {one for one in advisors if one not in never and (not required or one in required)}


def servable(world: World, *tried: UUID) -> UUID | None:
    found = world.database.read(lambda conn: backlog.next_servable(conn, COOLDOWN, tried))
    return found[1] if found else None


def claimable(world: World, advisor: UUID) -> list[UUID]:
    start = (world.now() - ANY_TIME, UUID(int=0))
    found = world.database.read(
        lambda conn: matches.list_claimable(conn, advisor, COOLDOWN, after=start, limit=100)
    )
    return [match.id for match in found]


def test_the_sql_agrees_with_the_words_whatever_is_stored(world: World) -> None:
    """Odd stacks, odd complexities, criteria over both, and rules of every kind for some of them."""
    chance = random.Random(11)
    seen: set[int] = set()
    for _ in range(rounds(6)):
        world.run("DELETE FROM admin_preference_rules")
        world.run("UPDATE advisor_match_requests SET status = 'expired', closed_reason = 'expired'")
        advisors = insert_advisors(world.conn, 6)
        for _ in range(chance.randrange(5)):
            scope = chance.choice(RULE_SCOPES)
            rule(world, chance.choice(advisors), chance.choice(["exclude", "require", "boost"]), **scope)
        waiting = []
        for _ in range(12):
            owner = chance.choice([None, *advisors])
            project = world.project(owner_id=owner, technology_stack=chance.choice(STACKS))
            world.run(
                "UPDATE projects SET project_complexity = :word WHERE id = :id",
                word=chance.choice(COMPLEXITIES),
                id=project,
            )
            if chance.random() < 0.3:
                rule(
                    world, chance.choice(advisors), chance.choice(["exclude", "require"]), project_id=project
                )
            criteria = dict(chance.choice(CRITERIA))
            if chance.random() < 0.3:
                criteria["exclude_advisor_ids"] = [str(one) for one in chance.sample(advisors, 2)]
            waiting.append(wait(world, project, criteria))
        said = {one: eligible(world, one, advisors) for one in waiting}
        assert said == {one: by_the_words(world, one, advisors) for one in waiting}
        for advisor in advisors:
            assert claimable(world, advisor) == [one for one in waiting if advisor in said[one]]
        tried: list[UUID] = []
        while (found := servable(world, *tried)) is not None:
            tried.append(found)
        assert tried == [one for one in waiting if said[one]]
        seen |= {len(who) for who in said.values()}
        world.run("DELETE FROM advisor_match_requests")
        world.run("DELETE FROM project_events")
        world.run("DELETE FROM project_event_heads")
        world.run("UPDATE advisor_availability SET status = 'offline'")
    assert {0, 1, 6} <= seen


def test_one_who_declined_was_declined_or_is_at_work_there_does_not_come_into_question(world: World) -> None:
    at_work, finalized, declined, was_declined, other = insert_advisors(world.conn, 5)
    project = world.project()
    everybody = [at_work, finalized, declined, was_declined, other]

    def only(advisor: UUID) -> None:
        world.run("UPDATE advisor_availability SET status = 'offline'")
        world.run("UPDATE advisor_availability SET status = 'available' WHERE advisor_id = :id", id=advisor)

    for advisor, side in ((declined, Side.ADVISOR), (was_declined, Side.CLIENT)):
        only(advisor)
        world.decline(world.create(project), side)
    only(finalized)
    world.approve(world.create(project))
    world.run(
        "INSERT INTO project_advisors (project_id, advisor_id) VALUES (:project, :advisor)",
        project=project,
        advisor=at_work,
    )
    works = "UPDATE advisor_availability SET current_projects = :load WHERE advisor_id = :id"
    world.run(works, load=1, id=at_work)
    world.run("UPDATE advisor_availability SET status = 'offline'")
    match = world.create(project)
    assert match.status is MatchStatus.PENDING
    assert eligible(world, match.id, everybody) == by_the_words(world, match.id, everybody) == {other}
    world.run("UPDATE advisor_match_requests SET allow_previous = true WHERE id = :id", id=match.id)
    assert eligible(world, match.id, everybody) == {declined, was_declined, other}
    world.run("UPDATE project_advisors SET status = 'inactive'")
    world.run(works, load=0, id=at_work)
    assert at_work in eligible(world, match.id, everybody)


def test_exclude_wins_over_require_and_several_requires_mean_any_of_them(world: World) -> None:
    first, second, third = everybody = insert_advisors(world.conn, 3)
    match = wait(world, world.project())
    assert eligible(world, match, everybody) == set(everybody)
    rule(world, third, "boost")
    assert eligible(world, match, everybody) == set(everybody)
    rule(world, first, "require")
    assert eligible(world, match, everybody) == {first}
    rule(world, second, "require")
    assert eligible(world, match, everybody) == {first, second}
    rule(world, first, "exclude")
    assert eligible(world, match, everybody) == {second}
    rule(world, second, "exclude")
    assert eligible(world, match, everybody) == set()


def test_a_match_that_requires_somebody_busy_waits_and_holds_nobody_up(world: World) -> None:
    required, other = insert_advisors(world.conn, 2)
    world.run("UPDATE advisor_availability SET status = 'busy' WHERE advisor_id = :id", id=required)
    project, another = insert_projects(world.conn, 2)
    older, younger = wait(world, project), wait(world, another)
    rule(world, required, "require", project_id=project)
    assert servable(world) == younger
    assert claimable(world, other) == [younger]
    assert claimable(world, required) == [older, younger]
    world.run("UPDATE advisor_availability SET status = 'available' WHERE advisor_id = :id", id=required)
    assert servable(world) == older


def test_where_somebody_is_required_nobody_else_is_looked_at(world: World) -> None:
    required, *_ = insert_advisors(world.conn, 2_000)
    world.run("UPDATE advisor_availability SET status = 'busy' WHERE advisor_id = :id", id=required)
    for project in insert_projects(world.conn, 20):
        wait(world, project)
        rule(world, required, "require", project_id=project)
    world.run("ANALYZE")
    read = text(
        "SELECT pg_stat_get_xact_tuples_returned(id) + pg_stat_get_xact_tuples_fetched(id)"
        " FROM (VALUES ('advisor_availability'::regclass)) AS table_ (id)"
    )

    def rows_read(tx: Transaction) -> int:
        assert backlog.next_servable(tx.conn, COOLDOWN) is None
        count: int = tx.conn.execute(read).scalar_one()
        return count

    assert world.database.transact(rows_read).value < 100


@pytest.mark.parametrize("end", ["deleted_at = clock_timestamp()", "active_until = clock_timestamp()"])
def test_a_rule_that_has_ended_holds_nobody_up(world: World, end: str) -> None:
    advisor = world.advisor()
    match = wait(world, world.project(technology_stack={"framework": "Django"}))
    rule(world, advisor, "exclude", framework="django")
    assert servable(world) is None
    world.run(f"UPDATE admin_preference_rules SET {end}")
    assert servable(world) == match


def test_given_criteria_replace_what_the_project_says(world: World) -> None:
    advisor = world.advisor()
    rule(world, advisor, "exclude", framework="react")
    rule(world, advisor, "exclude", complexity="complex")
    says = {"technology_stack": {"framework": "react"}, "complexity": "complex"}
    for criteria in (
        MatchCriteria(),
        MatchCriteria(TechStack(languages=("go",))),
        MatchCriteria(project_complexity=ProjectComplexity.SIMPLE),
    ):
        wait(world, world.project(**says), criteria_to_json(criteria))
    assert servable(world) is None
    other = MatchCriteria(TechStack(languages=("go",)), project_complexity=ProjectComplexity.SIMPLE)
    match = wait(world, world.project(**says), criteria_to_json(other))
    assert (servable(world), claimable(world, advisor)) == (match, [match])


@pytest.mark.parametrize("framework", [7, "", ["react"], {"name": "react"}, True, None])
def test_a_framework_that_is_no_word_counts_as_unsaid(world: World, framework: object) -> None:
    advisor = world.advisor()
    for spelled in {json.dumps(framework), str(framework)}:
        rule(world, advisor, "exclude", framework=spelled)
    match = wait(world, world.project(technology_stack={"framework": framework}))
    assert servable(world) == match
    rule(world, advisor, "exclude")
    assert servable(world) is None


def test_past_its_time_a_match_waits_for_nobody(world: World) -> None:
    advisor = world.advisor()
    match = wait(world, world.project())
    assert (servable(world), claimable(world, advisor)) == (match, [match])
    world.make_overdue(match)
    assert (servable(world), claimable(world, advisor)) == (None, [])
