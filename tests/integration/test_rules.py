"""Preference rules: made, listed and deleted by admins, and applied where and when they say."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from matching_server.domain.errors import AdvisorNotFound, IdempotencyMismatch, ProjectNotFound, RuleNotFound
from matching_server.domain.model import ProjectComplexity, Role
from matching_server.domain.rules import PreferenceRule, RuleEffect, RuleTerms
from matching_server.operations import rules as operations
from matching_server.operations.commands import Page
from tests.integration.world import World, call
from tests.support import rules

ADMIN = call(uuid4(), Role.ADMIN)
COMPLEX, MEDIUM = ProjectComplexity.COMPLEX, ProjectComplexity.MEDIUM
HOUR = timedelta(hours=1)


def encoded(rule: PreferenceRule) -> bytes:
    return rule.id.bytes


def made(world: World, advisor_id: UUID, **terms: Any) -> PreferenceRule:
    wanted = RuleTerms(advisor_id=advisor_id, **({"effect": RuleEffect.EXCLUDE} | terms))
    rule = operations.create_preference_rule(world.runner, ADMIN, wanted, encoded)
    assert isinstance(rule, PreferenceRule)
    return rule


def listed(world: World, size: int = 50) -> list[list[UUID]]:
    """The ids of the rules, a list a page."""
    pages, page = [], operations.list_preference_rules(world.runner, ADMIN, Page(size))
    while True:
        pages.append([rule.id for rule in page.items])
        if page.next is None:
            return pages
        page = operations.list_preference_rules(world.runner, ADMIN, Page(size, page.next))


def applying(
    world: World,
    project_id: UUID,
    framework: str | None = None,
    complexity: ProjectComplexity = MEDIUM,
) -> set[UUID]:
    found = world.database.read(lambda conn: rules.applying(conn, project_id, framework, complexity))
    return {rule.id for rule in found}


def test_a_rule_is_stored_as_it_was_said_and_by_whom(world: World) -> None:
    advisor, project = world.advisor(), world.project()
    before = world.now()
    boost = made(
        world,
        advisor,
        effect=RuleEffect.BOOST,
        boost=-12.5,
        project_id=project,
        active_from=before + HOUR,
        active_until=before + 2 * HOUR,
        reason="Knows\nthem",
    )
    assert boost == PreferenceRule(
        id=boost.id,
        advisor_id=advisor,
        effect=RuleEffect.BOOST,
        boost=-12.5,
        project_id=project,
        active_from=before + HOUR,
        active_until=before + 2 * HOUR,
        reason="Knows\nthem",
        created_by=ADMIN.caller.user_id,
        created_at=boost.created_at,
    )
    assert before < boost.created_at < world.now()
    plain = made(world, advisor, effect=RuleEffect.REQUIRE)
    assert (plain.boost, plain.project_id, plain.framework, plain.complexity) == (0.0, None, None, None)


def test_what_a_rule_is_about_has_to_exist(world: World) -> None:
    nobody, nothing = uuid4(), uuid4()
    with pytest.raises(AdvisorNotFound, match=str(nobody)):
        made(world, nobody)
    with pytest.raises(ProjectNotFound, match=str(nothing)):
        made(world, world.advisor(), project_id=nothing)
    assert listed(world) == [[]]
    # Somebody who takes no part just now may come back.
    assert listed(world) != [[made(world, world.advisor(active=False)).id]]


def test_rules_are_listed_newest_first_outside_their_time_too(world: World) -> None:
    advisor, now = world.advisor(), world.now()
    times = [{}, {"active_until": now - HOUR}, {"active_from": now + HOUR}, {}, {}]
    ids = [made(world, advisor, **time).id for time in times][::-1]
    assert listed(world) == [ids]
    assert listed(world, 2) == [ids[:2], ids[2:4], ids[4:]]
    operations.delete_preference_rule(world.runner, ADMIN, ids[1])
    assert listed(world, 2) == [[ids[0], ids[2]], ids[3:]]


def test_deleting_may_be_repeated_and_what_never_was_is_not_found(world: World) -> None:
    project, rule = world.project(), made(world, world.advisor())
    assert applying(world, project) == {rule.id}
    for _ in range(2):
        operations.delete_preference_rule(world.runner, ADMIN, rule.id)
        assert listed(world) == [[]]
        assert applying(world, project) == set()
    deleted_at = world.ask("SELECT deleted_at FROM admin_preference_rules")
    operations.delete_preference_rule(world.runner, ADMIN, rule.id)
    assert world.ask("SELECT deleted_at FROM admin_preference_rules") == deleted_at
    never = uuid4()
    with pytest.raises(RuleNotFound, match=f"no rule with id {never}"):
        operations.delete_preference_rule(world.runner, ADMIN, never)


def test_a_repeated_request_makes_one_rule(world: World) -> None:
    terms = RuleTerms(advisor_id=world.advisor(), effect=RuleEffect.REQUIRE)
    request = uuid4()
    asked = [call(ADMIN.caller.user_id, Role.ADMIN, request_id=request) for _ in range(2)]
    first = operations.create_preference_rule(world.runner, asked[0], terms, encoded)
    assert isinstance(first, PreferenceRule)
    assert operations.create_preference_rule(world.runner, asked[1], terms, encoded) == first.id.bytes
    other = call(ADMIN.caller.user_id, Role.ADMIN, request_id=request, body=b"other")
    with pytest.raises(IdempotencyMismatch):
        operations.create_preference_rule(world.runner, other, terms, encoded)
    assert listed(world) == [[first.id]]


def test_the_backlog_is_looked_at_after_every_change(world: World) -> None:
    rule = made(world, world.advisor())
    operations.delete_preference_rule(world.runner, ADMIN, rule.id)
    assert [effects.capacity_freed for effects in world.effects] == [True, True]


SCOPES: dict[str, dict[str, Any]] = {
    "all": {},
    "framework": {"framework": "ReAct"},
    "complexity": {"complexity": COMPLEX},
}


def test_a_rule_applies_within_its_scope(world: World) -> None:
    advisor, mine, other = world.advisor(), world.project(), world.project()
    ids = {name: made(world, advisor, **scope).id for name, scope in SCOPES.items()}
    ids["project"] = made(world, advisor, project_id=mine).id

    def names(*about: Any) -> set[str]:
        applies = applying(world, *about)
        return {name for name, id_ in ids.items() if id_ in applies}

    assert names(mine) == {"all", "project"}
    assert names(other) == {"all"}
    assert names(other, "rEACT") == names(other, "react") == {"all", "framework"}
    assert names(other, "react native") == names(other, "") == {"all"}
    assert names(other, None, COMPLEX) == {"all", "complexity"}
    assert names(mine, "React", COMPLEX) == set(ids)
    # A scope is never taken for another one, whatever it is called.
    tricky = made(world, advisor, framework=f"x' OR project:{mine}").id
    assert tricky not in applying(world, mine, f"project:{mine}")
    assert tricky in applying(world, other, f"X' or PROJECT:{mine}")


def test_a_rule_applies_from_its_start_and_before_its_end(world: World) -> None:
    advisor, project, now = world.advisor(), world.project(), world.now()
    begun = made(world, advisor, active_from=now - HOUR, active_until=now + HOUR)
    made(world, advisor, active_from=now + HOUR)
    made(world, advisor, active_until=now - HOUR)
    assert applying(world, project) == {begun.id}


def test_rules_go_with_their_advisor_and_their_project(world: World) -> None:
    advisor, project = world.advisor(), world.project()
    ends = made(world, world.advisor(), project_id=project)
    stays = made(world, advisor)
    world.run("DELETE FROM projects")
    assert listed(world) == [[stays.id]]
    with pytest.raises(RuleNotFound):
        operations.delete_preference_rule(world.runner, ADMIN, ends.id)
    world.run("DELETE FROM advisors WHERE id = :id", id=advisor)
    assert listed(world) == [[]]
