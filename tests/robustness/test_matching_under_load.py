"""What matching promises holds while everybody comes at once: judged by the record of what happened."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Generator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial

import pytest

from advisor_matching.v1.match_service_pb2 import CreateMatchRequest
from matching_client import MatchingError
from matching_server.embedded import EmbeddedServices
from matching_server.storage.invariants import Violation, audit
from tests.support import promises
from tests.support.at_once import answers, together
from tests.support.bustle import CALLERS, Bustle
from tests.support.databases import TestDatabases
from tests.support.faults import NOTHING_BEGINS
from tests.support.happened import History
from tests.support.locks import held
from tests.support.recorder import Recorder
from tests.support.rounds import new_seed, rounds
from tests.support.wait import eventually
from tests.support.world import World
from tests.support.worlds import shared_world

pytestmark = pytest.mark.timeout(90 + 60 * rounds(1))
Tell = Callable[[str], None]
CALLS = 960
"""Of one round of the bustle."""
SERVED_SECONDS = 4.0
"""Twice what is promised: for a busy machine. What was seen is told."""
STARVED_SECONDS = 10.0
"""The same in the middle of the bustle, where others are served before and rows are kept from everybody."""
KEPT_SECONDS = 1.0
"""How long a row is kept: longer than all tries with a short patience take, shorter than the last one's."""
_SHOWN = 20
"""Breaches, at most, that a failed test tells."""
REFUSALS = {
    "FAILED_PRECONDITION INVALID_TRANSITION",
    "FAILED_PRECONDITION MATCH_EXPIRED",
    "FAILED_PRECONDITION ADVISOR_AT_CAPACITY",
    "FAILED_PRECONDITION ADVISOR_UNAVAILABLE",
    "FAILED_PRECONDITION ALREADY_ASSIGNED",
    "INVALID_ARGUMENT INVALID_ARGUMENT",
    "NOT_FOUND MATCH_NOT_FOUND",
    "NOT_FOUND PROJECT_NOT_FOUND",
    "ABORTED TRANSACTION_CONFLICT",
}
"""What callers who act at random have to expect."""


@pytest.fixture(scope="module")
def shared(
    databases: TestDatabases, services: EmbeddedServices, tmp_path_factory: pytest.TempPathFactory
) -> Generator[World]:
    """Four servers, two of which leave the background work to the others."""
    yield from shared_world(
        databases,
        services,
        tmp_path_factory.mktemp("servers"),
        servers=[(), ("--no-workers",), (), ("--no-workers",)],
        settings={"sweep_seconds": 0.5, "provision_backoff_seconds": 0.05},
    )


@pytest.fixture(scope="module")
def recorder(shared: World) -> Recorder:
    return Recorder(shared.conn)


@dataclass(slots=True)
class Bustled:
    """The rounds of the bustle: what happened in each, by its seed, and what the audit found after it."""

    histories: dict[int, History] = field(default_factory=dict)
    settled: dict[int, bool] = field(default_factory=dict)
    violations: dict[int, list[Violation]] = field(default_factory=dict)
    refusals: Counter[str] = field(default_factory=Counter)

    def assert_kept(self, check: Callable[[History], list[str]]) -> None:
        """The check finds no breach in any round."""
        for seed, history in self.histories.items():
            if breaches := check(history):
                lines = "\n".join(breaches[:_SHOWN])
                pytest.fail(
                    f"seed {seed}: {len(breaches)} breaches of\n{check.__doc__}\n{lines}", pytrace=False
                )


@pytest.fixture(scope="module")
def bustled(shared: World, recorder: Recorder) -> Bustled:
    """The same rounds for the tests below, each of which judges them by one promise."""
    bustled = Bustled()
    for _ in range(rounds(1)):
        seed = new_seed()
        shared.empty()
        recorder.clear()
        bustle = Bustle(shared, seed)
        bustle.run(CALLS)
        take_down = partial(recorder.history, bustle.answers, bustle.refused)
        bustled.settled[seed] = _settled(take_down)
        bustled.histories[seed] = take_down()
        bustled.violations[seed] = audit(shared.conn)
        bustled.refusals += bustle.refusals
    return bustled


