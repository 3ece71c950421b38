"""Repairs run while everybody is at work: they mend what is broken, and nothing that is not."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from random import Random

from advisor_matching.v1.types_pb2 import Match, MatchStatus
from matching_client import MatchingError
from tests.support.rounds import new_seed, rounds
from tests.support.wait import eventually
from tests.support.world import World

Tell = Callable[[str], None]
CALLERS = 8
CALLS = 24
"""Of each caller."""
DEADLOCKS = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
BREAK = """
UPDATE advisor_availability SET current_projects = greatest(current_projects + :change, 0)
WHERE advisor_id = (SELECT advisor_id FROM advisor_availability ORDER BY random() LIMIT 1)
"""
LOGGED = "SELECT count(*) FROM admin_matching_interventions WHERE intervention_type = 'invariant_repair'"


class Load:
    """Callers who create, decline and finalize until they have done their calls."""

    def __init__(self, world: World, seed: int) -> None:
        self._world = world
        self._seed = seed
        self._projects = [[world.new_project() for _ in range(4)] for _ in range(CALLERS)]

    def call(self, number: int) -> Counter[str]:
        """One caller's calls, on projects of their own; how they ended."""
        dice, told = Random(f"{self._seed}/{number}"), Counter[str]()
        for _ in range(rounds(CALLS)):
            try:
                told[self._step(dice, dice.choice(self._projects[number]), number % 2)] += 1
            except MatchingError as refused:
                told[refused.reason] += 1
        return told

    def _step(self, dice: Random, project: str, server: int) -> str:
        world = self._world
        match = world.service(server=server).create_match(project).match
        if match.status != MatchStatus.MATCH_STATUS_MATCHED:
            return "not offered"
        client, advisor = world.client(project, server=server), world.advisor(match.matched_advisor.id)
        if dice.random() < 0.5:
            client.submit_client_decision(match.id, "DECISION_DECLINED")
            return "declined"
        client.submit_client_decision(match.id, "DECISION_APPROVED")
        advisor.submit_advisor_decision(match.id, "DECISION_APPROVED")
        self._release(match)
        return "finalized"

    def _release(self, match: Match) -> None:
        self._world.admin().release_advisor(match.project_id, match.matched_advisor.id)


def _run(world: World, meddle: Callable[[Random], None], seed: int) -> tuple[Counter[str], Counter[str]]:
    """The load, and repairs all the while: how calls ended, and what was repaired how often."""
    load, ended = Load(world, seed), threading.Event()
    repaired: Counter[str] = Counter()

    def repair() -> None:
        dice, number = Random(seed), 0
        while not ended.is_set():
            meddle(dice)
            number += 1
            repaired.update(world.admin(server=number % 2).repair_invariants().repaired)
            repaired["runs"] += 1

    told: Counter[str] = Counter()
    for server in (0, 1):
        world.admin(server=server)
    with ThreadPoolExecutor(CALLERS + 1) as pool:
        repairing = pool.submit(repair)
        callers = [pool.submit(load.call, number) for number in range(CALLERS)]
        try:
            for caller in callers:
                told += caller.result()
        finally:
            ended.set()
        repairing.result()
    return told, repaired


def test_where_nothing_is_broken_nothing_is_repaired(world: World, tell: Tell) -> None:
    for _ in range(6):
        world.new_advisor(slots=3)
    before = world.value(DEADLOCKS)
    told, repaired = _run(world, lambda dice: None, new_seed())
    assert set(repaired) == {"runs"}
    assert world.value(LOGGED) == 0
    assert world.value(DEADLOCKS) == before
    tell(f"{dict(told)}; {repaired['runs']} repairs")


def test_loads_that_are_broken_again_and_again_come_right(world: World, tell: Tell) -> None:
    for _ in range(6):
        world.new_advisor(slots=3)
    before = world.value(DEADLOCKS)
    seed = new_seed()

    def meddle(dice: Random) -> None:
        world.execute(BREAK, change=dice.choice([-1, 1, 2]))

    told, repaired = _run(world, meddle, seed)
    assert repaired["load_is_counted"]
    assert not world.admin().repair_invariants().violations
    assert world.value(LOGGED) >= repaired["load_is_counted"]
    assert world.value(DEADLOCKS) == before
    eventually(
        lambda: (
            world.value(
                "SELECT count(*) FROM workspace_provisioning_queue WHERE status NOT IN ('completed', 'failed')"
            )
            == 0
        ),
        what="no job is left",
    )
    tell(f"seed {seed}: {dict(told)}; {dict(repaired)}")
