"""An advisor takes a waiting match: once, if they may, and nobody learns of what they may not see."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from uuid import UUID, uuid4

import pytest

from matching_server.domain.errors import (
    AdvisorAtCapacity,
    AdvisorInactive,
    AdvisorNotFound,
    InvalidTransition,
    MatchExpired,
    MatchNotFound,
    Unauthenticated,
)
from matching_server.domain.model import (
    AssignmentType,
    ClosedReason,
    Decision,
    Match,
    MatchCriteria,
    MatchStatus,
    Role,
    Side,
)
from matching_server.operations import backlog, claiming, matching, upkeep
from matching_server.operations.commands import Page
from tests.integration.world import World, call, together
from tests.support.locks import held, wait_for_waiters
from tests.support.rounds import rounds
from tests.support.seed import insert_advisors, insert_projects
from tests.support.wait import eventually

S = MatchStatus


def waiting(world: World, project_id: UUID | None = None, **command: object) -> Match:
    """A match for which nobody is free, asked for by the platform."""
    match = world.create(project_id or world.project(), call(), **command)
    assert match.status is S.PENDING
    return match


def offline(world: World, **columns: object) -> UUID:
    """An advisor to whom nothing is offered."""
    return world.advisor(**({"status": "offline"} | columns))


def claim(world: World, match_id: UUID, advisor_id: UUID, *, nonce: str | None = None) -> Match:
    return claiming.claim_match(world.runner, call(advisor_id, Role.ADVISOR, nonce=nonce), match_id)


def claimable(world: World, advisor_id: UUID, size: int = 50) -> list[list[UUID]]:
    """The ids of what an advisor is shown, a list a page."""
    by = call(advisor_id, Role.ADVISOR)
    pages, page = [], claiming.list_claimable_matches(world.runner, by, Page(size))
    while True:
        pages.append([match.id for match in page.items])
        if page.next is None:
            return pages
        page = claiming.list_claimable_matches(world.runner, by, Page(size, page.next))


def exclude(world: World, advisor_id: UUID) -> None:
    world.run(
        "INSERT INTO admin_preference_rules (advisor_id, effect, created_by) VALUES (:id, 'exclude', :id)",
        id=advisor_id,
    )


# ----------------------------------------------------------------------------------------------- what is listed


def test_what_waits_is_listed_oldest_first_in_pages_whatever_the_advisors_status_and_load(
    world: World,
) -> None:
    busy, full = offline(world, slots=1), offline(world, slots=1)
    ids = [waiting(world, project).id for project in insert_projects(world.conn, 5)]
    claim(world, ids.pop(0), full)
    for advisor in (busy, full):
        assert claimable(world, advisor) == [ids]
        assert claimable(world, advisor, 2) == [ids[:2], ids[2:]]
        assert claimable(world, advisor, 1) == [[id_] for id_ in ids]


def test_a_listed_match_is_what_reading_it_gives(world: World) -> None:
    advisor = offline(world)
    match = waiting(world)
    page = claiming.list_claimable_matches(world.runner, call(advisor, Role.ADVISOR), Page())
    assert page.items == (matching.get_match(world.runner, call(), match.id),)


def test_who_has_no_profile_is_told_so(world: World) -> None:
    match, nobody = waiting(world), uuid4()
    for ask in (partial(claim, world, match.id), partial(claim, world, uuid4()), partial(claimable, world)):
        with pytest.raises(AdvisorNotFound, match=str(nobody)):
            ask(nobody)


def test_nothing_is_claimable_for_who_was_deactivated(world: World) -> None:
    advisor = offline(world)
    match = waiting(world)
    world.run("UPDATE advisors SET active = false")
    assert claimable(world, advisor) == [[]]
    with pytest.raises(AdvisorInactive, match=str(advisor)):
        claim(world, match.id, advisor)
    world.run("UPDATE advisors SET active = true")
    assert claimable(world, advisor) == [[match.id]]


# ------------------------------------------------------------------------------------------------------ the claim


@pytest.mark.parametrize("status", ["available", "busy", "offline"])
def test_a_claim_is_an_offer_that_is_accepted_at_once(world: World, status: str) -> None:
    match = waiting(world, expires_in=timedelta(hours=5))
    advisor = world.advisor(status=status, slots=2, rating=4.5)
    assert claim(world, match.id, advisor) == world.match(match.id)
    claimed = world.match(match.id)
    assert (claimed.status, claimed.previous_status) == (S.ADVISOR_ACCEPTED, S.MATCHED)
    assert claimed.matched_advisor is not None
    assert (claimed.matched_advisor.id, claimed.matched_advisor.rating) == (advisor, 4.5)
    assert (claimed.score, claimed.pending_reason, claimed.client_decision) == (None, None, None)
    assert claimed.match_reason == "Claimed by the advisor (0 of 2 slots taken)."
    assert claimed.expires_at == match.expires_at
    assert claimed.advisor_decision is not None
    assert claimed.advisor_decision.decision is Decision.APPROVED
    assert world.load(advisor) == 1
    assert world.ask("SELECT last_assigned_at IS NOT NULL FROM advisor_availability")


def test_a_claim_is_told_to_watchers_and_to_the_owner(world: World) -> None:
    match, advisor = waiting(world), offline(world)
    claim(world, match.id, advisor)
    _, matched, accepted = world.events(match.project_id)
    assert [matched.type, accepted.type] == ["advisor.matched", "advisor.accepted"]
    assert [matched.user_id, accepted.user_id] == [advisor, advisor]
    owner = world.owner(match.project_id)
    assert world.notified("advisor_found") == world.notified("advisor_accepted") == [owner]
    # Who took it by themselves needs not be told that it is theirs to take.
    assert world.notified("match_offered") == []
    assert world.effects[-1].availability_changed == {advisor}


def test_a_claim_says_how_it_came_about(world: World) -> None:
    match, advisor = waiting(world), offline(world, slots=2)
    claim(world, waiting(world).id, advisor)
    claim(world, match.id, advisor)
    record = world.column(match, "scoring_features")
    assert (record["algorithm"], record["chosen"]["advisor_id"]) == (None, str(advisor))
    assert (world.column(match, "load_at_claim"), world.column(match, "slots_at_claim")) == (1, 2)


def test_a_claimed_match_is_finalized_by_its_client(world: World) -> None:
    match, advisor = waiting(world), offline(world)
    finalized = world.approve(claim(world, match.id, advisor), Side.CLIENT)
    assert finalized.status is S.FINALIZED


def test_a_claim_is_good_once(world: World) -> None:
    match, other, advisor = waiting(world), waiting(world), offline(world)
    claim(world, match.id, advisor, nonce="n1")
    with pytest.raises(Unauthenticated):
        claim(world, other.id, advisor, nonce="n1")


# --------------------------------------------------------------------------------------------- and its repetition


def accepted(world: World, match: Match) -> None:
    pass


def finalized(world: World, match: Match) -> None:
    world.approve(match, Side.CLIENT)


def declined_by_the_client(world: World, match: Match) -> None:
    world.decline(match, Side.CLIENT)


def withdrawn(world: World, match: Match) -> None:
    world.decline(match, Side.ADVISOR)


def expired(world: World, match: Match) -> None:
    world.make_overdue(match.id)
    upkeep.expire_overdue(world.runner)


def with_its_advisor_out(world: World, match: Match) -> None:
    exclude(world, match.matched_advisor_id or uuid4())
    world.run("UPDATE advisors SET active = false")


@pytest.mark.parametrize(
    "go_on", [accepted, finalized, declined_by_the_client, withdrawn, expired, with_its_advisor_out]
)
def test_repeating_ones_own_claim_is_fine_whatever_came_of_it(
    world: World, go_on: Callable[[World, Match], None]
) -> None:
    match, advisor = waiting(world), offline(world, slots=1)
    go_on(world, claim(world, match.id, advisor))
    before, told, load = world.match(match.id), world.told(match.project_id), world.load(advisor)
    assert claim(world, match.id, advisor) == before
    assert world.match(match.id) == before
    assert (world.told(match.project_id), world.load(advisor)) == (told, load)


def test_a_repeated_claim_that_meets_its_match_past_its_time_shows_it_expired(world: World) -> None:
    match, advisor = waiting(world), offline(world)
    claim(world, match.id, advisor)
    world.make_overdue(match.id)
    again = claim(world, match.id, advisor)
    assert (again.status, again.closed_reason) == (S.EXPIRED, ClosedReason.EXPIRED)
    assert world.load(advisor) == 0


def test_to_be_offered_a_match_is_no_claim(world: World) -> None:
    """They see it, so they hear that it does not wait; whether they accept is another question."""
    match, advisor = waiting(world), world.advisor()
    backlog.run_pass(world.runner)
    assert world.match(match.id).matched_advisor_id == advisor
    with pytest.raises(InvalidTransition) as refused:
        claim(world, match.id, advisor)
    assert refused.value.metadata == {"from": "matched", "to": "matched", "match_id": str(match.id)}
    direct = world.create()
    world.decline(direct, Side.ADVISOR)
    with pytest.raises(InvalidTransition, match="advisor_declined"):
        claim(world, direct.id, advisor)


# ---------------------------------------------------------------------------------------------- who may not


def as_owner(world: World, advisor: UUID) -> Match:
    return waiting(world, world.project(owner_id=advisor))


def excluded_by_criteria(world: World, advisor: UUID) -> Match:
    return waiting(world, criteria=MatchCriteria(exclude_advisor_ids=(advisor,)))


def excluded_by_rule(world: World, advisor: UUID) -> Match:
    exclude(world, advisor)
    return waiting(world)


def not_required(world: World, advisor: UUID) -> Match:
    world.run(
        "INSERT INTO admin_preference_rules (advisor_id, effect, created_by) VALUES (:id, 'require', :id)",
        id=offline(world),
    )
    return waiting(world)


def in_cool_down(world: World, advisor: UUID) -> Match:
    match = waiting(world)
    claim(world, match.id, advisor)
    world.decline(match, Side.CLIENT)
    return waiting(world, match.project_id)


def already_active(world: World, advisor: UUID) -> Match:
    match = waiting(world)
    world.approve(claim(world, match.id, advisor), Side.CLIENT)
    return waiting(world, match.project_id)


def matched_at_once(world: World, advisor: UUID) -> Match:
    """It never waited, so nobody but its advisor has seen it."""
    other = world.advisor()
    match = world.create()
    assert match.matched_advisor_id == other
    return match


INELIGIBLE = [
    as_owner,
    excluded_by_criteria,
    excluded_by_rule,
    not_required,
    in_cool_down,
    already_active,
    matched_at_once,
]


def fresh(world: World, match: Match) -> None:
    pass


def overdue(world: World, match: Match) -> None:
    world.make_overdue(match.id)


def closed(world: World, match: Match) -> None:
    world.make_overdue(match.id)
    upkeep.expire_overdue(world.runner)


@pytest.mark.parametrize("state", [fresh, overdue, closed])
@pytest.mark.parametrize("why", INELIGIBLE)
def test_what_an_advisor_is_not_eligible_for_is_neither_listed_nor_found(
    world: World, why: Callable[[World, UUID], Match], state: Callable[[World, Match], None]
) -> None:
    advisor = offline(world)
    match = why(world, advisor)
    state(world, match)
    assert claimable(world, advisor) == [[]]
    before = world.match(match.id)
    missing = uuid4()
    for id_ in (match.id, missing):
        with pytest.raises(MatchNotFound, match=f"^no match with id {id_}$"):
            claim(world, id_, advisor)
    assert world.match(match.id) == before


def test_previous_advisors_may_claim_where_they_are_allowed(world: World) -> None:
    advisor = offline(world)
    match = in_cool_down(world, advisor)
    world.run("UPDATE advisor_match_requests SET allow_previous = true WHERE id = :id", id=match.id)
    assert claimable(world, advisor) == [[match.id]]
    assert claim(world, match.id, advisor).matched_advisor_id == advisor


# ------------------------------------------------------------------------------------------------- or cannot now


def test_a_match_past_its_time_is_expired_by_who_would_claim_it(world: World) -> None:
    match, advisor = waiting(world), offline(world)
    world.make_overdue(match.id)
    for _ in range(2):
        with pytest.raises(MatchExpired) as refused:
            claim(world, match.id, advisor)
        assert refused.value.metadata == {"match_id": str(match.id)}
        assert world.match(match.id).closed_reason is ClosedReason.EXPIRED
    assert world.told(match.project_id) == ["advisor.match_pending", "advisor.match_expired"]
    assert world.load(advisor) == 0


def test_what_waits_no_longer_cannot_be_claimed_by_who_could_have_seen_it(world: World) -> None:
    """Also by one who has no slot: there is nothing to take it for."""
    advisor, first = offline(world, slots=1), offline(world)
    claim(world, waiting(world).id, advisor)
    taken, cancelled = waiting(world), waiting(world)
    claim(world, taken.id, first)
    world.decline(cancelled, Side.CLIENT)
    for match, status in ((taken, "advisor_accepted"), (cancelled, "client_declined")):
        with pytest.raises(InvalidTransition) as refused:
            claim(world, match.id, advisor)
        assert refused.value.metadata == {"from": status, "to": "matched", "match_id": str(match.id)}
    assert world.load(advisor) == 1


def test_a_claim_needs_a_free_slot(world: World) -> None:
    first, second, advisor = waiting(world), waiting(world), offline(world, slots=1)
    claim(world, first.id, advisor)
    with pytest.raises(AdvisorAtCapacity, match=str(advisor)):
        claim(world, second.id, advisor)
    assert world.match(second.id).status is S.PENDING
    world.decline(first, Side.CLIENT)
    assert claim(world, second.id, advisor).status is S.ADVISOR_ACCEPTED


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ("max_concurrent_projects = 1, current_projects = 1", AdvisorAtCapacity),
        ("advisor_active = false", AdvisorInactive),
    ],
)
@pytest.mark.plants_violations("load_is_counted")
def test_a_claim_is_judged_by_the_row_as_it_is_once_it_is_locked(
    world: World, change: str, error: type[Exception]
) -> None:
    match, advisor = waiting(world), offline(world)

    def change_meanwhile() -> None:
        wait_for_waiters(world.conn)
        holder.commit()

    with held(world.conn, f"UPDATE advisor_availability SET {change}") as holder:
        outcome, _ = together(lambda: claim(world, match.id, advisor), change_meanwhile)
    assert isinstance(outcome, error), outcome
    assert world.match(match.id).status is S.PENDING


# ------------------------------------------------------------------------------------------- at the same moment


def test_of_sixteen_who_claim_one_match_one_has_it_and_the_others_hear_that_it_is_gone(world: World) -> None:
    advisors = insert_advisors(world.conn, 16, status="offline", slots=100)
    count = rounds(6)
    for _ in range(count):
        match = waiting(world)
        outcomes = together(*[partial(claim, world, match.id, advisor) for advisor in advisors])
        [won] = [outcome for outcome in outcomes if isinstance(outcome, Match)]
        lost = [outcome for outcome in outcomes if isinstance(outcome, InvalidTransition)]
        assert len(lost) == 15
        assert {error.metadata["from"] for error in lost} == {"advisor_accepted"}
        assert world.match(match.id) == won
        told = ["advisor.match_pending", "advisor.matched", "advisor.accepted"]
        assert world.told(match.project_id) == told
    assert sum(world.load(advisor) for advisor in advisors) == count


def test_a_claim_repeated_at_the_same_moment_takes_one_slot(world: World) -> None:
    advisor = offline(world, slots=100)
    count = rounds(10)
    for _ in range(count):
        match = waiting(world)
        outcomes = together(*[partial(claim, world, match.id, advisor) for _ in range(4)])
        assert outcomes == [world.match(match.id)] * 4
    assert world.load(advisor) == count


def test_an_advisor_with_one_slot_who_claims_two_matches_at_once_gets_one(world: World) -> None:
    for _ in range(rounds(15)):
        advisor = offline(world, slots=1)
        pair = [waiting(world), waiting(world)]
        outcomes = together(*[partial(claim, world, match.id, advisor) for match in pair])
        assert sorted(type(outcome).__name__ for outcome in outcomes) == ["AdvisorAtCapacity", "Match"]
        assert world.load(advisor) == 1
        statuses = sorted(world.match(match.id).status for match in pair)
        assert statuses == [S.ADVISOR_ACCEPTED, S.PENDING]
        for match in pair:
            world.decline(match, Side.CLIENT)


def test_a_claim_and_the_backlog_at_the_same_moment_make_one_offer(world: World) -> None:
    """Whoever is second finds the match taken; nobody's slot is lost."""
    claimer, free = offline(world, slots=100), world.advisor(slots=100, status="offline")
    won = {claimer: 0, free: 0}
    for _ in range(rounds(20)):
        match = waiting(world)
        world.run("UPDATE advisor_availability SET status = 'available' WHERE advisor_id = :id", id=free)
        outcome, served = together(
            partial(claim, world, match.id, claimer), partial(backlog.run_pass, world.runner)
        )
        winner = world.match(match.id).matched_advisor_id
        assert winner is not None
        assert isinstance(outcome, Match if winner == claimer else InvalidTransition), outcome
        assert served == (0 if winner == claimer else 1)
        assert world.told(match.project_id).count("advisor.matched") == 1
        won[winner] += 1
        world.run("UPDATE advisor_availability SET status = 'offline'")
    assert {who: world.load(who) for who in won} == won


