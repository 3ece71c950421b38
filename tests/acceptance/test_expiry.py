"""Matches that run out: found by whoever meets them, and by the sweep where nobody does."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import partial

import pytest

from advisor_matching.v1.types_pb2 import ClosedReason, Match, MatchStatus
from matching_client import InvalidArgument, MatchExpired
from tests.support.wait import eventually
from tests.support.world import World

APPROVED, DECLINED = "DECISION_APPROVED", "DECISION_DECLINED"
EXPIRED = MatchStatus.MATCH_STATUS_EXPIRED


def overdue(world: World) -> tuple[str, str, Match]:
    """A match that is past its time, and that nobody has looked at since: (project, advisor, match)."""
    project, advisor, match = world.matched()
    world.execute("UPDATE advisor_match_requests SET expires_at = clock_timestamp()")
    return project, advisor, match


def read_match(world: World, project: str, match: Match) -> Match:
    return world.client(project).get_match(match.id)


def list_all(world: World, project: str, match: Match) -> Match:
    [only] = world.client(project).list_project_matches(project).matches
    return only


def list_expired(world: World, project: str, match: Match) -> Match:
    found = world.client(project).list_project_matches(project, statuses=["MATCH_STATUS_EXPIRED"])
    [only] = found.matches
    return only


@pytest.mark.parametrize("read", [read_match, list_all, list_expired], ids=lambda read: read.__name__)
def test_a_read_that_meets_an_overdue_match_expires_it(
    world: World, read: Callable[[World, str, Match], Match]
) -> None:
    project, advisor, match = overdue(world)
    seen = read(world, project, match)
    assert (seen.status, seen.closed_reason) == (EXPIRED, ClosedReason.CLOSED_REASON_EXPIRED)
    assert seen.previous_status == MatchStatus.MATCH_STATUS_MATCHED
    assert world.status(match.id) == "expired"
    assert world.load(advisor) == 0
    assert world.event_types(project) == ["advisor.matched", "advisor.match_expired"]


def test_the_list_of_open_matches_has_no_overdue_one(world: World) -> None:
    project, _, _ = overdue(world)
    found = world.client(project).list_project_matches(project, statuses=["MATCH_STATUS_MATCHED"])
    assert list(found.matches) == []


def test_asking_again_after_the_expiry_makes_a_new_match(world: World) -> None:
    project, advisor, match = overdue(world)
    again = world.client(project).create_match(project, fail_if_open=True)
    assert not again.already_open
    assert again.match.id != match.id
    assert again.match.matched_advisor.id == advisor, "running out is no decline"
    assert world.event_types(project) == ["advisor.matched", "advisor.match_expired", "advisor.matched"]


@pytest.mark.parametrize("decision", [APPROVED, DECLINED])
@pytest.mark.parametrize("side", ["client", "advisor"])
def test_a_decision_on_an_overdue_match_hears_that_it_has_expired_and_so_does_every_later_one(
    world: World, side: str, decision: str
) -> None:
    project, advisor, match = overdue(world)
    by_client = partial(world.client(project).submit_client_decision, match.id, decision)
    by_advisor = partial(world.advisor(advisor).submit_advisor_decision, match.id, decision)
    for _ in range(2):
        with pytest.raises(MatchExpired) as refused:
            by_client() if side == "client" else by_advisor()
        assert refused.value.match_id == match.id
        assert world.status(match.id) == "expired"
    assert world.load(advisor) == 0
    assert world.event_types(project) == ["advisor.matched", "advisor.match_expired"]


def test_repeating_an_approval_that_was_given_in_time_is_fine(world: World) -> None:
    project, _, match = world.matched()
    world.client(project).submit_client_decision(match.id, APPROVED)
    world.execute("UPDATE advisor_match_requests SET expires_at = clock_timestamp()")
    answer = world.client(project).submit_client_decision(match.id, APPROVED)
    assert answer.match.client_decision.HasField("decided_at")
    assert answer.status == answer.match.status == EXPIRED
    with pytest.raises(MatchExpired):
        world.client(project).submit_client_decision(match.id, DECLINED)


def test_a_match_that_waits_runs_out_too_and_keeps_its_time_when_it_is_served(world: World) -> None:
    project = world.new_project()
    waiting = world.client(project).create_match(project, expires_in=timedelta(hours=1)).match
    world.new_advisor()
    served = world.client(project).create_match(project).match
    assert served.id == waiting.id
    assert served.expires_at == waiting.expires_at

    other = world.new_project()
    world.execute("UPDATE advisor_availability SET status = 'offline'")
    waiting = world.client(other).create_match(other, expires_in=timedelta(seconds=1)).match
    eventually(lambda: world.client(other).get_match(waiting.id).status == EXPIRED, timeout=3)
    assert world.event_types(other) == ["advisor.match_pending", "advisor.match_expired"]


def test_the_time_to_expiry_is_two_hours_unless_said_and_has_bounds(world: World) -> None:
    _, _, match = world.matched()
    lasts = match.expires_at.ToDatetime() - match.created_at.ToDatetime()
    assert lasts == timedelta(hours=2)
    project = world.new_project()
    for wrong in (timedelta(milliseconds=999), timedelta(hours=168, seconds=1), timedelta(seconds=-1)):
        with pytest.raises(InvalidArgument) as refused:
            world.client(project).create_match(project, expires_in=wrong)
        assert [violation.field for violation in refused.value.field_violations] == ["expires_in"]
    longest = world.client(project).create_match(project, expires_in=timedelta(hours=168)).match
    assert longest.expires_at.ToDatetime() - longest.created_at.ToDatetime() == timedelta(hours=168)


def test_the_sweep_expires_what_nobody_looks_at(own: World) -> None:
    own.start(sweep_seconds=0.2)
    advisor, project = own.new_advisor(), own.new_project()
    match = own.client(project).create_match(project, expires_in=timedelta(seconds=1)).match
    own.wait_for_status(match.id, "expired", timeout=3)
    assert own.load(advisor) == 0
    assert own.event_types(project) == ["advisor.matched", "advisor.match_expired"]
    told = own.values(
        "SELECT recipient_id::text FROM notification_outbox WHERE payload->>'reason' = 'expired'"
    )
    owner = str(own.value("SELECT owner_id FROM projects"))
    assert sorted(told) == sorted([advisor, owner])


def test_repeating_an_approval_on_an_overdue_match_expires_it(world: World) -> None:
    project, advisor, match = world.matched()
    world.client(project).submit_client_decision(match.id, APPROVED)
    world.execute("UPDATE advisor_match_requests SET expires_at = clock_timestamp()")
    assert world.client(project).submit_client_decision(match.id, APPROVED).status == EXPIRED
    assert world.status(match.id) == "expired"
    assert world.load(advisor) == 0
