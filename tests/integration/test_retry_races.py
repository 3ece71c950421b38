"""RetryProvisioning at the same moment as somebody else's step: one comes first, and the other hears what it met."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from typing import TypeVar
from uuid import UUID, uuid4

import pytest

from matching_server.domain.errors import (
    AdvisorInactive,
    InvalidTransition,
    MatchExpired,
)
from matching_server.domain.model import (
    AssignmentType,
    Decision,
    Match,
    MatchStatus,
    ProvisioningState,
    Role,
    Side,
)
from matching_server.operations.commands import AssignedAdvisor, RetriedProvisioning
from matching_server.operations.directory import deactivate_advisor
from matching_server.operations.matching import expire_if_overdue
from matching_server.operations.provisioning import attempt, take_jobs
from matching_server.operations.retrying import retry_provisioning
from tests.integration.jobs import rolled_back
from tests.integration.world import World, answers, call, together
from tests.support.rounds import rounds

T = TypeVar("T")
S = MatchStatus
DEADLOCKS = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
ROUNDS = 15


@pytest.fixture
def world(world: World) -> Iterator[World]:
    """Workspaces are made, one advisor is free for many projects; nobody may run into a deadlock."""
    world.advisor(slots=100)
    yield world.under(auto_provision=True)
    assert world.ask(DEADLOCKS) == 0


def encoded(retried: RetriedProvisioning) -> bytes:
    return str(retried.job.id).encode()


def retry(
    world: World, match: Match, admin: UUID | None = None, request_id: UUID | None = None
) -> RetriedProvisioning | bytes:
    by = call(admin, Role.ADMIN, request_id=request_id)
    return retry_provisioning(world.runner, by, match.id, encoded)


def later(number: int, work: Callable[[], T]) -> Callable[[], T]:
    """In each round begun a little later than in the one before, so that now one comes first and now the other."""

    def begin() -> T:
        time.sleep(number % 5 * 0.002)
        return work()

    return begin


def live_jobs(world: World, match: Match) -> int:
    count: int = world.ask(
        "SELECT count(*) FROM workspace_provisioning_queue WHERE match_id = :id"
        " AND status NOT IN ('completed', 'failed')",
        id=match.id,
    )
    return count


def finish(world: World) -> None:
    """Every job that is due."""
    while jobs := take_jobs(world.runner, 10):
        for job in jobs:
            attempt(world.runner, job)


def test_the_approval_that_is_asked_for_again(world: World) -> None:
    for _ in range(rounds(ROUNDS)):
        back = rolled_back(world)
        retried, approved = together(
            partial(retry, world, back), partial(world.decide, back, Side.ADVISOR, Decision.APPROVED)
        )
        # Restored or given anew, the approval is there: giving it twice is no fault.
        assert isinstance(approved, Match), approved
        assert isinstance(retried, (RetriedProvisioning, InvalidTransition)), retried
        stored = world.match(back.id)
        assert (stored.status, stored.provisioning_state) == (S.FINALIZED, ProvisioningState.QUEUED)
        assert live_jobs(world, back) == 1
        finish(world)


def test_a_decline(world: World) -> None:
    for _ in range(rounds(ROUNDS)):
        back = rolled_back(world)
        retried, declined = together(
            partial(retry, world, back), partial(world.decide, back, Side.ADVISOR, Decision.DECLINED)
        )
        won, lost = (retried, declined) if isinstance(retried, RetriedProvisioning) else (declined, retried)
        assert not isinstance(won, Exception), won
        assert isinstance(lost, InvalidTransition), lost
        finish(world)


def test_the_expiry(world: World) -> None:
    for number in range(rounds(ROUNDS)):
        back = rolled_back(world)
        world.run(
            "UPDATE advisor_match_requests SET expires_at = clock_timestamp() + :time WHERE id = :id",
            time=timedelta(milliseconds=number % 8 * 2),
            id=back.id,
        )
        expired, retried = together(
            partial(expire_if_overdue, world.runner, back.project_id, back.id), partial(retry, world, back)
        )
        assert not isinstance(expired, Exception), expired
        if isinstance(retried, RetriedProvisioning):
            assert expired is False
            assert world.match(back.id).status is S.FINALIZED
        else:
            assert isinstance(retried, MatchExpired), retried
            assert world.match(back.id).status is S.EXPIRED
        finish(world)


def test_a_second_retry_makes_no_second_job(world: World) -> None:
    for _ in range(rounds(ROUNDS)):
        back = rolled_back(world)
        outcomes = together(*[partial(retry, world, back)] * 4)
        assert sum(isinstance(one, RetriedProvisioning) for one in outcomes) == 1
        assert sum(isinstance(one, InvalidTransition) for one in outcomes) == 3
        assert live_jobs(world, back) == 1
        finish(world)


def test_the_same_request_at_the_same_moment_gets_the_same_answer(world: World) -> None:
    for _ in range(rounds(ROUNDS)):
        back = rolled_back(world)
        attempts = partial(retry, world, back, uuid4(), uuid4())
        told: list[RetriedProvisioning | bytes] = answers(together(*[attempts] * 4))
        assert len({one if isinstance(one, bytes) else encoded(one) for one in told}) == 1
        assert live_jobs(world, back) == 1
        finish(world)


def test_an_assignment_in_its_place(world: World) -> None:
    other = world.advisor(slots=100, status="busy")
    for _ in range(rounds(ROUNDS)):
        back = rolled_back(world)
        retried, assigned = together(
            partial(retry, world, back),
            partial(world.assign, back.project_id, other, assignment_type=AssignmentType.EMERGENCY),
        )
        if isinstance(assigned, AssignedAdvisor):
            assert isinstance(retried, InvalidTransition)
            assert retried.metadata["from"] == "expired"
        else:
            assert isinstance(assigned, InvalidTransition)
            assert isinstance(retried, RetriedProvisioning)
        unsettled = world.ask(
            "SELECT count(*) FROM advisor_match_requests WHERE project_id = :id"
            " AND provisioning_state = 'queued'",
            id=back.project_id,
        )
        assert unsettled == 1
        finish(world)


def test_a_release(world: World) -> None:
    for _ in range(rounds(ROUNDS)):
        back = rolled_back(world)
        assert back.matched_advisor_id is not None
        retried, released = together(
            partial(retry, world, back), partial(world.release, back.project_id, back.matched_advisor_id)
        )
        assert released is True
        assert isinstance(retried, (RetriedProvisioning, InvalidTransition)), retried
        assert world.match(back.id).status is S.EXPIRED
        assert live_jobs(world, back) == 0
    assert world.rows("SELECT DISTINCT current_projects FROM advisor_availability") == [(0,)]


def test_another_request_for_the_project_of_a_match_without_a_job(world: World) -> None:
    off = world.under(auto_provision=False)
    for number in range(rounds(ROUNDS)):
        match = off.approve(off.create())
        retried, created = together(
            later(number, partial(retry, off, match)), partial(off.create, match.project_id)
        )
        assert isinstance(created, Match), created
        if isinstance(retried, RetriedProvisioning):
            assert created.id == match.id
            assert live_jobs(world, match) == 1
        else:
            assert isinstance(retried, InvalidTransition), retried
            assert created.id != match.id
            off.decline(created, Side.CLIENT)
        finish(world)


def test_the_advisors_deactivation(world: World) -> None:
    for number in range(rounds(ROUNDS)):
        world.run("UPDATE advisors SET active = false")
        advisor = world.advisor()
        back = rolled_back(world)
        assert back.matched_advisor_id == advisor
        retried, deactivated = together(
            partial(retry, world, back),
            later(number, partial(deactivate_advisor, world.runner, call(), advisor, None)),
        )
        assert not isinstance(deactivated, Exception), deactivated
        assert isinstance(retried, (RetriedProvisioning, AdvisorInactive, InvalidTransition)), retried
        finish(world)
        assert world.match(back.id).status is S.EXPIRED
        assert world.load(advisor) == 0
