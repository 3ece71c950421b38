"""Provisioning that fails: for a while, for good, or because there is nobody left to provision for."""

from __future__ import annotations

from datetime import timedelta

import pytest

from advisor_matching.v1.types_pb2 import Decision, Match, MatchStatus, WorkspaceProvisioning
from tests.support.faults import CAUSE, NOTHING_BEGINS, failing
from tests.support.locks import held
from tests.support.wait import eventually
from tests.support.world import World

APPROVED = Decision.DECISION_APPROVED
FAILURE = "workspace_provisioning_failure"


def the_job(world: World, match: Match) -> dict[str, object]:
    """The newest job of the match."""
    return dict(
        world.row(
            "SELECT status, attempt_count FROM workspace_provisioning_queue WHERE match_id = :id"
            " ORDER BY created_at DESC LIMIT 1",
            id=match.id,
        )
    )


def assert_no_workspace(world: World) -> None:
    for table in ("project_advisors", "unified_chat_sessions", "unified_chat_messages"):
        assert world.value(f"SELECT count(*) FROM {table}") == 0


def test_after_three_failed_attempts_everything_is_as_before_the_last_approval(world: World) -> None:
    """As callers see it; `test_every_step.py` has it fail at every statement."""
    admins = {world.new_admin(), world.new_admin()}
    with failing(world, "event"):
        project, advisor, match = world.finalized()
        world.wait_for_provisioning(match.id, "failed")
    assert the_job(world, match) == {"status": "failed", "attempt_count": 3}
    assert world.value("SELECT count(*) FROM workspace_provisioning_attempts WHERE error LIKE '%fire%'") == 3
    assert_no_workspace(world)
    assert world.load(advisor) == 1, "the offer goes on, and holds its slot"
    _assert_rolled_back(world, advisor, match)
    _assert_told(world, project, match, admins)

    answer = world.advisor(advisor).submit_advisor_decision(match.id, APPROVED)
    assert answer.workspace_provisioning == WorkspaceProvisioning.WORKSPACE_PROVISIONING_QUEUED
    world.wait_for_ready(match.id)
    assert the_job(world, match) == {"status": "completed", "attempt_count": 1}


def _assert_rolled_back(world: World, advisor: str, match: Match) -> None:
    now = world.advisor(advisor).get_match(match.id)
    assert now.status == MatchStatus.MATCH_STATUS_CLIENT_APPROVED
    assert now.workspace_provisioning == WorkspaceProvisioning.WORKSPACE_PROVISIONING_FAILED
    assert now.client_decision == match.client_decision
    assert not now.HasField("advisor_decision"), "the side that finalized it has to decide again"
    assert now.expires_at.ToDatetime() > match.expires_at.ToDatetime(), "it has its full time again"
    lasts = now.expires_at.ToDatetime() - now.updated_at.ToDatetime()
    assert abs((lasts - timedelta(hours=2)).total_seconds()) < 1


def _assert_told(world: World, project: str, match: Match, admins: set[str]) -> None:
    intervention = world.row("SELECT * FROM admin_matching_interventions")
    assert intervention["intervention_type"] == FAILURE
    assert (str(intervention["match_id"]), str(intervention["project_id"])) == (match.id, project)
    assert CAUSE in intervention["reason"]
    alerts = world.rows("SELECT * FROM notification_outbox WHERE type = :type", type=FAILURE)
    assert sorted(str(alert.recipient_id) for alert in alerts) == sorted(admins)
    for alert in alerts:
        assert alert.priority == "high"
        assert set(alert.payload) == {"matchId", "projectId", "reason", "timestamp"}
        assert (alert.payload["matchId"], alert.payload["projectId"]) == (match.id, project)
        assert CAUSE in alert.payload["reason"]
    failed = world.watched(project, 5)[-1]
    assert failed.type == "advisor.provisioning_failed"
    assert failed.provisioning_failed.match_id == match.id
    assert failed.provisioning_failed.reverted_to == MatchStatus.MATCH_STATUS_CLIENT_APPROVED
    assert failed.provisioning_failed.attempts == 3
    assert CAUSE not in failed.provisioning_failed.reason, "what the database says is for operators"


