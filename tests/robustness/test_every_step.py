"""A provisioning that is killed, frozen or made to fail at each of its statements, all of them at once.

Each of many jobs of one worker process is stopped at another statement, on the wire to Postgres; then the process
is killed, or frozen until its leases have run out. So each statement is tried before it reached Postgres and after
it was done there, COMMIT included, with the price of one process that dies.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC
from typing import Any

import pytest

from advisor_matching.v1.decision_service_pb2 import (
    SubmitAdvisorDecisionResponse,
    SubmitClientDecisionResponse,
)
from advisor_matching.v1.types_pb2 import Match, WorkspaceProvisioning
from matching_server.embedded import EmbeddedServices
from tests.support.databases import TestDatabases
from tests.support.faults import CAUSE, UNUSUAL
from tests.support.processes import ServerProcess
from tests.support.rounds import rounds
from tests.support.wait import eventually
from tests.support.wire import MAKE, TAKE, Moment, Plan, Point, Wire
from tests.support.world import World
from tests.support.worlds import shared_world

Tell = Callable[[str], None]
Answer = SubmitClientDecisionResponse | SubmitAdvisorDecisionResponse
BEFORE, AFTER, INSTEAD = Moment.BEFORE, Moment.AFTER, Moment.INSTEAD
APPROVED = "DECISION_APPROVED"
FAILURE = "workspace_provisioning_failure"
LAPSED = "the lease ran out"
WORKER: dict[str, Any] = {
    "provision_workers": 64,
    "provision_lease_seconds": 2,
    "sweep_seconds": 0.2,
    "provision_backoff_seconds": 0.05,
}
OUTLIVES_LOCKS = WORKER | {"provision_lease_seconds": 6}
"""Locks of a frozen worker end with its idle transaction, after 5 s: only then can another one go on."""
FAILING: Sequence[Sequence[Point]] = [[Point(3, INSTEAD)]] * 3
"""A provisioning that fails for good; the next transaction of its job gives it up."""
PROVISIONING, GIVING_UP = 7, 10
"""Fewer statements than these would mean that the wire has missed some."""


@dataclass(frozen=True, slots=True)
class Job:
    """A match that both sides have approved; ``last`` is who approved last, and what the wire saw of it."""

    project: str
    advisor: str
    match: Match
    last: str
    plan: Plan


@pytest.fixture(scope="module")
def shared(
    databases: TestDatabases, services: EmbeddedServices, tmp_path_factory: pytest.TempPathFactory
) -> Generator[World]:
    """A server that answers calls and leaves the work to others."""
    yield from shared_world(
        databases, services, tmp_path_factory.mktemp("servers"), servers=[("--no-workers",)], settings={}
    )


@pytest.fixture(scope="module")
def wire(shared: World) -> Iterator[Wire]:
    """The workers' way to the database."""
    with Wire(shared.conn.engine.url) as wire:
        yield wire


@pytest.fixture(scope="module")
def wired(shared: World, wire: Wire) -> ServerProcess:
    """A worker whose every statement goes over the wire."""
    return shared.start_worker(database_url=wire.url, **WORKER)


@pytest.fixture(scope="module")
def length(shared: World, wire: Wire, wired: ServerProcess) -> int:
    """How many statements a provisioning has."""
    return length_of(shared, wire, state="ready", at_least=PROVISIONING)


@pytest.fixture(scope="module")
def length_of_giving_up(shared: World, wire: Wire, wired: ServerProcess) -> int:
    """How many statements it takes to give up, with two admins to tell."""
    shared.new_admin()
    shared.new_admin()
    return length_of(shared, wire, *FAILING, state="failed", at_least=GIVING_UP)


@pytest.fixture
def worker(world: World, wired: ServerProcess) -> ServerProcess:
    """The same, at work."""
    return wired if wired.running else wired.start()


