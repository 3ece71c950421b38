"""Serial calls get what a naive exact ranking gives, whatever the pool, criteria and rules: advisor, score, reasons.

The ranking that it is held against reads the tables by SQL of its own, and ranks by fractions.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from matching_server.domain.model import (
    AdvisorSummary,
    AvailabilityPreferences,
    AvailabilityStatus,
    Match,
    MatchCriteria,
    MatchStatus,
    PendingReason,
    ProjectComplexity,
    ScoringWeights,
    Side,
    TechStack,
)
from matching_server.domain.scoring import PoolAdvisor, RankingRequest, exclusion_of
from matching_server.operations import simulating
from matching_server.operations.commands import SimulateMatch
from tests.integration.world import World, call
from tests.support.rounds import rounds
from tests.support.seed import insert_advisors, insert_project, insert_user
from tests.unit.domain import naive_ranking

WORDS = ("go", "rust", "python", "django", "react", "payments", "sql")
ZONES = (None, "UTC", "Europe/Berlin", "Asia/Kolkata", "America/St_Johns", "Pacific/Kiritimati")
COOLDOWN = timedelta(hours=168)
CALLS = 14


@dataclass
class Rule:
    """As it was put in."""

    advisor_id: UUID
    effect: str
    boost: float | None
    project_id: UUID | None = None
    framework: str | None = None
    complexity: str | None = None
    active: bool = True

    def applies(self, project_id: UUID, stack: TechStack, complexity: ProjectComplexity) -> bool:
        """By the words of the product page."""
        if not self.active:
            return False
        if self.project_id is not None:
            return self.project_id == project_id
        if self.framework is not None:
            return self.framework.casefold() == (stack.framework or "").casefold()
        return self.complexity in (None, complexity.value)


class Round:
    """One random pool, and what is asked of it."""

    def __init__(self, world: World, rng: random.Random) -> None:
        self.world, self.rng = world, rng
        self.advisors = self._make_advisors()
        owners = [insert_user(world.conn, timezone=rng.choice(ZONES)) for _ in range(2)]
        self.owners = [*owners, rng.choice(self.advisors)]
        self.projects = [self._make_project() for _ in range(6)]
        self.rules = [rule for _ in range(rng.choice([0, 3, 6, 10])) for rule in [self._make_rule()]]

    def some_words(self) -> list[str]:
        words = self.rng.sample(WORDS, self.rng.randint(0, 3))
        return [self.rng.choice([word, word.upper()]) for word in words]

    def _make_advisors(self) -> list[UUID]:
        rng = self.rng
        made = []
        for _ in range(rng.choice([3, 12, 45, 60, 60, 64])):
            [id_] = insert_advisors(
                self.world.conn,
                1,
                slots=rng.randint(1, 3),
                status=rng.choice(["available"] * 6 + ["busy", "offline"]),
                preferences={
                    "preferred_complexity": rng.sample(["simple", "medium", "complex"], rng.randint(0, 2)),
                    "preferred_frameworks": self.some_words(),
                },
                skills=self.some_words(),
                specialties=self.some_words(),
                languages=self.some_words(),
                frameworks=self.some_words(),
                rating=rng.choice([None, 3.5, 5.0]),
                timezone=rng.choice(ZONES),
                active=rng.random() < 0.95,
            )
            made.append(id_)
        return made

    def _make_project(self) -> UUID:
        stack = {"framework": self.rng.choice(WORDS), "languages": self.some_words()}
        return insert_project(
            self.world.conn,
            owner_id=self.rng.choice(self.owners),
            technology_stack=self.rng.choice([None, stack]),
            complexity=self.rng.choice([None, "simple", "complex"]),
        )

    def _make_rule(self) -> Rule:
        rng = self.rng
        effect = rng.choice(["boost"] * 6 + ["exclude", "exclude", "require"])
        scope: dict[str, Any] = rng.choice(
            [
                {},
                {"project_id": rng.choice(self.projects)},
                {"framework": rng.choice(WORDS).title()},
                {"complexity": rng.choice(["simple", "medium", "complex"])},
            ]
        )
        boost = rng.choice([-100.0, -12.5, 0.1, 33.33, 50.0]) if effect == "boost" else None
        rule = Rule(rng.choice(self.advisors), effect, boost, **scope, active=rng.random() < 0.8)
        self.world.run(
            "INSERT INTO admin_preference_rules (advisor_id, effect, boost, project_id, framework, complexity,"
            " active_from, created_by) VALUES (:advisor_id, :effect, :boost, :project_id, :framework, :complexity,"
            " clock_timestamp() + CAST(:starts AS interval), :advisor_id)",
            **{name: value for name, value in vars(rule).items() if name != "active"},
            starts=timedelta(hours=-1 if rule.active else 1),
        )
        return rule

    def criteria(self) -> MatchCriteria:
        rng = self.rng
        weights = [rng.choice([0.0, 1.0, 0.1, 35.0, 1 / 3]) for _ in range(4)]
        return MatchCriteria(
            tech_stack=rng.choice(
                [
                    None,
                    TechStack(rng.choice([None, *WORDS]), tuple(self.some_words()), tuple(self.some_words())),
                ]
            ),
            scoring_weights=ScoringWeights(*weights) if any(weights) and rng.random() < 0.5 else None,
            project_complexity=rng.choice([None, ProjectComplexity.SIMPLE]),
            exclude_advisor_ids=tuple(rng.sample(self.advisors, rng.choice([0, 0, 1, 2]))),
        )

    # What the exact ranking needs, by SQL of its own.

    def pool(self) -> list[PoolAdvisor]:
        rows = self.world.conn.execute(
            text("SELECT * FROM advisors a JOIN advisor_availability v ON v.advisor_id = a.id")
        )
        return [
            PoolAdvisor(
                AdvisorSummary(
                    row.id, row.display_name, tuple(row.skills), tuple(row.specialties), row.rating
                ),
                row.active,
                AvailabilityStatus(row.status),
                row.current_projects,
                row.max_concurrent_projects,
                row.last_assigned_at,
                tuple(row.languages),
                tuple(row.frameworks),
                row.timezone,
                AvailabilityPreferences(
                    False,
                    tuple(
                        map(ProjectComplexity, row.availability_preferences.get("preferred_complexity", ()))
                    ),
                    tuple(row.availability_preferences.get("preferred_frameworks", ())),
                ),
            )
            for row in rows
        ]

    def request(self, project: UUID, criteria: MatchCriteria, now: datetime) -> RankingRequest:
        [(owner, stack, complexity, zone)] = self.world.rows(
            "SELECT owner_id, technology_stack, project_complexity, timezone"
            " FROM projects p JOIN auth.users u ON u.id = p.owner_id WHERE p.id = :id",
            id=project,
        )
        stack = criteria.tech_stack or TechStack(
            (stack or {}).get("framework"), tuple((stack or {}).get("languages", ()))
        )
        complexity = criteria.project_complexity or ProjectComplexity(complexity or "medium")
        rules = [rule for rule in self.rules if rule.applies(project, stack, complexity)]
        required = frozenset(rule.advisor_id for rule in rules if rule.effect == "require")
        boosts: dict[UUID, Fraction] = {}
        for rule in rules:
            if rule.effect == "boost":
                boosts[rule.advisor_id] = boosts.get(rule.advisor_id, Fraction(0)) + Fraction(str(rule.boost))
        history = self.world.rows(
            "SELECT matched_advisor_id, status, coalesce(client_decided_at, advisor_decided_at)"
            " FROM advisor_match_requests WHERE project_id = :id AND matched_advisor_id IS NOT NULL",
            id=project,
        )
        return RankingRequest(
            owner_id=owner,
            tech_stack=stack,
            complexity=complexity,
            weights=criteria.scoring_weights or self.world.policy.weights,
            owner_timezone=zone,
            excluded=frozenset(criteria.exclude_advisor_ids),
            excluded_by_rule=frozenset(rule.advisor_id for rule in rules if rule.effect == "exclude"),
            required=required or None,
            cooling_down=frozenset(
                who for who, status, at in history if "declined" in status and at > now - COOLDOWN
            ),
            already_active=frozenset(who for who, status, _ in history if status == "finalized"),
            boosts=boosts,
        )

    def step(self) -> Match | None:
        """Something happens, and if it is a request it is held against the exact ranking."""
        open_matches = self.world.rows(
            "SELECT id FROM advisor_match_requests WHERE status = 'matched' ORDER BY created_at"
        )
        if open_matches and self.rng.random() < 0.4:
            match = self.world.match(self.rng.choice(open_matches)[0])
            if self.rng.random() < 0.5:
                self.world.decline(match, self.rng.choice(list(Side)))
            else:
                self.world.approve(match)
            return None
        # Who waits would be served before the newcomer; that has tests of its own.
        self.world.run("UPDATE advisor_match_requests SET expires_at = created_at WHERE status = 'pending'")
        project, criteria = self.rng.choice(self.projects), self.criteria()
        if self.world.ask(
            "SELECT count(*) FROM advisor_match_requests WHERE project_id = :id AND status IN ('matched', 'pending')",
            id=project,
        ):
            return None
        pool, request = self.pool(), self.request(project, criteria, self.world.now())
        simulated = simulating.simulate_match(
            self.world.runner, call(), SimulateMatch(project, criteria, limit=1000)
        )
        match = self.world.create(project, call(), criteria=criteria)
        exact = naive_ranking.ranked(pool, request, match.created_at)
        found = [(match.matched_advisor_id, match.score)] if match.status is MatchStatus.MATCHED else []
        assert found == exact[:1]
        assert [(one.advisor.id, one.score) for one in simulated.ranking.candidates] == exact
        reasons = {one.id: exclusion_of(one, request) for one in pool}
        assert {who.id: why for who, why in simulated.excluded} == {k: v for k, v in reasons.items() if v}
        if not exact:
            waits = any(why is not None and why.value in ("busy", "at_capacity") for why in reasons.values())
            busy, nobody = PendingReason.ALL_ADVISORS_BUSY, PendingReason.NO_ADVISORS_AVAILABLE
            assert match.pending_reason is (busy if waits else nobody)
        return match


@pytest.mark.plants_violations("expired_is_closed")
@pytest.mark.parametrize("seed", range(rounds(12)))
def test_serial_calls_get_what_an_exact_ranking_gives(world: World, seed: int) -> None:
    # Looks before each ranking: the pool and the rules are put in behind the service's back.
    this = Round(world.under(auto_provision=False), random.Random(seed))
    made = [match for _ in range(CALLS) if (match := this.step()) is not None]
    assert made
