"""What operators look at: statistics of provisioning, its jobs with their attempts, and the interventions."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import event

from matching_server.domain.interventions import Intervention
from matching_server.domain.model import AssignmentType, JobStatus, Role
from matching_server.domain.provisioning import JOB_STEPS, ProvisioningJob, ProvisioningStats
from matching_server.operations import operating
from matching_server.operations.commands import ListInterventions, ListProvisioningJobs, Page, PageOf
from matching_server.operations.directory import deactivate_advisor
from matching_server.operations.provisioning import attempt, hand_back, return_expired_leases
from tests.integration.jobs import end_lease, fail_for_good, failing, finalized, make_due, rolled_back, take
from tests.integration.world import World, call

J = JobStatus
ADMIN = call(uuid4(), Role.ADMIN)
DAY = timedelta(days=1)


@pytest.fixture
def world(world: World) -> World:
    """Workspaces are made, and one advisor is free for many projects."""
    world.advisor(slots=100)
    return world.under(auto_provision=True)


def stats(world: World, window: timedelta = DAY) -> ProvisioningStats:
    return operating.get_provisioning_stats(world.runner, ADMIN, window)


def jobs(world: World, *statuses: JobStatus, page: Page | None = None) -> PageOf[ProvisioningJob]:
    command = ListProvisioningJobs(statuses, page or Page())
    return operating.list_provisioning_jobs(world.runner, ADMIN, command)


def interventions(world: World, **filters: Any) -> list[Intervention]:
    return list(operating.list_interventions(world.runner, ADMIN, ListInterventions(**filters)).items)


def complete(world: World) -> UUID:
    """The match of a job that is done at the first attempt."""
    match = finalized(world)
    attempt(world.runner, take(world))
    return match.id


def age(world: World, by: timedelta, where: str = "true") -> None:
    world.run(f"UPDATE workspace_provisioning_queue SET created_at = created_at - :by WHERE {where}", by=by)


def test_of_nothing_there_are_no_rates(world: World) -> None:
    assert stats(world) == ProvisioningStats(dict.fromkeys(J, 0), None, None, ())
    assert stats(world).success_rate is None


def test_a_job_that_has_not_ended_counts_in_no_rate(world: World) -> None:
    finalized(world)
    told = stats(world)
    assert told.counts == {**dict.fromkeys(J, 0), J.PENDING: 1}
    assert (told.success_rate, told.average_attempts, told.failure_reasons) == (None, None, ())


def test_jobs_are_counted_with_their_attempts_and_why_they_failed(world: World) -> None:
    for _ in range(3):
        complete(world)
    rolled_back(world)
    once = world.under(provision_max_attempts=1)
    for _ in range(2):
        finalized(once)
        with failing(once, "project_advisors"):
            attempt(once.runner, take(once))
    finalized(world)
    told = stats(world)
    assert told.counts == {**dict.fromkeys(J, 0), J.COMPLETED: 3, J.FAILED: 3, J.PENDING: 1}
    assert told.success_rate == 0.5
    assert told.average_attempts == pytest.approx((1 + 1 + 1 + 3 + 1 + 1) / 6)
    [(often, two), (seldom, one)] = told.failure_reasons
    assert (two, one) == (2, 1)
    assert "project_advisors" in often
    assert "unified_chat_sessions" in seldom


def test_the_window_leaves_out_what_was_queued_before_it_but_not_the_oldest_that_waits(world: World) -> None:
    complete(world)
    rolled_back(world)
    age(world, 3 * DAY)
    finalized(world)
    age(world, 2 * DAY, "status = 'pending'")
    told = stats(world)
    assert set(told.counts.values()) == {0}
    assert (told.success_rate, told.failure_reasons) == (None, ())
    assert told.oldest_pending_age is not None
    assert 2 * DAY < told.oldest_pending_age < 2 * DAY + timedelta(minutes=1)
    assert stats(world, 2.5 * DAY).counts[J.PENDING] == 1
    assert stats(world, 4 * DAY).success_rate == 0.5


@pytest.mark.parametrize("status", ["processing", "rollback_needed"])
def test_a_job_in_work_is_one_that_has_not_ended(world: World, status: str) -> None:
    finalized(world)
    take(world)
    world.run("UPDATE workspace_provisioning_queue SET status = :status", status=status)
    age(world, DAY)
    told = stats(world).oldest_pending_age
    assert told is not None
    assert told > DAY


def test_of_very_many_reasons_the_most_frequent_are_told(world: World) -> None:
    for _ in range(25):
        finalized(world)
    world.run(
        "UPDATE workspace_provisioning_queue q SET status = 'failed', last_error = 'reason ' || n"
        " FROM (SELECT id, row_number() OVER () AS n FROM workspace_provisioning_queue) o WHERE o.id = q.id"
    )
    world.run("UPDATE workspace_provisioning_queue SET last_error = 'often' WHERE last_error >= 'reason 8'")
    told = stats(world).failure_reasons
    assert told[0] == ("often", 2)
    assert len(told) == 20
    # Not what this test is about: the matches are as if their workspaces were there.
    world.run("TRUNCATE workspace_provisioning_queue CASCADE")
    world.run("UPDATE advisor_match_requests SET provisioning_state = NULL")


def test_a_job_is_listed_with_all_its_attempts(world: World) -> None:
    match = finalized(world)
    fail_for_good(world)
    [job] = jobs(world).items
    assert (job.match_id, job.status) == (match.id, J.FAILED)
    assert (job.attempt_count, job.next_retry_at) == (3, None)
    assert [(one.number, one.permanent) for one in job.attempts] == [(1, False), (2, False), (3, False)]
    for one in job.attempts:
        assert one.ended_at is not None
        assert job.created_at < one.started_at < one.ended_at
        assert one.error == job.last_error
        assert "out_of_order" in (one.error or "")


def test_a_hopeless_attempt_is_called_so(world: World) -> None:
    match = finalized(world)
    assert match.matched_advisor_id is not None
    deactivate_advisor(world.runner, call(), match.matched_advisor_id, None)
    attempt(world.runner, take(world))
    [job] = jobs(world).items
    assert [(one.error, one.permanent) for one in job.attempts] == [("the advisor was deactivated", True)]


def test_a_job_that_waits_or_runs_has_a_time_and_no_end(world: World) -> None:
    finalized(world)
    [waiting] = jobs(world).items
    assert (waiting.attempts, waiting.last_error) == ((), None)
    assert waiting.next_retry_at is not None
    take(world)
    [running] = jobs(world).items
    [begun] = running.attempts
    assert (running.status, begun.ended_at, begun.error) == (J.PROCESSING, None, None)
    assert running.next_retry_at is not None
    assert running.next_retry_at > waiting.next_retry_at


def test_jobs_are_listed_newest_first_a_page_at_a_time_and_by_status(world: World) -> None:
    done = [complete(world) for _ in range(3)]
    waiting = [finalized(world).id for _ in range(2)]
    everything = [*reversed(waiting), *reversed(done)]
    # The same moment for all: the id then decides.
    world.run("UPDATE workspace_provisioning_queue SET created_at = '2025-01-01Z' WHERE status = 'completed'")
    seen: list[UUID] = []
    sizes, before = [], None
    while True:
        page = jobs(world, page=Page(2, before))
        sizes.append(len(page.items))
        seen += [job.match_id for job in page.items]
        before = page.next
        if before is None:
            break
    assert sizes == [2, 2, 1]
    assert seen[:2] == everything[:2]
    assert set(seen) == set(everything)
    assert {job.match_id for job in jobs(world, J.COMPLETED).items} == set(done)
    assert {job.match_id for job in jobs(world, J.COMPLETED, J.PENDING).items} == set(everything)
    assert jobs(world, J.ROLLBACK_NEEDED, J.FAILED).items == ()


def test_a_page_of_jobs_is_one_query(world: World) -> None:
    for _ in range(3):
        rolled_back(world)
    statements: list[str] = []

    def hear(*told: Any) -> None:
        statements.append(told[2])

    engine = world.database._autocommit
    event.listen(engine, "before_cursor_execute", hear)
    assert [len(job.attempts) for job in jobs(world).items] == [3, 3, 3]
    event.remove(engine, "before_cursor_execute", hear)
    assert len(statements) == 1


def test_interventions_are_listed_by_what_they_are_about(world: World) -> None:
    back = rolled_back(world)
    other = world.assign(world.project(), world.advisor(), assignment_type=AssignmentType.EMERGENCY).match
    rolled_back(world, other)
    leaving = world.advisor()
    deactivate_advisor(world.runner, ADMIN, leaving, "on leave")
    kinds = ["advisor_deactivated", "workspace_provisioning_failure", "advisor_assigned"]
    assert [one.intervention_type for one in interventions(world)] == [
        *kinds,
        "workspace_provisioning_failure",
    ]
    assert [one.intervention_type for one in interventions(world, match_id=other.id)] == kinds[1:]
    assert [one.match_id for one in interventions(world, project_id=back.project_id)] == [back.id]
    failures = {"intervention_type": "workspace_provisioning_failure"}
    assert [one.match_id for one in interventions(world, **failures)] == [other.id, back.id]
    assert interventions(world, **failures, match_id=back.id, project_id=other.project_id) == []
    assert interventions(world, intervention_type="workspace") == []
    [deactivated] = interventions(world, intervention_type="advisor_deactivated")
    assert (deactivated.reason, deactivated.created_by) == ("on leave", ADMIN.caller.user_id)
    assert (deactivated.match_id, deactivated.metadata) == (None, {"advisorId": str(leaving)})
    [failed] = interventions(world, match_id=back.id)
    assert failed.created_by is None
    assert failed.metadata["revertedTo"] == back.status.value
    assert failed.metadata["withdrawn"].keys() == {"advisor"}


def test_interventions_come_a_page_at_a_time(world: World) -> None:
    for _ in range(5):
        deactivate_advisor(world.runner, ADMIN, world.advisor(), None)
    world.run("UPDATE admin_matching_interventions SET created_at = '2025-01-01Z'")
    seen: list[UUID] = []
    before = None
    for size in (2, 2, 1):
        page = operating.list_interventions(world.runner, ADMIN, ListInterventions(page=Page(2, before)))
        assert len(page.items) == size
        seen += [one.id for one in page.items]
        before = page.next
    assert before is None
    assert len(set(seen)) == 5


STEPS = """
CREATE TABLE steps (source text, target text);
CREATE FUNCTION note_step() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN INSERT INTO steps VALUES (NULL, NEW.status);
    ELSIF NEW.status <> OLD.status THEN INSERT INTO steps VALUES (OLD.status, NEW.status);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER note_step AFTER INSERT OR UPDATE ON workspace_provisioning_queue
    FOR EACH ROW EXECUTE FUNCTION note_step()