@contextmanager
def nothing_taken(wire: Wire, *points: Point) -> Iterator[Plan]:
    """The worker waits before it takes jobs, and has what became due in the block all at once.

    ``points`` of that statement are stopped at, too.
    """
    taking = wire.plan(TAKE, [Point(0, BEFORE), *points])
    wire.wait_for_held(taking)
    yield taking
    wire.release(taking)


def finalized(
    world: World, wire: Wire, *scripts: Sequence[Point], last: str = "advisor", usual: bool = False
) -> Job:
    """A job whose transactions go by the scripts; where it is the ``usual`` one, those of its one statement."""
    # The only free slot there is: the others are taken.
    advisor, project = world.new_advisor(slots=1), world.new_project()
    match = world.service().create_match(project).match
    assert match.matched_advisor.id == advisor
    plan = wire.plan(MAKE, *scripts, project=project) if usual else wire.plan_project(project, *scripts)
    for side in ("client", "advisor") if last == "advisor" else ("advisor", "client"):
        match = approve(world, side, project, advisor, match.id).match
    if not usual:
        world.execute(UNUSUAL, id=match.id)
    return Job(project, advisor, match, last, plan)


def approve(world: World, side: str, project: str, advisor: str, match_id: str) -> Answer:
    """One side's approval."""
    if side == "client":
        return world.client(project).submit_client_decision(match_id, APPROVED)
    return world.advisor(advisor).submit_advisor_decision(match_id, APPROVED)


def wait_until_all(world: World, jobs: Sequence[Job], state: str, *, timeout: float = 30.0) -> None:
    """Waits until the newest attempt at every match's workspace has come to that."""
    query = "SELECT count(*) FROM advisor_match_requests WHERE provisioning_state = :state"
    eventually(
        lambda: world.value(query, state=state) == len(jobs), timeout=timeout, what=f"{len(jobs)} are {state}"
    )


def length_of(world: World, wire: Wire, *scripts: Sequence[Point], state: str, at_least: int) -> int:
    """How many statements the last transaction of a job has that goes by the scripts."""
    with nothing_taken(wire):
        job = finalized(world, wire, *scripts)
    world.wait_for_provisioning(job.match.id, state)
    # The answer to COMMIT may still be on its way.
    [*_, transaction] = job.plan.seen
    assert transaction[-1] == "COMMIT", transaction
    assert len(transaction) >= at_least, transaction
    world.empty()
    return len(transaction)


def everywhere(length: int, *moments: Moment) -> list[Point]:
    """Each moment of each statement."""
    return [Point(step, moment) for step in range(length) for moment in moments]


def plans(jobs: Sequence[Job]) -> list[Plan]:
    """What the wire knows of them."""
    return [job.plan for job in jobs]


def newest_job(world: World, job: Job) -> Mapping[str, Any]:
    return world.row(
        "SELECT * FROM workspace_provisioning_queue WHERE match_id = :id ORDER BY created_at DESC LIMIT 1",
        id=job.match.id,
    )


def errors(world: World, job: Job) -> list[str | None]:
    """How the attempts of the match's first job ended."""
    return world.values(
        "SELECT error FROM workspace_provisioning_attempts a JOIN workspace_provisioning_queue q ON q.id = a.job_id"
        " WHERE q.match_id = :id ORDER BY q.created_at, number",
        id=job.match.id,
    )


def assert_one_workspace(world: World, job: Job, *, attempts: int) -> None:
    """One access row, session, welcome, event and notification, after so many attempts at most."""
    of = {"id": job.project}
    for table in ("project_advisors", "unified_chat_sessions", "unified_chat_messages"):
        assert world.value(f"SELECT count(*) FROM {table} WHERE project_id = :id", **of) == 1
    events = world.event_types(job.project)
    assert events[3:] == ["advisor.finalized", "message.new", "advisor.workspace_ready"]
    told = "SELECT count(*) FROM notification_outbox WHERE type = 'workspace_ready' AND payload ->> 'matchId' = :id"
    assert world.value(told, id=job.match.id) == 1
    assert (world.status(job.match.id), world.load(job.advisor)) == ("finalized", 1)
    made = newest_job(world, job)
    # Fewer where the machine was so slow that Postgres ended the transaction first, and the worker began it anew.
    assert made["status"] == "completed"
    assert made["attempt_count"] <= attempts