def _settled(take_down: Callable[[], History]) -> bool:
    """Whether, after a while, nobody waits any more for whom an advisor is free."""
    with suppress(AssertionError):
        return eventually(
            lambda: not promises.waiting_in_vain(take_down(), time.time()), timeout=SERVED_SECONDS
        )
    return False


def test_no_slot_is_given_twice(bustled: Bustled, tell: Tell) -> None:
    bustled.assert_kept(promises.slots_given_twice)
    bustled.assert_kept(promises.loads_miscounted)
    told = sum(len(history.answers) for history in bustled.histories.values())
    tell(
        f"{told} answers to {CALLERS} callers, refused {dict(bustled.refusals)}, seeds {[*bustled.histories]}"
    )


def test_the_invariants_hold_when_it_is_over(bustled: Bustled) -> None:
    assert {seed: found for seed, found in bustled.violations.items() if found} == {}


def test_calls_are_refused_for_no_reason_but_their_own(bustled: Bustled) -> None:
    assert bustled.refusals.keys() <= REFUSALS


def test_nobody_is_turned_away_while_an_advisor_is_free_for_them(bustled: Bustled) -> None:
    bustled.assert_kept(promises.turned_away_while_free)


def test_nobody_overtakes_who_has_waited_longer_for_the_same_advisor(bustled: Bustled) -> None:
    bustled.assert_kept(promises.overtaken)


def test_nobody_goes_on_waiting_for_an_advisor_who_is_free(bustled: Bustled, tell: Tell) -> None:
    waits = [wait for history in bustled.histories.values() for wait in promises.waited_while_free(history)]
    worst = max(waits)
    assert {seed for seed, settled in bustled.settled.items() if not settled} == set()
    assert worst.seconds < STARVED_SECONDS, worst
    tell(f"{len(waits)} times somebody waited while an advisor was free, {worst.seconds:.2f} s at the most")


def test_what_callers_were_told_was_so(bustled: Bustled) -> None:
    bustled.assert_kept(promises.answers_never_true)


def test_nobody_is_turned_away_from_a_row_that_is_kept_from_everybody(
    world: World, recorder: Recorder, tell: Tell
) -> None:
    """The only advisor's row is held for far longer than a first choice is waited for; there are slots for all."""
    for _ in range(rounds(1)):
        world.empty()
        recorder.clear()
        advisor = world.new_advisor(slots=CALLERS)
        projects = [world.new_project() for _ in range(CALLERS)]
        callers = [world.client(project, server=place % 4) for place, project in enumerate(projects)]
        row = "SELECT FROM advisor_availability WHERE advisor_id = :id FOR NO KEY UPDATE"
        with held(world.conn, row, id=advisor) as holder:
            asked = [
                caller.stubs.match.CreateMatch.future(CreateMatchRequest(project_id=project))
                for caller, project in zip(callers, projects, strict=True)
            ]
            holder.exec_driver_sql(f"SELECT pg_sleep({KEPT_SECONDS})")
        matches = [answer.match for answer in answers(asked)]
        assert {match.matched_advisor.id for match in matches} == {advisor}
        history = recorder.history()
        assert promises.slots_given_twice(history) == promises.overtaken(history) == []
    tell(f"{rounds(1)} rounds of {CALLERS} callers, kept waiting for {KEPT_SECONDS:g} s")


# ------------------------------------------------------------------------------- one slot, and who has waited longest


Free = Callable[[World, int], Callable[[], object]]
"""Takes the world's only slot, and says how it comes free, through that server where a server is called."""


def by_availability(world: World, server: int) -> Callable[[], object]:
    advisor = world.new_advisor(slots=1, status="offline")
    caller = world.advisor(advisor, server=server)
    return lambda: caller.update_availability(status="AVAILABILITY_STATUS_AVAILABLE")