def test_a_claim_and_the_sweep_at_the_end_of_its_time_agree(world: World) -> None:
    advisor = offline(world, slots=100)
    for number in range(rounds(20)):
        match = waiting(world)
        world.run(
            "UPDATE advisor_match_requests SET expires_at = clock_timestamp() + make_interval(secs => :secs)"
            " WHERE id = :id",
            id=match.id,
            secs=number % 5 / 200,
        )
        outcome, _ = together(
            partial(claim, world, match.id, advisor), partial(upkeep.expire_overdue, world.runner)
        )
        now = world.match(match.id)
        if isinstance(outcome, Match):
            assert now.matched_advisor_id == advisor
            closed(world, match)
        else:
            assert isinstance(outcome, MatchExpired), outcome
            assert (now.status, now.matched_advisor_id) == (S.EXPIRED, None)
    assert world.load(advisor) == 0


def test_a_claim_reads_the_clock_after_it_has_waited_for_the_project(world: World) -> None:
    match, advisor = waiting(world), offline(world)
    past = "SELECT expires_at < clock_timestamp() FROM advisor_match_requests"
    world.run("UPDATE advisor_match_requests SET expires_at = clock_timestamp() + interval '200 ms'")
    head = "SELECT 1 FROM project_event_heads WHERE project_id = :id FOR UPDATE"
    with held(world.conn, head, id=match.project_id) as holder:

        def release() -> None:
            wait_for_waiters(world.conn)
            eventually(lambda: world.ask(past), interval=0.01)
            holder.rollback()

        outcome, _ = together(lambda: claim(world, match.id, advisor), release)
    assert isinstance(outcome, MatchExpired)


def test_a_claim_by_whom_an_admin_has_assigned_serves_the_assignment(world: World) -> None:
    """The platform assigns by SQL; its role reaches the workspace, and it ends with the match."""
    project, advisor, other = world.project(), offline(world), world.advisor()
    world.run(
        "INSERT INTO admin_advisor_assignments (project_id, advisor_id, assignment_type, role, assigned_by)"
        " VALUES (:project, :advisor, 'manual_assignment', 'consultant', :advisor)",
        project=project,
        advisor=advisor,
    )
    claimed = claim(world, waiting(world, project).id, advisor)
    assert world.rows("SELECT match_id, status FROM admin_advisor_assignments") == [(claimed.id, "active")]
    assert claimed.assignment_type is AssignmentType.MANUAL
    world.decide(claimed, Side.CLIENT, Decision.DECLINED)
    assert world.rows("SELECT status FROM admin_advisor_assignments") == [("cancelled",)]
    assert world.create(project).matched_advisor_id == other