def attempts_when_lost_at(point: Point, length: int) -> int:
    """Whoever is lost once COMMIT was done has done it all."""
    return 1 if point == Point(length - 1, AFTER) else 2


def test_a_worker_killed_at_any_statement_is_replaced_and_the_effect_is_one(
    world: World, wire: Wire, worker: ServerProcess, length: int, tell: Tell
) -> None:
    """It dies with a job in its hands for each statement, and while it takes yet another one."""
    points = everywhere(length, BEFORE, AFTER)
    count = rounds(1, full=5)
    for _ in range(count):
        jobs, taken = stopped(world, wire, points)
        worker.kill()
        worker.start()
        wait_until_all(world, [*jobs, taken], "ready")
        assert_one_workspace(world, taken, attempts=2)
        for job, point in zip(jobs, points, strict=True):
            assert_one_workspace(world, job, attempts=attempts_when_lost_at(point, length))
        world.assert_sound()
        world.empty()
    tell(f"{count} workers killed, each with {len(points)} jobs in its hands, at {length} statements")


def stopped(world: World, wire: Wire, points: Sequence[Point]) -> tuple[list[Job], Job]:
    """A worker stands at each point with a job of its own, and has taken another one of which it has not heard."""
    with nothing_taken(wire):
        jobs = [finalized(world, wire, [point]) for point in points]
    wire.wait_for_held(*plans(jobs))
    with nothing_taken(wire, Point(0, AFTER)) as last:
        taken = finalized(world, wire)
    wire.wait_for_held(last)
    return jobs, taken


def test_a_statement_that_fails_once_costs_an_attempt_and_nothing_else(
    world: World, wire: Wire, worker: ServerProcess, length: int, tell: Tell
) -> None:
    with nothing_taken(wire):
        jobs = [finalized(world, wire, [point]) for point in everywhere(length, INSTEAD)]
    wait_until_all(world, jobs, "ready")
    for job in jobs:
        assert_one_workspace(world, job, attempts=2)
        first, second = errors(world, job)
        assert first is not None
        assert CAUSE in first
        assert second is None
    tell(f"{length} statements")


@pytest.mark.parametrize("stop", ["killed", "frozen"])
def test_a_worker_stopped_at_the_one_statement_of_the_usual_case_is_replaced_and_the_effect_is_one(
    world: World, wire: Wire, worker: ServerProcess, stop: str
) -> None:
    moments = [BEFORE, AFTER] * 3
    with nothing_taken(wire):
        jobs = [finalized(world, wire, [Point(0, moment)], usual=True) for moment in moments]
    wire.wait_for_held(*plans(jobs))
    if stop == "killed":
        worker.kill()
        worker.start()
        wait_until_all(world, jobs, "ready")
    else:
        worker.freeze()
        other = world.start_worker(**WORKER)
        wait_until_all(world, jobs, "ready")
        before = attempts_ended(worker)
        worker.thaw()
        wire.release_all()
        eventually(
            lambda: attempts_ended(worker) >= before + len(jobs), what="the thawed worker's attempts ended"
        )
        other.kill()
        world.servers.all.remove(other)
    for job, moment in zip(jobs, moments, strict=True):
        assert_one_workspace(world, job, attempts=attempts_when_lost_at(Point(0, moment), 1))