"""


def release(world: World, *, taken: bool, lost: int = 0) -> None:
    """The advisor is released while the job waits, is in work, or has lost so many leases."""
    match = finalized(world)
    for _ in range(lost):
        _lose_lease(world)
    if taken:
        take(world)
    assert match.matched_advisor_id is not None
    world.release(match.project_id, match.matched_advisor_id)


def _lose_lease(world: World) -> None:
    take(world)
    end_lease(world)
    return_expired_leases(world.runner)
    make_due(world)


def test_a_job_makes_the_steps_of_the_table_and_no_others(world: World) -> None:
    world.conn.exec_driver_sql(STEPS)
    complete(world)
    rolled_back(world)
    match = finalized(world)
    for _ in range(3):
        _lose_lease(world)
    attempt(world.runner, take(world))
    assert world.match(match.id).is_open
    finalized(world)
    assert hand_back(world.runner, [take(world)]) == 1
    attempt(world.runner, take(world))
    release(world, taken=False)
    release(world, taken=True)
    release(world, taken=False, lost=3)
    made: Sequence[tuple[Any, ...]] = world.rows("SELECT DISTINCT source, target FROM steps")
    assert set(made) == {(step.source and step.source.value, step.target.value) for step in JOB_STEPS}
    assert len({(step.source, step.target) for step in JOB_STEPS}) == len(JOB_STEPS)
