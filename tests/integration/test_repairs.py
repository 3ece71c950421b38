"""What an audit finds is mended where it follows from other rows, and told where it does not."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import Connection, text

from matching_server.domain.errors import IdempotencyMismatch
from matching_server.domain.model import Match, MatchStatus, Role, Side
from matching_server.operations import repairs as operations
from matching_server.operations.auditing import (
    EVERY_INVARIANT,
    RepairedInvariants,
    audit_invariants,
    repair_invariants,
)
from matching_server.operations.provisioning import AttemptResult, attempt
from matching_server.operations.repairs import REPAIRS
from matching_server.storage.invariants import audit, be_patient
from tests.integration.jobs import finalized, rolled_back, take
from tests.integration.world import WAIT, World, call
from tests.support.history import History, every_fate
from tests.support.locks import held, wait_for_waiters
from tests.support.seed import insert_advisor, insert_user
from tests.support.violations import CASES, PLANTED

ADMIN = uuid4()
MENDED = {
    *((name, fault) for name in ("load_is_counted", "leases_are_swept") for fault in PLANTED[name]),
    *((name, fault) for name in ("outbox_moves", "expired_is_closed") for fault in PLANTED[name]),
    ("finalized_was_decided", "no job"),
    ("finalized_was_decided", "a job for a match that was closed"),
    ("completed_is_provisioned", "no session"),
    ("failures_are_told", "no intervention"),
    ("failures_are_told", "no alert"),
}
"""Of what is planted, what follows from other rows."""

EVERYTHING = """
SELECT md5(string_agg(t, ' ' ORDER BY t)) FROM (
    SELECT v::text AS t FROM advisor_availability v
    UNION ALL SELECT m::text FROM advisor_match_requests m
    UNION ALL SELECT q::text FROM workspace_provisioning_queue q
    UNION ALL SELECT i::text FROM admin_matching_interventions i
    UNION ALL SELECT n::text FROM notification_outbox n
    UNION ALL SELECT s::text FROM unified_chat_sessions s
    UNION ALL SELECT e::text FROM project_events e
) rows
"""


@pytest.fixture
def world(world: World) -> World:
    """Workspaces are made."""
    return world.under(auto_provision=True)


def encoded(repaired: RepairedInvariants) -> bytes:
    return f"{sorted(repaired.repaired)} {len(repaired.violations)}".encode()


def answer(world: World, *names: str, **how: Any) -> RepairedInvariants | bytes:
    by = call(ADMIN, Role.ADMIN, **how)
    return repair_invariants(world.runner, by, names or EVERY_INVARIANT, encoded)


def repair(world: World, *names: str) -> RepairedInvariants:
    repaired = answer(world, *names)
    assert isinstance(repaired, RepairedInvariants)
    return repaired


def violated(world: World) -> list[str]:
    return [violation.invariant for violation in audit_invariants(world.runner, call(ADMIN, Role.ADMIN))]


def logged(world: World) -> list[tuple[Any, ...]]:
    """The repairs that were logged: match, project, reason, before and after."""
    return world.rows(
        "SELECT match_id, project_id, reason, metadata -> 'before', metadata -> 'after'"
        " FROM admin_matching_interventions WHERE intervention_type = 'invariant_repair'"
        " AND metadata ->> 'invariant' = reason AND created_by = :by ORDER BY created_at",
        by=ADMIN,
    )


def mended(world: World, name: str, *, count: int = 1) -> list[tuple[Any, ...]]:
    """The invariant is violated, and mending it leaves nothing wrong. Returns what was logged of that."""
    assert violated(world) == [name]
    before = len(logged(world))
    assert repair(world) == RepairedInvariants({name: count}, ())
    found = logged(world)[before:]
    assert len(found) == count
    assert {row[2] for row in found} == {name}
    return found


@pytest.mark.plants_violations
@pytest.mark.parametrize(("name", "fault"), CASES, ids=[": ".join(case) for case in CASES])
def test_each_breach_is_mended_or_left(world: World, name: str, fault: str) -> None:
    history = History(world.conn)
    PLANTED[name][fault](history, every_fate(history))
    found = audit_invariants(world.runner, call(ADMIN, Role.ADMIN))
    assert [violation.invariant for violation in found] == [name]
    repaired = repair(world)
    if (name, fault) in MENDED:
        count = len(found[0].rows)
        assert repaired == RepairedInvariants({name: count}, ())
        assert len(logged(world)) == count
        assert violated(world) == []
    else:
        assert repaired == RepairedInvariants({}, tuple(found))
        assert logged(world) == []
    assert repair(world) == RepairedInvariants({}, repaired.violations), "once is enough"


def test_every_repair_mends_something() -> None:
    assert {name for name, _ in MENDED} | {"capacity_is_respected"} == set(REPAIRS)


@pytest.mark.plants_violations
def test_a_negative_load_is_counted_for_whichever_invariant_is_asked_for(world: World) -> None:
    world.advisor()
    world.run("ALTER TABLE advisor_availability DROP CONSTRAINT ck_advisor_availability_current_projects")
    for names, repaired in (
        ((), {"load_is_counted": 1}),
        (("capacity_is_respected",), {"capacity_is_respected": 1}),
    ):
        world.run("UPDATE advisor_availability SET current_projects = -1")
        assert violated(world) == ["load_is_counted", "capacity_is_respected"]
        assert repair(world, *names) == RepairedInvariants(repaired, ())
    assert world.rows("SELECT current_projects FROM advisor_availability") == [(0,)]


def test_a_load_is_counted_from_offers_and_workspaces(world: World) -> None:
    advisor = world.advisor(slots=10)
    attempt_all = [finalized(world) for _ in range(2)]
    for _ in attempt_all:
        attempt(world.runner, take(world))
    world.create()
    finalized(world.under(auto_provision=False))
    for wrong in (0, 1, 7):
        world.run("UPDATE advisor_availability SET current_projects = :wrong", wrong=wrong)
        [(match, project, _, before, after)] = mended(world, "load_is_counted")
        assert (match, project) == (None, None)
        assert before == {"advisorId": str(advisor), "currentProjects": wrong}
        assert after == {"advisorId": str(advisor), "currentProjects": 4}
        assert world.load(advisor) == 4


def test_whoever_ranks_or_caches_hears_of_a_mended_load(world: World) -> None:
    advisor = world.advisor(slots=2)
    other = world.advisor(slots=2)
    world.run("UPDATE advisor_availability SET current_projects = 2 WHERE advisor_id = :id", id=advisor)
    world.picture.look()
    world.effects.clear()
    repair(world)
    [told] = [effects for effects in world.effects if effects.loads]
    [load] = told.loads
    assert (load.advisor_id, load.current_projects) == (advisor, 0)
    assert advisor in told.availability_changed
    assert other not in told.availability_changed
    assert told.capacity_freed
    # Longest without a project, and free again.
    world.run("UPDATE advisor_availability SET status = 'busy' WHERE advisor_id = :id", id=other)
    assert world.create().matched_advisor_id == advisor


def test_a_load_that_was_too_low_frees_nothing(world: World) -> None:
    world.advisor()
    world.create()
    world.run("UPDATE advisor_availability SET current_projects = 0")
    world.effects.clear()
    repair(world)
    assert not any(effects.capacity_freed for effects in world.effects)


@pytest.mark.parametrize("first", ["decline", "repair"])
def test_a_count_and_a_change_of_the_load_come_one_after_the_other(world: World, first: str) -> None:
    """Whoever comes second has waited for the row, and must not go by what was so before."""
    advisor = world.advisor()
    match = world.create()
    world.run("UPDATE advisor_availability SET current_projects = 3")
    works: dict[str, Callable[[], object]] = {
        "decline": partial(world.decline, match, Side.CLIENT),
        "repair": partial(repair, world),
    }
    with ThreadPoolExecutor(2) as pool:
        with held(world.conn, "SELECT 1 FROM advisor_availability FOR UPDATE"):
            begun = [pool.submit(works.pop(first))]
            wait_for_waiters(world.conn, 1)
            begun += [pool.submit(work) for work in works.values()]
            wait_for_waiters(world.conn, 2)
        for work in begun:
            work.result(WAIT)
    assert world.load(advisor) == 0


def test_a_match_that_lost_its_job_is_provisioned_after_all(world: World) -> None:
    world.advisor()
    match = finalized(world)
    world.run("DELETE FROM workspace_provisioning_queue")
    world.effects.clear()
    [(match_id, project_id, _, before, after)] = mended(world, "finalized_was_decided")
    assert (match_id, project_id) == (match.id, match.project_id)
    assert (before, after) == ({"liveJobs": 0}, {"liveJobs": 1})
    assert any(effects.job_queued for effects in world.effects)
    assert attempt(world.runner, take(world)) is AttemptResult.COMPLETED


def test_a_job_of_a_match_that_is_not_finalized_is_cancelled_and_told(world: World) -> None:
    insert_user(world.conn, roles=["admin"])
    world.advisor()
    back = rolled_back(world)
    world.run(
        "INSERT INTO workspace_provisioning_queue (match_id, project_id)"
        " SELECT match_id, project_id FROM workspace_provisioning_queue"
    )
    [(_, _, _, before, after)] = mended(world, "finalized_was_decided")
    assert (before, after) == ({"liveJobs": 1}, {"liveJobs": 0})
    assert world.rows("SELECT status, last_error FROM workspace_provisioning_queue ORDER BY created_at")[
        1
    ] == (
        "failed",
        "its match is not finalized",
    )
    assert len(world.notified("workspace_provisioning_failure")) == 2
    assert world.match(back.id) == back


def ready(world: World) -> Match:
    match = finalized(world)
    attempt(world.runner, take(world))
    return world.match(match.id)


@pytest.mark.parametrize("released", [False, True])
def test_a_chat_session_follows_from_the_access_row(world: World, released: bool) -> None:
    advisor = world.advisor()
    match = world.approve(world.create(world.project()))
    world.run("UPDATE auth.users SET locale = 'fr-CA'")
    attempt(world.runner, take(world))
    if released:
        world.release(match.project_id, advisor)
    query = "SELECT user_id, actor_type, session_state, preferred_locale FROM unified_chat_sessions"
    [before] = world.rows(query)
    world.run("DELETE FROM unified_chat_sessions")
    [(match_id, _, _, lacking, whole)] = mended(world, "completed_is_provisioned")
    assert match_id == match.id
    assert (lacking["chatSession"], whole["chatSession"]) == (False, True)
    assert world.rows(query) == [before]
    assert before[2] == ("ended" if released else "active")


def test_a_welcome_is_as_the_log_tells_of_it(world: World) -> None:
    world.advisor()
    match = ready(world)
    query = "SELECT * FROM unified_chat_messages"
    before = world.rows(query)
    world.run("DELETE FROM unified_chat_messages")
    mended(world, "completed_is_provisioned")
    assert world.rows(query) == before
    assert len(world.events(match.project_id)) == before[0][-2] + 1, "nothing was told again"


@pytest.mark.plants_violations("completed_is_provisioned")
def test_a_welcome_that_the_log_has_forgotten_is_left(world: World) -> None:
    world.advisor()
    match = ready(world)
    world.run("DELETE FROM unified_chat_messages")
    History(world.conn).prune(match.project_id, len(world.events(match.project_id)) - 1)
    repaired = repair(world)
    assert repaired.repaired == {}
    assert [violation.invariant for violation in repaired.violations] == ["completed_is_provisioned"]


@pytest.mark.plants_violations("completed_is_provisioned")
def test_access_is_given_to_nobody(world: World) -> None:
    world.advisor()
    ready(world)
    world.run("DELETE FROM project_advisors")
    repaired = repair(world, "completed_is_provisioned")
    assert repaired.repaired == {}
    assert world.rows("SELECT * FROM project_advisors") == []


def test_the_missing_record_of_a_failure_is_of_when_it_failed(world: World) -> None:
    admin = insert_user(world.conn, roles=["admin"])
    world.advisor()
    back = rolled_back(world)
    query = (
        "SELECT match_id, project_id, reason, metadata ->> 'reason', metadata ->> 'attempts'"
        " FROM admin_matching_interventions WHERE intervention_type = 'workspace_provisioning_failure'"
    )
    before = world.rows(query)
    payload = (
        "SELECT payload - 'timestamp' FROM notification_outbox WHERE type = 'workspace_provisioning_failure'"
    )
    alert = world.ask(payload)
    world.run("DELETE FROM admin_matching_interventions")
    world.run("DELETE FROM notification_outbox")
    [(match_id, _, _, lacking, whole)] = mended(world, "failures_are_told")
    assert match_id == back.id
    assert (lacking, whole) == ({"logged": False, "alerted": False}, {"logged": True, "alerted": True})
    assert world.rows(query) == before
    assert world.ask(payload) == alert
    assert world.notified("workspace_provisioning_failure") == [admin]
    assert world.ask(
        "SELECT i.created_at = j.updated_at FROM admin_matching_interventions i"
        " JOIN workspace_provisioning_queue j USING (match_id)"
        " WHERE intervention_type = 'workspace_provisioning_failure'"
    )


def test_a_failed_job_that_was_not_rolled_back_is_told_and_followed_by_another(world: World) -> None:
    admin = insert_user(world.conn, roles=["admin"])
    world.advisor()
    finalized(world)
    world.run("UPDATE workspace_provisioning_queue SET status = 'failed', last_error = 'by hand'")
    assert violated(world) == ["finalized_was_decided", "failures_are_told"]
    assert repair(world) == RepairedInvariants({"failures_are_told": 1, "finalized_was_decided": 1}, ())
    assert world.notified("workspace_provisioning_failure") == [admin]
    assert attempt(world.runner, take(world)) is AttemptResult.COMPLETED


def test_a_lease_that_ended_is_returned_and_the_last_one_goes_on_to_a_rollback(world: World) -> None:
    world.advisor()
    match = finalized(world)
    for number, then in ((1, "pending"), (2, "pending"), (3, "rollback_needed")):
        late = take(world)
        assert late.attempt == number
        world.run("UPDATE workspace_provisioning_queue SET lease_expires_at = '2025-01-01Z'")
        [(match_id, project_id, _, before, after)] = mended(world, "leases_are_swept")
        assert (match_id, project_id) == (match.id, match.project_id)
        assert before == {
            "jobId": str(late.id),
            "status": "processing",
            "leaseExpiresAt": "2025-01-01 00:00:00+00",
        }
        assert after == {"jobId": str(late.id), "status": then, "leaseExpiresAt": None}
        assert attempt(world.runner, late) is AttemptResult.LEASE_LOST
    assert attempt(world.runner, take(world)) is AttemptResult.ROLLED_BACK


def mend(world: World, name: str, **breach: str) -> bool:
    """What a repair makes of a breach that an audit found a while ago."""
    return world.runner.system(lambda tx: operations.repair(tx, name, breach, world.policy))


def test_a_lease_that_a_worker_has_by_now_is_left_to_it(world: World) -> None:
    world.advisor()
    finalized(world)
    job = take(world)
    assert not mend(world, "leases_are_swept", job_id=str(job.id))
    assert attempt(world.runner, job) is AttemptResult.COMPLETED


def test_a_match_that_has_time_again_stays_open(world: World) -> None:
    world.advisor()
    match = world.create()
    assert not mend(world, "expired_is_closed", match_id=str(match.id))
    assert world.match(match.id) == match


@pytest.mark.plants_violations
@pytest.mark.parametrize(("name", "fault"), sorted(MENDED), ids=[": ".join(case) for case in sorted(MENDED)])
def test_what_somebody_has_mended_meanwhile_is_not_mended_twice(world: World, name: str, fault: str) -> None:
    history = History(world.conn)
    PLANTED[name][fault](history, every_fate(history))
    [found] = audit_invariants(world.runner, call(ADMIN, Role.ADMIN))
    repair(world)
    before = world.ask(EVERYTHING)
    for breach in found.rows:
        assert not mend(world, name, **breach)
    assert world.ask(EVERYTHING) == before


@pytest.mark.parametrize("when", ["NULL", "'infinity'", "clock_timestamp() + interval '2 days'"])
def test_a_notification_becomes_due(world: World, when: str) -> None:
    world.advisor()
    world.create()
    world.run(f"UPDATE notification_outbox SET next_attempt_at = {when}")
    [(_, _, _, before, after)] = mended(world, "outbox_moves")
    assert before["notificationId"] == after["notificationId"]
    assert world.ask("SELECT next_attempt_at <= clock_timestamp() FROM notification_outbox")


def test_an_overdue_match_is_expired_with_all_that_belongs_to_it(world: World) -> None:
    advisor = world.advisor()
    match = world.create()
    world.run("UPDATE advisor_match_requests SET expires_at = '2025-01-01Z'")
    [(match_id, _, _, before, after)] = mended(world, "expired_is_closed")
    assert (match_id, before, after) == (match.id, {"status": "matched"}, {"status": "expired"})
    assert world.match(match.id).status is MatchStatus.EXPIRED
    assert world.told(match.project_id)[-1] == "advisor.match_expired"
    assert world.load(advisor) == 0


def test_many_breaches_are_mended_one_by_one(world: World) -> None:
    for _ in range(150):
        insert_advisor(world.conn)
    world.run("UPDATE advisor_availability SET current_projects = 1")
    assert len(mended(world, "load_is_counted", count=150)) == 150


@pytest.mark.plants_violations
def test_only_what_is_asked_for_is_repaired_and_told(world: World) -> None:
    world.advisor()
    world.create()
    world.run("UPDATE notification_outbox SET next_attempt_at = NULL")
    world.run("UPDATE advisor_availability SET current_projects = 3")
    assert repair(world, "log_has_no_gap") == RepairedInvariants({}, ())
    assert repair(world, "outbox_moves", "log_has_no_gap") == RepairedInvariants({"outbox_moves": 1}, ())
    assert violated(world) == ["load_is_counted"]


def test_what_somebody_holds_is_left_for_the_next_run(world: World) -> None:
    world.advisor()
    finalized(world)
    world.run("DELETE FROM workspace_provisioning_queue")
    with held(world.conn, "SELECT 1 FROM project_event_heads FOR UPDATE"):
        repaired = repair(world)
        assert repaired.repaired == {}
        assert [violation.invariant for violation in repaired.violations] == ["finalized_was_decided"]
    assert repair(world) == RepairedInvariants({"finalized_was_decided": 1}, ())


def test_a_repair_and_its_record_are_one(world: World) -> None:
    advisor = world.advisor()
    world.run("UPDATE advisor_availability SET current_projects = 2")
    world.run("ALTER TABLE admin_matching_interventions ADD CONSTRAINT out_of_order CHECK (false) NOT VALID")
    repaired = repair(world)
    assert repaired.repaired == {}
    assert [violation.invariant for violation in repaired.violations] == ["load_is_counted"]
    assert world.load(advisor) == 2
    world.run("ALTER TABLE admin_matching_interventions DROP CONSTRAINT out_of_order")
    mended(world, "load_is_counted")


def test_a_repeated_request_is_answered_as_the_first_time_and_repairs_nothing(world: World) -> None:
    advisor = world.advisor()
    world.run("UPDATE advisor_availability SET current_projects = 2")
    request_id = uuid4()
    first = answer(world, request_id=request_id)
    assert first == RepairedInvariants({"load_is_counted": 1}, ())
    world.run("UPDATE advisor_availability SET current_projects = 2")
    assert answer(world, request_id=request_id) == encoded(first)
    assert world.load(advisor) == 2
    with pytest.raises(IdempotencyMismatch):
        answer(world, "outbox_moves", request_id=request_id, body=b"another")
    assert repair(world).repaired == {"load_is_counted": 1}


def test_an_audit_writes_nothing_and_calls_nothing_late_that_became_so_after_its_moment(world: World) -> None:
    world.advisor()
    match = world.create()
    world.run(
        "UPDATE advisor_match_requests SET expires_at = clock_timestamp() + interval '300 ms' WHERE id = :id",
        id=match.id,
    )

    def twice(conn: Any) -> list[list[str]]:
        found = [audit(conn, 0)]
        time.sleep(0.5)
        return [[violation.invariant for violation in one] for one in (*found, audit(conn, 0))]

    assert world.database.read_only(twice) == [[], []]
    assert [one.invariant for one in world.database.read(lambda conn: audit(conn, 0))] == [
        "expired_is_closed"
    ]


def test_a_patient_audit_may_take_long_and_leaves_no_patience_behind(world: World) -> None:
    def patience(conn: Connection) -> str:
        return str(conn.execute(text("SHOW statement_timeout")).scalar_one())

    def patient(conn: Connection) -> str:
        be_patient(conn)
        return patience(conn)

    assert world.database.read_only(patient) == "15min"
    assert world.database.read_only(patience) == "10s"


def test_the_settings_say_what_is_late_and_how_often_is_too_often(world: World) -> None:
    world.advisor()
    match = world.create()
    world.run("UPDATE advisor_match_requests SET expires_at = clock_timestamp() - interval '5 s'")
    assert violated(world) == []
    assert violated(world.under(sweep=timedelta(seconds=1))) == ["expired_is_closed"]
    assert world.match(match.id).overdue


@pytest.mark.plants_violations("completed_is_provisioned")
def test_a_breach_that_cannot_be_mended_keeps_no_other_from_it(world: World) -> None:
    """The message is there and no longer a welcome: to store it again violates its key."""
    world.advisor(slots=9)
    ready(world)
    world.run("UPDATE unified_chat_messages SET response_data = NULL")
    late = world.create()
    world.make_overdue(late.id)
    world.run(
        "UPDATE advisor_match_requests SET expires_at = expires_at - interval '1 h' WHERE id = :id",
        id=late.id,
    )
    repaired = repair(world)
    assert repaired.repaired == {"expired_is_closed": 1}
    assert [violation.invariant for violation in repaired.violations] == ["completed_is_provisioned"]