def test_the_one_statement_of_the_usual_case_that_fails_costs_an_attempt_and_nothing_else(
    world: World, wire: Wire, worker: ServerProcess
) -> None:
    with nothing_taken(wire):
        job = finalized(world, wire, [Point(0, INSTEAD)], usual=True)
    wait_until_all(world, [job], "ready")
    assert_one_workspace(world, job, attempts=2)
    assert errors(world, job) == [f"RaiseException: {CAUSE}", None]


def test_jobs_that_cannot_be_taken_are_taken_later(world: World, wire: Wire, worker: ServerProcess) -> None:
    with nothing_taken(wire, Point(0, INSTEAD)):
        job = finalized(world, wire)
    wait_until_all(world, [job], "ready")
    assert_one_workspace(world, job, attempts=1)


def test_a_statement_that_fails_for_good_takes_everything_back(
    world: World, wire: Wire, worker: ServerProcess, length: int, tell: Tell
) -> None:
    admins = sorted([world.new_admin(), world.new_admin()])
    with nothing_taken(wire):
        jobs = [
            finalized(world, wire, *[[Point(step, INSTEAD)]] * 3, last=last)
            for step in range(length)
            for last in ("client", "advisor")
        ]
    wait_until_all(world, jobs, "failed")
    for job in jobs:
        assert_taken_back(world, job, admins)
        assert len(errors(world, job)) == 3
        assert all(CAUSE in (error or "") for error in errors(world, job))
    approve_again(world, jobs)
    tell(f"{length} statements, approved last by either side")


def test_giving_up_survives_death_and_failure_at_each_of_its_own_statements(
    world: World, wire: Wire, worker: ServerProcess, length_of_giving_up: int, tell: Tell
) -> None:
    length = length_of_giving_up
    admins = sorted([world.new_admin(), world.new_admin()])
    with nothing_taken(wire):
        failed = [finalized(world, wire, *FAILING, [point]) for point in everywhere(length, INSTEAD)]
        held = [finalized(world, wire, *FAILING, [point]) for point in everywhere(length, BEFORE, AFTER)]
    wire.wait_for_held(*plans(held))
    worker.kill()
    worker.start()
    wait_until_all(world, [*failed, *held], "failed")
    for job in [*failed, *held]:
        assert_taken_back(world, job, admins)
        assert set(errors(world, job)[:2]) == {f"RaiseException: {CAUSE}"}
    approve_again(world, [*failed, *held])
    tell(f"{length} statements")


def assert_taken_back(world: World, job: Job, admins: Sequence[str]) -> None:
    """All that a failure for good has to leave, for both sides, admins and watchers."""
    row = world.row("SELECT * FROM advisor_match_requests WHERE id = :id", id=job.match.id)
    kept = {"advisor": "client", "client": "advisor"}[job.last]
    reverted_to = {"advisor": "client_approved", "client": "advisor_accepted"}[job.last]
    assert (row["status"], row["previous_status"]) == (reverted_to, "finalized")
    assert row["expires_at"] - row["updated_at"] <= row["expires_in"]
    assert row["expires_at"] > job.match.expires_at.ToDatetime(UTC), "its full time again"
    assert (row[f"{kept}_decision"], row[f"{job.last}_decision"]) == ("approved", None)
    assert row[f"{job.last}_decided_at"] is None
    assert world.load(job.advisor) == 1, "the offer goes on, and holds its slot"
    for table in ("project_advisors", "unified_chat_sessions", "unified_chat_messages"):
        assert world.value(f"SELECT count(*) FROM {table} WHERE project_id = :id", id=job.project) == 0
    given_up = newest_job(world, job)
    assert (given_up["status"], given_up["attempt_count"]) == ("failed", 3)
    _assert_told(world, job, admins, reverted_to)


