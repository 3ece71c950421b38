"""The queue and an attempt at a workspace: done once, tried again, and never by who has lost the lease."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from functools import partial

import pytest

from matching_server.domain.model import JobStatus, MatchStatus, ProvisioningState
from matching_server.domain.provisioning import WELCOME_TEXT, LeasedJob, LeaseLost
from matching_server.operations.provisioning import (
    AttemptResult,
    attempt,
    extend_leases,
    hand_back,
    return_expired_leases,
    take_jobs,
)
from matching_server.storage import provisioning as queue
from matching_server.storage import queues
from matching_server.storage.database import Transaction
from tests.integration.jobs import end_lease, everything, failing, finalized, job_of, make_due, take
from tests.integration.world import WAIT, World, answers, together
from tests.support.locks import held, wait_for_waiters
from tests.support.seed import insert_project, insert_user

S = MatchStatus
R = AttemptResult


@pytest.fixture
def world(world: World) -> World:
    """Workspaces are made, and one advisor is free for many projects."""
    world.advisor(slots=100)
    return world.under(auto_provision=True)


def test_a_lease_is_given_once_for_its_time(world: World) -> None:
    match = finalized(world)
    before = world.now()
    job = take(world)
    assert (job.match_id, job.project_id, job.attempt) == (match.id, match.project_id, 1)
    assert job.status is JobStatus.PROCESSING
    assert job.correlation_id is not None
    status, token, ends = job_of(world, match, "status, lease_token, lease_expires_at")
    assert (status, token) == ("processing", job.lease_token)
    assert timedelta(0) <= ends - before - world.policy.provision_lease < timedelta(seconds=5)
    assert take_jobs(world.runner, 10) == []
    assert return_expired_leases(world.runner) == 0


def test_workers_that_take_at_the_same_moment_share_the_jobs(world: World) -> None:
    matches = {finalized(world).id for _ in range(12)}
    taken = answers(together(*[partial(take_jobs, world.runner, 4) for _ in range(4)]))
    assert all(len(jobs) <= 4 for jobs in taken)
    rest = take_jobs(world.runner, 12)
    jobs = [job for some in [*taken, rest] for job in some]
    assert len(jobs) == 12
    assert {job.match_id for job in jobs} == matches


def test_jobs_are_taken_when_they_are_due_and_the_longest_due_first(world: World) -> None:
    first, second, later = (finalized(world) for _ in range(3))
    world.run(
        "UPDATE workspace_provisioning_queue SET next_retry_at = clock_timestamp() + interval '1 min'"
        " WHERE match_id = :id",
        id=later.id,
    )
    assert take(world).match_id == first.id
    assert [job.match_id for job in take_jobs(world.runner, 5)] == [second.id]


def test_an_attempt_makes_the_whole_workspace(world: World) -> None:
    owner = insert_user(world.conn, locale="de-DE")
    match = world.approve(world.create(insert_project(world.conn, owner_id=owner)))
    advisor = match.matched_advisor_id
    job = take(world)
    assert attempt(world.runner, job) is R.COMPLETED

    ready = world.match(match.id)
    assert (ready.status, ready.provisioning_state) == (S.FINALIZED, ProvisioningState.READY)
    assert world.rows("SELECT advisor_id, status, role FROM project_advisors") == [
        (advisor, "active", "advisor")
    ]
    assert world.rows(
        "SELECT user_id, actor_type, session_state, preferred_locale FROM unified_chat_sessions"
    ) == [(advisor, "advisor", "active", "de-DE")]
    welcome, workspace_ready = world.events(match.project_id)[-2:]
    assert (welcome.type.value, workspace_ready.type.value) == ("message.new", "advisor.workspace_ready")
    assert {welcome.correlation_id, workspace_ready.correlation_id} == {job.correlation_id}
    assert world.rows(
        "SELECT text, actor_type, message_type, mode, user_id, seq, response_data FROM unified_chat_messages"
    ) == [
        (
            WELCOME_TEXT,
            "system",
            "system",
            "plan",
            None,
            welcome.seq,
            {
                "event_code": "advisor_joined",
                "advisor_id": str(advisor),
                "match_id": str(match.id),
                "timestamp": workspace_ready.created_at.isoformat(),
            },
        )
    ]
    assert job_of(world, match, "status, attempt_count, lease_token") == ("completed", 1, None)
    [(ended, error)] = world.rows("SELECT ended_at, error FROM workspace_provisioning_attempts")
    assert ended is not None
    assert error is None
    assert world.notified("workspace_ready") == [owner]
    # The access row holds the slot from now on.
    assert not ready.holds_slot
    assert world.rows("SELECT current_projects FROM advisor_availability") == [(1,)]


def test_run_twice_the_effect_is_one(world: World) -> None:
    match = finalized(world)
    job = take(world)
    results = answers(together(*[partial(attempt, world.runner, job) for _ in range(3)]))
    assert sorted(results) == [R.COMPLETED, R.LEASE_LOST, R.LEASE_LOST]
    before = everything(world, match)
    assert attempt(world.runner, job) is R.LEASE_LOST
    assert everything(world, match) == before


def test_a_workspace_that_was_there_before_is_opened_again(world: World) -> None:
    match = finalized(world)
    of = {"project": match.project_id, "advisor": match.matched_advisor_id}
    world.run("INSERT INTO project_advisors VALUES (:project, :advisor, 'inactive', 'consultant')", **of)
    world.run(
        "INSERT INTO unified_chat_sessions (project_id, user_id, actor_type, session_state)"
        " VALUES (:project, :advisor, 'advisor', 'ended')",
        **of,
    )
    assert attempt(world.runner, take(world)) is R.COMPLETED
    assert world.rows("SELECT status FROM project_advisors") == [("active",)]
    assert world.rows("SELECT session_state FROM unified_chat_sessions") == [("active",)]


def test_a_fault_that_passes_costs_an_attempt_and_leaves_nothing_behind(world: World) -> None:
    match = finalized(world)
    told = world.told(match.project_id)
    with failing(world):
        began = world.now()
        assert attempt(world.runner, take(world)) is R.RETRIED
    assert world.match(match.id) == match
    assert world.told(match.project_id) == told
    assert world.ask("SELECT count(*) FROM project_advisors") == 0
    status, count, due, error = job_of(world, match, "status, attempt_count, next_retry_at, last_error")
    assert (status, count) == ("pending", 1)
    assert began < due <= world.now() + world.policy.provision_backoff
    assert error.startswith("CheckViolation: ")
    assert "INSERT" not in error
    make_due(world)
    job = take(world)
    assert job.attempt == 2
    assert attempt(world.runner, job) is R.COMPLETED
    attempts = world.rows(
        "SELECT number, error IS NULL, permanent FROM workspace_provisioning_attempts ORDER BY 1"
    )
    assert attempts == [(1, False, False), (2, True, False)]


def test_an_expired_lease_brings_the_job_back_to_another_worker(world: World) -> None:
    match = finalized(world)
    dead = take(world)
    end_lease(world)
    assert return_expired_leases(world.runner) == 1
    assert world.effects[-1].job_queued
    assert job_of(world, match, "status, last_error") == ("pending", "the lease ran out")
    again = take(world)
    assert (again.attempt, again.lease_token != dead.lease_token) == (2, True)
    assert attempt(world.runner, again) is R.COMPLETED


@pytest.mark.parametrize("meanwhile", ["returned", "taken", "completed"])
def test_a_worker_that_comes_back_late_changes_nothing(world: World, meanwhile: str) -> None:
    match = finalized(world)
    late = take(world)
    end_lease(world)
    return_expired_leases(world.runner)
    if meanwhile != "returned":
        other = take(world)
        if meanwhile == "completed":
            assert attempt(world.runner, other) is R.COMPLETED
    before = everything(world, match)
    assert attempt(world.runner, late) is R.LEASE_LOST
    assert attempt(world.runner, replace(late, status=JobStatus.ROLLBACK_NEEDED)) is R.LEASE_LOST
    assert everything(world, match) == before


WRITES: dict[str, Callable[[Transaction, LeasedJob], None]] = {
    "hold": queue.hold,
    "complete": queue.complete,
    "retry": partial(queue.retry, error="late", delay=timedelta(0)),
    "fail": partial(queue.fail, error="late", permanent=True),
}


@pytest.mark.parametrize("write", list(WRITES))
def test_every_write_for_a_job_names_its_lease(world: World, write: str) -> None:
    match = finalized(world)
    late = take(world)
    end_lease(world)
    return_expired_leases(world.runner)
    take(world)
    before = everything(world, match)
    with pytest.raises(LeaseLost):
        world.database.transact(lambda tx: WRITES[write](tx, late))
    assert everything(world, match) == before


def test_a_worker_that_freezes_in_its_transaction_loses_the_lease_there(world: World) -> None:
    match = finalized(world)
    frozen = take(world)
    lock = "SELECT 1 FROM advisor_match_requests WHERE id = :id FOR UPDATE"
    with ThreadPoolExecutor(1) as pool:
        with held(world.conn, lock, id=match.id):
            result = pool.submit(attempt, world.runner, frozen)
            wait_for_waiters(world.conn)
            end_lease(world)
            return_expired_leases(world.runner)
            job = take(world)
        assert result.result(WAIT) is R.LEASE_LOST
    assert job_of(world, match, "status, lease_token") == ("processing", job.lease_token)
    assert attempt(world.runner, job) is R.COMPLETED


def test_a_heartbeat_extends_the_leases_that_are_still_ones_own(world: World) -> None:
    mine, lost, locked = (finalized(world) for _ in range(3))
    jobs = {job.match_id: job for job in take_jobs(world.runner, 3)}
    world.run(
        "UPDATE workspace_provisioning_queue SET lease_token = gen_random_uuid() WHERE match_id = :id",
        id=lost.id,
    )
    ends = {match.id: job_of(world, match, "lease_expires_at")[0] for match in (mine, lost, locked)}
    with held(
        world.conn, "SELECT FROM workspace_provisioning_queue WHERE match_id = :id FOR UPDATE", id=locked.id
    ):
        extend_leases(world.runner, list(jobs.values()))
    assert job_of(world, mine, "lease_expires_at")[0] > ends[mine.id]
    assert job_of(world, lost, "lease_expires_at")[0] == ends[lost.id]
    assert job_of(world, locked, "lease_expires_at")[0] == ends[locked.id]


def test_a_job_that_is_handed_back_is_as_it_was_before_it_was_taken(world: World) -> None:
    match = finalized(world)
    late = take(world)
    assert hand_back(world.runner, [late]) == 1
    assert world.effects[-1].job_queued
    assert job_of(world, match, "status, attempt_count, lease_token") == ("pending", 0, None)
    assert world.ask("SELECT count(*) FROM workspace_provisioning_attempts") == 0
    again = take(world)
    assert (again.attempt, again.match_id) == (1, match.id)
    # Whoever gave it up has no say in it any more.
    assert hand_back(world.runner, [late]) == 0
    assert attempt(world.runner, late) is R.LEASE_LOST
    assert attempt(world.runner, again) is R.COMPLETED


def test_a_rollback_that_is_handed_back_is_still_one(world: World) -> None:
    match = finalized(world)
    for _ in range(world.policy.provision_max_attempts):
        take(world)
        end_lease(world)
        return_expired_leases(world.runner)
    job = take(world)
    assert job.status is JobStatus.ROLLBACK_NEEDED
    assert hand_back(world.runner, [job]) == 1
    assert job_of(world, match, "status, attempt_count") == ("rollback_needed", job.attempt)
    assert attempt(world.runner, take(world)) is R.ROLLED_BACK


def test_what_waits_is_counted_by_status(world: World) -> None:
    empty = world.database.read(queues.depths)
    assert (empty.oldest_job_seconds, sum(empty.jobs.values())) == (0, 0)
    for _ in range(3):
        finalized(world)
    world.run("UPDATE workspace_provisioning_queue SET created_at = clock_timestamp() - interval '1 h'")
    take(world)
    assert attempt(world.runner, take(world)) is R.COMPLETED
    found = world.database.read(queues.depths)
    assert found.jobs == {"pending": 1, "processing": 1, "rollback_needed": 0}
    assert 3600 <= found.oldest_job_seconds < 3700
    assert found.notifications["pending"] > 0
    assert 0 < found.oldest_notification_seconds < 100
