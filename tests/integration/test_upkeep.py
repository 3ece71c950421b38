"""What the service does by itself: expiry, what the platform deleted, and what need not be kept any more."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import pytest

from matching_server.domain.model import ClosedReason, Match, MatchStatus, Side
from matching_server.operations import provisioning, upkeep
from matching_server.operations.provisioning import AttemptResult
from tests.integration.world import World, call
from tests.support.locks import held

S = MatchStatus
LOCK_HEAD = "SELECT 1 FROM project_event_heads WHERE project_id = :project FOR UPDATE"


def fate(world: World, match: Match) -> tuple[MatchStatus, ClosedReason | None]:
    now = world.match(match.id)
    return now.status, now.closed_reason


def test_the_sweep_expires_whatever_is_open_past_its_time(world: World) -> None:
    advisor = world.advisor(slots=3)
    matched = world.create()
    approved = world.approve(world.create(), Side.CLIENT)
    accepted = world.approve(world.create(), Side.ADVISOR)
    pending = world.create()
    overdue = (matched, approved, accepted, pending)
    in_time = world.create()
    for match in overdue:
        world.make_overdue(match.id)
    assert upkeep.expire_overdue(world.runner) == 4
    for match in overdue:
        assert fate(world, match) == (S.EXPIRED, ClosedReason.EXPIRED)
        assert world.told(match.project_id)[-1] == "advisor.match_expired"
        event = world.events(match.project_id)[-1]
        assert event.user_id is None
        assert getattr(event.payload, "previous_status", None) is match.status
    assert fate(world, in_time) == (S.PENDING, None)
    assert world.load(advisor) == 0
    assert world.notified("offer_ended") == [advisor] * 3
    owners = [world.owner(match.project_id) for match in overdue]
    assert sorted(world.notified("match_expired")) == sorted(owners)
    assert any(effects.capacity_freed for effects in world.effects)
    assert upkeep.expire_overdue(world.runner) == 0


def test_what_is_finalized_does_not_expire(world: World) -> None:
    advisor = world.advisor()
    match = world.approve(world.create())
    world.make_overdue(match.id)
    assert upkeep.expire_overdue(world.runner) == 0
    assert world.load(advisor) == 1


def test_an_advisor_whom_the_platform_deleted_leaves_no_match_open(world: World) -> None:
    advisor = world.advisor(slots=9)
    offered = world.create()
    approved = world.approve(world.create(), Side.CLIENT)
    finalized = world.approve(world.create())
    declined = world.decline(world.create(), Side.CLIENT)
    world.run("DELETE FROM auth.users WHERE id = :id", id=advisor)
    assert upkeep.close_orphans(world.runner) == 3
    for match in (offered, approved, finalized):
        assert fate(world, match) == (S.EXPIRED, ClosedReason.ADVISOR_GONE)
        assert world.match(match.id).matched_advisor_id == advisor
        assert world.told(match.project_id)[-1] == "advisor.match_expired"
    assert fate(world, declined) == (S.CLIENT_DECLINED, None)
    assert upkeep.close_orphans(world.runner) == 0


@pytest.mark.parametrize("gone", ["project", "owner"])
def test_a_project_that_the_platform_deleted_frees_its_advisor(world: World, gone: str) -> None:
    advisor = world.advisor(slots=3)
    offered, accepted = world.create(), world.approve(world.create(), Side.ADVISOR)
    finalized = world.approve(world.create())
    pending = world.create()
    assert world.load(advisor) == 3
    matches = (offered, accepted, finalized, pending)
    for match in matches:
        if gone == "project":
            world.run("DELETE FROM projects WHERE id = :id", id=match.project_id)
        else:
            world.run("DELETE FROM auth.users WHERE id = :id", id=world.owner(match.project_id))
    assert upkeep.close_orphans(world.runner) == 4
    for match in matches:
        assert fate(world, match) == (S.EXPIRED, ClosedReason.PROJECT_GONE)
    assert world.load(advisor) == 0
    assert world.notified("offer_ended") == [advisor] * 3


def test_what_is_left_of_the_living_goes_with_the_project_and_its_slot_comes_free(world: World) -> None:
    on = world.under(auto_provision=True)
    advisor = world.advisor()
    match = on.approve(on.create())
    [job] = provisioning.take_jobs(on.runner, 1)
    assert provisioning.attempt(on.runner, job) is AttemptResult.COMPLETED
    assert world.load(advisor) == 1
    world.run("DELETE FROM projects WHERE id = :id", id=match.project_id)
    assert world.load(advisor) == 0
    assert world.ask("SELECT count(*) FROM project_advisors") == 0
    assert upkeep.close_orphans(world.runner) == 0
    # History stays.
    assert fate(world, match) == (S.FINALIZED, None)
    assert world.told(match.project_id)[-1] == "advisor.workspace_ready"


def test_a_queued_job_finds_out_by_itself(world: World) -> None:
    on = world.under(auto_provision=True)
    world.advisor()
    match = on.approve(on.create())
    world.run("DELETE FROM projects WHERE id = :id", id=match.project_id)
    assert upkeep.close_orphans(on.runner) == 0
    [job] = provisioning.take_jobs(on.runner, 1)
    assert provisioning.attempt(on.runner, job) is AttemptResult.ROLLED_BACK
    assert fate(world, match) == (S.EXPIRED, ClosedReason.PROJECT_GONE)


def test_nonces_are_kept_for_660_seconds_and_answers_for_24_hours(world: World) -> None:
    world.advisor(slots=9)
    for number in range(4):
        project = world.project()
        world.create(project, world.client(project, nonce=f"n{number}", request_id=uuid4()))
    world.run("UPDATE used_nonces SET used_at = clock_timestamp() - interval '650 s' WHERE nonce = 'n0'")
    world.run(
        "UPDATE used_nonces SET used_at = clock_timestamp() - interval '661 s' WHERE nonce IN ('n1', 'n2')"
    )
    world.run(
        "UPDATE idempotent_requests SET created_at = clock_timestamp() - interval '24 h 1 s'"
        " WHERE ctid = (SELECT min(ctid) FROM idempotent_requests)"
    )
    assert upkeep.forget(world.runner) == 3
    assert world.rows("SELECT nonce FROM used_nonces ORDER BY 1") == [("n0",), ("n3",)]
    assert world.ask("SELECT count(*) FROM idempotent_requests") == 3
    assert upkeep.forget(world.runner) == 0


def test_old_notifications_go_once_they_were_sent(world: World) -> None:
    for status, age in (("sent", 31), ("sent", 29), ("dead", 31), ("pending", 31)):
        world.run(
            "INSERT INTO notification_outbox (type, recipient_id, status, created_at, updated_at)"
            " SELECT 'test', gen_random_uuid(), :status, written, written"
            " FROM (SELECT clock_timestamp() - make_interval(days => :age) AS written) AS w",
            status=status,
            age=age,
        )
    # It was written long ago, and delivered just now.
    world.run(
        "INSERT INTO notification_outbox (type, recipient_id, status, created_at)"
        " VALUES ('test', gen_random_uuid(), 'sent', clock_timestamp() - interval '31 days')"
    )
    assert upkeep.forget(world.runner) == 1
    left = world.rows("SELECT status FROM notification_outbox ORDER BY 1")
    assert left == [("dead",), ("pending",), ("sent",), ("sent",)]


def test_a_step_of_retention_that_fails_does_not_keep_the_others_from_theirs(world: World) -> None:
    world.advisor()
    match = world.create()
    age_events(world, days=31, through=1)
    world.run("ALTER TABLE notification_outbox RENAME TO notifications_elsewhere")
    try:
        assert upkeep.forget(world.runner) == 1
        assert world.events(match.project_id) == []
        with pytest.raises(Exception, match="notification_outbox"):
            upkeep.forget(world.runner)
    finally:
        world.run("ALTER TABLE notifications_elsewhere RENAME TO notification_outbox")


def age_events(world: World, days: int, through: int) -> None:
    world.run(
        "UPDATE project_events SET created_at = clock_timestamp() - make_interval(days => :days)"
        " WHERE seq <= :through",
        days=days,
        through=through,
    )


def test_old_events_go_and_the_log_says_so(world: World) -> None:
    world.advisor(slots=9)
    old = world.approve(world.create())
    new = world.create()
    age_events(world, days=31, through=3)
    world.run(
        "UPDATE project_events SET created_at = clock_timestamp() WHERE project_id = :id", id=new.project_id
    )
    assert upkeep.forget(world.runner) == 3
    assert [event.seq for event in world.events(old.project_id)] == [4]
    assert world.rows(
        "SELECT pruned_through, last_seq FROM project_event_heads WHERE project_id = :id", id=old.project_id
    ) == [(3, 4)]
    assert len(world.events(new.project_id)) == 1
    assert upkeep.forget(world.runner) == 0


def test_retention_is_a_setting(world: World) -> None:
    world.advisor()
    match = world.approve(world.create())
    age_events(world, days=2, through=4)
    assert upkeep.forget(world.under(event_retention=timedelta(days=3)).runner) == 0
    assert upkeep.forget(world.under(event_retention=timedelta(days=1)).runner) == 4
    assert world.events(match.project_id) == []
    # The numbers go on after what was forgotten.
    world.create(match.project_id, call())
    assert [event.seq for event in world.events(match.project_id)] == [5]


def test_retention_leaves_a_project_alone_that_is_busy(world: World) -> None:
    world.advisor()
    match = world.create()
    age_events(world, days=31, through=1)
    with held(world.conn, LOCK_HEAD, project=match.project_id):
        assert upkeep.forget(world.runner) == 0
    assert upkeep.forget(world.runner) == 1


def test_old_jobs_go_once_they_were_completed_and_the_audit_does_not_mind(world: World) -> None:
    on = world.under(auto_provision=True, event_retention=timedelta(days=3))
    world.advisor(slots=9)
    matches = [on.approve(on.create()) for _ in range(3)]
    for _ in matches[:2]:
        [job] = provisioning.take_jobs(on.runner, 1)
        assert provisioning.attempt(on.runner, job) is AttemptResult.COMPLETED
    world.run(
        "UPDATE workspace_provisioning_queue SET created_at = created_at - interval '4 days',"
        " updated_at = updated_at - CASE match_id WHEN :young THEN interval '1 h' ELSE interval '4 days' END",
        young=matches[1].id,
    )
    # Not by the trigger, which writes down when a match was changed.
    world.run("ALTER TABLE advisor_match_requests DISABLE TRIGGER USER")
    world.run("UPDATE advisor_match_requests SET updated_at = updated_at - interval '4 days'")
    world.run("ALTER TABLE advisor_match_requests ENABLE TRIGGER USER")
    assert upkeep.forget(on.runner) == 1
    left = world.rows("SELECT match_id, status FROM workspace_provisioning_queue ORDER BY status")
    assert left == [(matches[1].id, "completed"), (matches[2].id, "pending")]
    assert world.ask("SELECT count(*) FROM workspace_provisioning_attempts") == 1
    assert upkeep.forget(on.runner) == 0
