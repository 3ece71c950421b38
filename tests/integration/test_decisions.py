"""What each side's decision does in each status, in which order it is judged, and what it leaves behind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import product
from uuid import uuid4

import pytest

from matching_server.domain.calls import Call
from matching_server.domain.errors import (
    DomainError,
    EtagMismatch,
    InvalidTransition,
    MatchExpired,
    MatchNotFound,
)
from matching_server.domain.model import (
    ClosedReason,
    Decision,
    Match,
    MatchStatus,
    ProvisioningState,
    Role,
    Side,
)
from tests.integration.world import World, call, together
from tests.support.rounds import rounds

S = MatchStatus
APPROVE, DECLINE = Decision.APPROVED, Decision.DECLINED
CLIENT, ADVISOR = Side.CLIENT, Side.ADVISOR
MATRIX = list(product(Side, Decision))


def pending(world: World) -> Match:
    world.run("UPDATE advisor_availability SET status = 'busy'")
    match = world.create()
    world.run("UPDATE advisor_availability SET status = 'available'")
    return match


def expired(world: World) -> Match:
    match = world.create()
    world.make_overdue(match.id)
    with pytest.raises(MatchExpired):
        world.decide(match, CLIENT, APPROVE)
    return world.match(match.id)


MAKE: dict[MatchStatus, Callable[[World], Match]] = {
    S.PENDING: pending,
    S.MATCHED: lambda world: world.create(),
    S.CLIENT_APPROVED: lambda world: world.approve(world.create(), CLIENT),
    S.ADVISOR_ACCEPTED: lambda world: world.approve(world.create(), ADVISOR),
    S.FINALIZED: lambda world: world.approve(world.create()),
    S.CLIENT_DECLINED: lambda world: world.decline(world.create(), CLIENT),
    S.ADVISOR_DECLINED: lambda world: world.decline(world.create(), ADVISOR),
    S.EXPIRED: expired,
}
SAME = "unchanged"
REFUSED = "INVALID_TRANSITION"
# For each status: client approves, client declines, advisor accepts, advisor declines.
EXPECTED = {
    # Nobody is the advisor of a waiting match.
    S.PENDING: (REFUSED, "client_declined", "MATCH_NOT_FOUND", "MATCH_NOT_FOUND"),
    S.MATCHED: ("client_approved", "client_declined", "advisor_accepted", "advisor_declined"),
    S.CLIENT_APPROVED: (SAME, "client_declined", "finalized", "advisor_declined"),
    S.ADVISOR_ACCEPTED: ("finalized", "client_declined", SAME, "advisor_declined"),
    S.FINALIZED: (SAME, REFUSED, SAME, REFUSED),
    S.CLIENT_DECLINED: (REFUSED, SAME, REFUSED, REFUSED),
    S.ADVISOR_DECLINED: (REFUSED, REFUSED, REFUSED, SAME),
    S.EXPIRED: ("MATCH_EXPIRED",) * 4,
}
AIM = {
    (CLIENT, APPROVE): "client_approved",
    (CLIENT, DECLINE): "client_declined",
    (ADVISOR, APPROVE): "advisor_accepted",
    (ADVISOR, DECLINE): "advisor_declined",
}


def outcome(world: World, match: Match, side: Side, decision: Decision) -> str:
    before = world.match(match.id)
    try:
        decided = world.decide(match, side, decision)
    except DomainError as error:
        refused = error
    else:
        return _step(before, decided, world.match(match.id))
    assert world.match(match.id) == before
    if isinstance(refused, InvalidTransition):
        step = refused.metadata["from"], refused.metadata["to"]
        assert step == (match.status.value, AIM[side, decision])
    return refused.reason.value


def _step(before: Match, decided: Match, stored: Match) -> str:
    assert decided == stored
    if decided == before:
        return SAME
    assert (decided.previous_status, decided.version) == (before.status, before.version + 1)
    return decided.status.value


@pytest.mark.parametrize("status", list(S), ids=lambda status: status.value)
def test_a_decision_does_what_the_table_says(world: World, status: MatchStatus) -> None:
    world.advisor(slots=4)
    found = []
    for side, decision in MATRIX:
        match = MAKE[status](world)
        assert match.status is status
        found.append(outcome(world, match, side, decision))
    assert tuple(found) == EXPECTED[status]


def test_a_slot_is_held_exactly_while_the_match_holds_it(world: World) -> None:
    advisor = world.advisor(slots=100)
    # The waiting one last, or the next request would serve it.
    for status in sorted(S, key=lambda status: status is S.PENDING):
        before = world.load(advisor)
        match = MAKE[status](world)
        holds = status in (S.MATCHED, S.CLIENT_APPROVED, S.ADVISOR_ACCEPTED, S.FINALIZED)
        assert match.holds_slot is holds
        assert world.load(advisor) - before == int(holds)


def test_a_repeat_is_fine_even_with_an_old_etag_and_after_the_end(world: World) -> None:
    world.advisor()
    offered = world.create()
    approved = world.decide(offered, CLIENT, APPROVE, reason="fine")
    assert world.decide(offered, CLIENT, APPROVE, etag=offered.etag, reason="other") == approved
    world.make_overdue(approved.id)
    # Whoever meets a match past its time expires it first; the repeat is answered all the same.
    assert world.decide(approved, CLIENT, APPROVE).status is S.EXPIRED
    with pytest.raises(MatchExpired):
        world.decide(approved, ADVISOR, APPROVE)
    again = world.decide(approved, CLIENT, APPROVE)
    assert (again.status, again.closed_reason) == (S.EXPIRED, ClosedReason.EXPIRED)


def test_the_etag_goes_before_expiry_and_expiry_before_the_transition(world: World) -> None:
    world.advisor()
    offered = world.create()
    world.make_overdue(offered.id)
    current = world.match(offered.id)
    with pytest.raises(EtagMismatch) as stale:
        world.decide(offered, CLIENT, APPROVE, etag=offered.etag)
    assert stale.value.metadata == {"match_id": str(offered.id)}
    assert world.match(offered.id).status is S.MATCHED
    with pytest.raises(MatchExpired):
        world.decide(offered, CLIENT, APPROVE, etag=current.etag)
    # Waiting matches cannot be approved, but one whose time has passed is expired first.
    waiting = pending(world)
    world.make_overdue(waiting.id)
    with pytest.raises(MatchExpired):
        world.decide(waiting, CLIENT, APPROVE)
    assert world.match(waiting.id).closed_reason is ClosedReason.EXPIRED


def test_a_current_etag_lets_a_decision_through_once(world: World) -> None:
    world.advisor()
    offered = world.create()
    approved = world.decide(offered, CLIENT, APPROVE, etag=offered.etag)
    assert approved.etag != offered.etag
    with pytest.raises(EtagMismatch):
        world.decide(offered, ADVISOR, APPROVE, etag=offered.etag)
    assert world.decide(offered, ADVISOR, APPROVE, etag=approved.etag).status is S.FINALIZED


def test_a_match_that_is_found_overdue_is_expired_for_good_though_the_decision_fails(world: World) -> None:
    advisor = world.advisor()
    match = world.create()
    world.make_overdue(match.id)
    with pytest.raises(MatchExpired):
        world.decide(match, ADVISOR, APPROVE)
    stored = world.match(match.id)
    assert (stored.status, stored.closed_reason) == (S.EXPIRED, ClosedReason.EXPIRED)
    assert world.load(advisor) == 0
    assert world.told(match.project_id) == ["advisor.matched", "advisor.match_expired"]
    assert world.notified("offer_ended") == [advisor]
    assert world.notified("match_expired") == [world.owner(match.project_id)]
    assert world.effects[-1].capacity_freed


def test_closed_for_another_reason_is_no_expiry(world: World) -> None:
    world.advisor()
    match = expired(world)
    world.run("UPDATE advisor_match_requests SET closed_reason = 'advisor_deactivated'")
    with pytest.raises(InvalidTransition) as refused:
        world.decide(match, CLIENT, APPROVE)
    assert refused.value.metadata["from"] == "expired"


def test_both_approvals_tell_each_their_own_event_and_then_the_end(world: World) -> None:
    advisor = world.advisor()
    match = world.create()
    owner = world.owner(match.project_id)
    decided = world.decide(world.decide(match, ADVISOR, APPROVE, reason="yes"), CLIENT, APPROVE)
    assert decided.status is S.FINALIZED
    told = [(event.type.value, event.user_id) for event in world.events(match.project_id)]
    assert told == [
        ("advisor.matched", owner),
        ("advisor.accepted", advisor),
        ("advisor.client_approved", owner),
        ("advisor.finalized", owner),
    ]
    assert world.notified("advisor_accepted") == [owner]
    answer = decided.decision_of(ADVISOR)
    assert answer is not None
    assert (answer.decision, answer.reason) == (APPROVE, "yes")
    assert match.created_at < answer.decided_at < world.now()


def test_the_flag_decides_whether_a_job_is_queued(world: World) -> None:
    world.advisor()
    off = world.approve(world.create())
    assert off.provisioning_state is None
    assert world.ask("SELECT count(*) FROM workspace_provisioning_queue") == 0
    on = world.under(auto_provision=True)
    queued = on.approve(on.create())
    assert queued.provisioning_state is ProvisioningState.QUEUED
    assert world.rows("SELECT match_id, status, attempt_count FROM workspace_provisioning_queue") == [
        (queued.id, "pending", 0)
    ]
    assert on.effects[-1].job_queued


@pytest.mark.parametrize(("side", "told"), [(CLIENT, "offer_ended"), (ADVISOR, "advisor_declined")])
def test_a_decline_tells_the_other_side_and_frees_the_slot(world: World, side: Side, told: str) -> None:
    advisor = world.advisor()
    match = world.create()
    declined = world.decide(match, side, DECLINE, reason="no time")
    answer = declined.decision_of(side)
    assert answer is not None
    assert answer.reason == "no time"
    assert world.notified(told) == [advisor if side is CLIENT else world.owner(match.project_id)]
    assert world.effects[-1].capacity_freed
    assert world.effects[-1].availability_changed == {advisor}
    assert getattr(world.events(match.project_id)[-1].payload, "reason", None) == "no time"


def test_nobody_decides_on_anothers_behalf(world: World) -> None:
    advisor, other = world.advisor(), world.advisor(status="busy")
    match = world.create()
    owner = world.owner(match.project_id)
    wrong: list[tuple[Side, Call]] = [
        (CLIENT, call(other, Role.CLIENT)),
        (CLIENT, call(advisor, Role.CLIENT)),
        (CLIENT, call(uuid4(), Role.ADMIN)),
        (ADVISOR, call(other, Role.ADVISOR)),
        (ADVISOR, call(owner, Role.ADVISOR)),
        (ADVISOR, call(advisor, Role.CLIENT)),
    ]
    for side, by in wrong:
        with pytest.raises(MatchNotFound) as refused:
            world.decide(match, side, APPROVE, by)
        missing = replace(match, id=uuid4())
        with pytest.raises(MatchNotFound) as absent:
            world.decide(missing, side, APPROVE, by)
        # The same text, so that nobody learns what there is.
        assert str(refused.value).replace(str(match.id), "") == str(absent.value).replace(str(missing.id), "")
    assert world.match(match.id) == match


def test_both_approvals_at_the_same_moment_finalize_once(world: World) -> None:
    advisor = world.advisor(slots=100)
    on = world.under(auto_provision=True)
    count = rounds(20)
    for _ in range(count):
        match = on.create()
        both = together(
            partial(on.decide, match, CLIENT, APPROVE),
            partial(on.decide, match, ADVISOR, APPROVE),
        )
        found = sorted(one.status.value for one in both if isinstance(one, Match))
        assert found in (["client_approved", "finalized"], ["advisor_accepted", "finalized"])
        assert on.told(match.project_id).count("advisor.finalized") == 1
    assert world.ask("SELECT count(*) FROM workspace_provisioning_queue") == count
    assert world.load(advisor) == count


def test_an_approval_that_races_a_decline_leaves_one_of_them(world: World) -> None:
    world.advisor(slots=100)
    for _ in range(rounds(20)):
        match = world.approve(world.create(), CLIENT)
        ended = together(
            partial(world.decide, match, ADVISOR, APPROVE),
            partial(world.decide, match, CLIENT, DECLINE),
        )
        [loser] = [one for one in ended if isinstance(one, Exception)]
        assert isinstance(loser, InvalidTransition)
        winner = world.match(match.id).status
        assert loser.metadata["from"] == winner.value
        assert winner in (S.FINALIZED, S.CLIENT_DECLINED)