def by_decline(world: World, server: int) -> Callable[[], object]:
    project, match_id = taken(world)
    client = world.client(project, server=server)
    return lambda: client.submit_client_decision(match_id, "DECISION_DECLINED")


def by_withdrawal(world: World, server: int) -> Callable[[], object]:
    advisor = world.new_advisor(slots=1)
    project = world.new_project()
    assert world.client(project).create_match(project).match.matched_advisor.id == advisor
    caller = world.advisor(advisor, server=server)
    return lambda: caller.update_availability(decline_open_offers=True)


def by_expiry(world: World, server: int) -> Callable[[], object]:
    world.new_advisor(slots=1)
    project = world.new_project()
    match_id = (
        world.client(project, server=server).create_match(project, expires_in=timedelta(seconds=1)).match.id
    )
    return lambda: world.wait_for_status(match_id, "expired")


def by_rollback(world: World, server: int) -> Callable[[], object]:
    """A provisioning fails for good, since its project is gone by the time that it is begun."""
    with ExitStack() as stack:
        stack.enter_context(held(world.conn, NOTHING_BEGINS))
        project, _ = finalized(world, server)
        begin = stack.pop_all().close

    def roll_back() -> None:
        world.execute("DELETE FROM projects WHERE id = :id", id=project)
        begin()

    return roll_back


def by_release(world: World, server: int) -> Callable[[], object]:
    project, match_id = finalized(world, server)
    world.wait_for_ready(match_id)
    advisor = world.service().get_match(match_id).matched_advisor.id
    admin = world.admin(server=server)
    return lambda: admin.release_advisor(project, advisor)


def taken(world: World, server: int = 0) -> tuple[str, str]:
    """The only slot is offered to a project: (project, match)."""
    world.new_advisor(slots=1)
    project = world.new_project()
    match = world.client(project, server=server).create_match(project).match
    assert match.matched_advisor.id
    return project, match.id


def finalized(world: World, server: int) -> tuple[str, str]:
    """The same, and both sides approve."""
    project, match_id = taken(world, server)
    advisor = world.service().get_match(match_id).matched_advisor.id
    world.client(project, server=server).submit_client_decision(match_id, "DECISION_APPROVED")
    world.advisor(advisor, server=server).submit_advisor_decision(match_id, "DECISION_APPROVED")
    return project, match_id


def waiting(world: World, count: int) -> list[str]:
    """Matches that wait, the oldest first."""
    projects = [world.new_project() for _ in range(count)]
    return [world.client(project).create_match(project).match.id for project in projects]


@pytest.mark.parametrize(
    "free",
    [by_availability, by_decline, by_withdrawal, by_expiry, by_release, by_rollback],
    ids=lambda free: free.__name__,
)
def test_a_slot_that_comes_free_goes_to_the_oldest_whoever_asks_at_that_moment(
    world: World, free: Free, tell: Tell
) -> None:
    worst = 0.0
    for number in range(rounds(2)):
        world.empty()
        # Mostly by a server that leaves the background work to others.
        come_free = free(world, 0 if number % 4 == 3 else 1)
        oldest, *others = waiting(world, 3)
        newcomers = [world.new_project() for _ in range(8 if number % 2 else 0)]
        callers = [world.client(project, server=place % 4) for place, project in enumerate(newcomers)]
        actions: list[Callable[[], object]] = [
            come_free,
            *(
                partial(caller.create_match, project)
                for caller, project in zip(callers, newcomers, strict=True)
            ),
        ]
        outcomes = together(actions)
        began = time.monotonic()
        world.wait_for_status(oldest, "matched", timeout=SERVED_SECONDS)
        worst = max(worst, time.monotonic() - began)
        assert [outcome for outcome in outcomes if isinstance(outcome, MatchingError)] == []
        assert {world.status(match_id) for match_id in others} == {"pending"}
        assert world.statuses()["pending"] == len(others) + len(newcomers)
    tell(f"{rounds(2)} rounds, served after {worst:.2f} s at the most")