def test_the_client_decides_again_where_theirs_was_the_last_approval(world: World) -> None:
    project, advisor, match = world.matched()
    with failing(world, "chat session"):
        world.advisor(advisor).submit_advisor_decision(match.id, APPROVED)
        world.client(project).submit_client_decision(match.id, APPROVED)
        world.wait_for_provisioning(match.id, "failed")
    now = world.client(project).get_match(match.id)
    assert now.status == MatchStatus.MATCH_STATUS_ADVISOR_ACCEPTED
    assert now.HasField("advisor_decision")
    assert not now.HasField("client_decision")
    world.client(project).submit_client_decision(match.id, Decision.DECISION_DECLINED)
    assert world.load(advisor) == 0


def test_a_rolled_back_match_expires_like_any_other(world: World) -> None:
    with failing(world, "access row"):
        project, advisor, match = world.finalized()
        world.wait_for_provisioning(match.id, "failed")
    world.execute("UPDATE advisor_match_requests SET expires_at = clock_timestamp()")
    world.wait_for_status(match.id, "expired")
    assert world.load(advisor) == 0
    assert world.event_types(project)[-2:] == ["advisor.provisioning_failed", "advisor.match_expired"]


LOST = {
    "ADVISOR_GONE": "DELETE FROM auth.users WHERE id = :advisor",
    "ADVISOR_DEACTIVATED": "UPDATE advisors SET active = false WHERE id = :advisor",
    "PROJECT_GONE": "DELETE FROM projects WHERE id = :project",
}


@pytest.mark.parametrize("why", LOST)
def test_a_fault_that_cannot_pass_closes_the_match_after_one_attempt(world: World, why: str) -> None:
    admin = world.new_admin()
    with held(world.conn, NOTHING_BEGINS):
        project, advisor, match = world.finalized()
        world.execute(LOST[why].replace(":advisor", f"'{advisor}'").replace(":project", f"'{project}'"))
    world.wait_for_provisioning(match.id, "failed")
    row = world.row("SELECT status, closed_reason, previous_status FROM advisor_match_requests")
    assert row == {"status": "expired", "closed_reason": why.lower(), "previous_status": "finalized"}
    assert the_job(world, match) == {"status": "failed", "attempt_count": 1}
    assert world.values("SELECT permanent FROM workspace_provisioning_attempts") == [True]
    assert world.values("SELECT current_projects FROM advisor_availability") == (
        [] if why == "ADVISOR_GONE" else [0]
    )
    assert_no_workspace(world)
    told = world.values("SELECT recipient_id::text FROM notification_outbox WHERE type = :type", type=FAILURE)
    assert told == [admin]
    assert world.event_types(project)[-1] == "advisor.provisioning_failed"


def test_the_project_whose_advisor_was_lost_may_ask_again(world: World) -> None:
    with held(world.conn, NOTHING_BEGINS):
        project, advisor, match = world.finalized()
        world.service().deactivate_advisor(advisor)
    world.wait_for_status(match.id, "expired")
    other = world.new_advisor()
    again = world.client(project).create_match(project)
    assert not again.already_open
    assert again.match.matched_advisor.id == other


def test_no_admin_to_alert_is_no_reason_not_to_roll_back(world: World) -> None:
    with failing(world, "event"):
        _, _, match = world.finalized()
        world.wait_for_provisioning(match.id, "failed")
    assert world.value("SELECT count(*) FROM admin_matching_interventions") == 1


def test_what_fails_for_one_project_holds_up_no_other(world: World) -> None:
    with failing(world, "access row", times=3):
        _, _, doomed = world.finalized()
        world.wait_for_provisioning(doomed.id, "failed")
        project = world.new_project()
        offered = world.client(project).create_match(project).match
        world.client(project).submit_client_decision(offered.id, APPROVED)
        world.advisor(offered.matched_advisor.id).submit_advisor_decision(offered.id, APPROVED)
        eventually(lambda: world.status(doomed.id) == "client_approved", what="the failed one is rolled back")
        world.wait_for_ready(offered.id)