def _assert_told(world: World, job: Job, admins: Sequence[str], reverted_to: str) -> None:
    of = {"id": job.match.id, "type": FAILURE}
    [logged] = world.rows(
        "SELECT * FROM admin_matching_interventions WHERE match_id = :id AND intervention_type = :type", **of
    )
    assert str(logged.project_id) == job.project
    assert CAUSE in logged.reason or logged.reason == LAPSED
    alerts = world.rows(
        "SELECT * FROM notification_outbox WHERE type = :type AND payload ->> 'matchId' = :id", **of
    )
    assert sorted(str(alert.recipient_id) for alert in alerts) == list(admins)
    for alert in alerts:
        assert alert.priority == "high"
        assert set(alert.payload) == {"matchId", "projectId", "reason", "timestamp"}
        assert (alert.payload["projectId"], alert.payload["reason"]) == (job.project, logged.reason)
    assert world.event_types(job.project)[4:] == ["advisor.provisioning_failed"]
    payload = world.value(
        "SELECT payload FROM project_events WHERE project_id = :id ORDER BY seq DESC LIMIT 1", id=job.project
    )
    told = (payload["match_id"], payload["reverted_to"], payload["attempts"])
    assert told == (job.match.id, reverted_to, 3)
    assert CAUSE not in payload["reason"], "what the database says is for operators"


def approve_again(world: World, jobs: Sequence[Job]) -> None:
    """The side that finalized them decides again, and everybody gets their workspace by a job with a fresh counter."""
    for job in jobs:
        answer = approve(world, job.last, job.project, job.advisor, job.match.id)
        assert answer.workspace_provisioning == WorkspaceProvisioning.WORKSPACE_PROVISIONING_QUEUED
    wait_until_all(world, jobs, "ready")
    for job in jobs:
        assert (newest_job(world, job)["status"], newest_job(world, job)["attempt_count"]) == ("completed", 1)
        assert (
            world.value("SELECT count(*) FROM project_advisors WHERE project_id = :id", id=job.project) == 1
        )


def test_a_worker_frozen_at_any_statement_beyond_its_leases_does_nothing_twice_when_it_thaws(
    world: World,
    wire: Wire,
    worker: ServerProcess,
    length: int,
    length_of_giving_up: int,
    tell: Tell,
) -> None:
    worker.kill()
    frozen = world.start_worker(database_url=wire.url, **OUTLIVES_LOCKS)
    other = world.start_worker(**OUTLIVES_LOCKS, wait=False)
    points, ended = everywhere(length, BEFORE, AFTER), 0
    points_of_giving_up = everywhere(length_of_giving_up, BEFORE, AFTER)
    count = rounds(1, full=5)
    other.wait_until_ready()
    for _ in range(count):
        other.freeze()
        admins = sorted([world.new_admin(), world.new_admin()])
        with nothing_taken(wire):
            given_up = [finalized(world, wire, *FAILING, [point]) for point in points_of_giving_up]
        wire.wait_for_held(*plans(given_up))
        jobs, taken = stopped(world, wire, points)
        frozen.freeze()
        other.thaw()
        wait_until_all(world, [*jobs, taken], "ready")
        wait_until_all(world, given_up, "failed")
        frozen.thaw()
        wire.release_all()
        ended += len(jobs) + 1 + 3 * len(given_up)
        eventually(lambda: attempts_ended(frozen) >= ended, what="the thawed worker's attempts ended")  # noqa: B023
        assert_one_workspace(world, taken, attempts=2)
        for job, point in zip(jobs, points, strict=True):
            assert_one_workspace(world, job, attempts=attempts_when_lost_at(point, length))
        for job in given_up:
            assert_taken_back(world, job, admins)
        world.assert_sound()
        world.empty()
    for process in (frozen, other):
        process.kill()
        world.servers.all.remove(process)
    held = len(points) + len(points_of_giving_up)
    tell(
        f"{count} workers frozen, each with {held} jobs in its hands, at {length + length_of_giving_up} statements"
    )


def attempts_ended(worker: ServerProcess) -> int:
    """How many attempts the worker has come to the end of, one way or another."""
    log = worker.log(last=100_000)
    return log.count('"provisioning_attempt"') + log.count('"provisioning_lost"')
