"""Choosing an advisor for a match: rank first, claim second.

The ranking proposes, on this server's picture of the pool; the claim decides, on locked rows. So a slot is
never given twice, and nobody is turned away while one is free.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection

from matching_server.domain import scoring
from matching_server.domain.model import AssignmentType, Match, MatchCriteria
from matching_server.domain.scoring import Candidate, Ranking, RankingRequest
from matching_server.operations.picture import Picture, Proposal
from matching_server.operations.policy import Policy
from matching_server.storage import assignments, availability, pool
from matching_server.storage.assignments import Assignment
from matching_server.storage.availability import AsRanked, Claim
from matching_server.storage.database import Transaction
from matching_server.storage.matches import ClaimRecord
from matching_server.storage.project_context import ProjectContext

_PROPOSALS = 3
"""How often a first choice that was not as it had been ranked is ranked anew before everybody is asked."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The advisor who was claimed, as it is stored with the match."""

    record: ClaimRecord
    auto_accept: bool
    assignment: Assignment | None = None
    """By which an admin had put them on the project: it is linked with the match once that is stored."""

    @property
    def assignment_type(self) -> AssignmentType | None:
        """As it is stored with the match."""
        return self.assignment.assignment_type if self.assignment else None

    def link(self, tx: Transaction, match: Match) -> None:
        """The match has been stored."""
        if self.assignment is not None:
            assignments.link(tx, self.assignment.id, match.id)


def ranking_request(
    context: ProjectContext,
    criteria: MatchCriteria,
    *,
    allow_previous: bool,
    policy: Policy,
    assignment: Assignment | None = None,
) -> RankingRequest:
    """What is looked for: the caller's criteria, completed from the project and from the settings.

    Where there is an assignment, its advisor alone, over exclusions, rules and cool-down.
    """
    request = RankingRequest(
        owner_id=context.owner_id,
        tech_stack=context.tech_stack,
        complexity=context.complexity,
        weights=criteria.scoring_weights or policy.weights,
        owner_timezone=context.owner_timezone,
        excluded=frozenset(criteria.exclude_advisor_ids),
        cooling_down=frozenset() if allow_previous else context.cooling_down,
        already_active=context.already_active,
        excluded_by_rule=context.rules.excluded,
        required=context.rules.required,
        boosts=context.rules.boosts,
    )
    if assignment is None:
        return request
    return replace(
        request,
        required=frozenset({assignment.advisor_id}),
        excluded=frozenset(),
        excluded_by_rule=frozenset(),
        cooling_down=frozenset(),
    )


def choose_for(
    tx: Transaction,
    picture: Picture,
    context: ProjectContext,
    match: Match,
    policy: Policy,
    now: datetime,
) -> Choice | Ranking:
    """Claims whom an admin has assigned to the project, else the best advisor for the match.

    Returns the ranking that found nobody, else.
    """
    assignment = assignment_of(tx.conn, context)
    request = ranking_request(
        context, match.criteria, allow_previous=match.allow_previous, policy=policy, assignment=assignment
    )
    choice = choose(tx, picture, request, now)
    return choice if isinstance(choice, Ranking) else replace(choice, assignment=assignment)


def assignment_of(conn: Connection, context: ProjectContext) -> Assignment | None:
    """The admin's assignment that waits for the project's match; AssignAdvisor makes the match itself, but the
    platform can assign by its own SQL.
    """
    return assignments.get(conn, context.assignment_id) if context.assignment_id is not None else None


def choose(tx: Transaction, picture: Picture, request: RankingRequest, now: datetime) -> Choice | Ranking:
    """Claims the best advisor that can be had, or returns the ranking that found nobody."""
    choice = _claim_proposed(tx, picture, request, now)
    if choice is not None:
        return choice
    # Nobody in the picture, or nobody who could be had: now what is stored is asked, not what is remembered.
    ranking = picture.rank(request, now)
    if ranking.candidates:
        choice = _claim_proposed(tx, picture, request, now)
        if choice is not None:
            return choice
    claim = availability.claim_anybody(tx, never_offered(request), request.required)
    return ranking if claim is None else _choice(ranking, _seen_now(tx, ranking, claim), claim)


def _claim_proposed(
    tx: Transaction, picture: Picture, request: RankingRequest, now: datetime
) -> Choice | None:
    for _ in range(_PROPOSALS):
        proposal = picture.propose(request, now)
        first, *others = proposal.ranking.candidates or (None,)
        if first is None:
            return None
        claim = None
        try:
            claim = availability.claim_first_choice(tx, as_ranked(first))
        except availability.RowHeld:
            return _claim_next(tx, proposal.ranking, others)
        finally:
            # The reservation stays until the transaction has ended, whichever way.
            tx.on_end.append(_settle(proposal, claim))
        if claim is not None:
            return _choice(proposal.ranking, first, claim)
        proposal.refused()
    return None


def _claim_next(tx: Transaction, ranking: Ranking, others: Sequence[Candidate]) -> Choice | None:
    """The best of the next choices whose row nobody holds."""
    claim = availability.claim_unlocked(tx, [one.advisor.id for one in others])
    return None if claim is None else _choice(ranking, _seen_now(tx, ranking, claim), claim)


def _settle(proposal: Proposal, claim: Claim | None) -> Callable[[bool], None]:
    return lambda committed: proposal.end(claim.written if claim is not None and committed else None)


def as_ranked(candidate: Candidate) -> AsRanked:
    """What the ranking has assumed of a candidate."""
    advisor = candidate.advisor
    return AsRanked(advisor.id, advisor.current_projects, advisor.profile_version)


def never_offered(request: RankingRequest) -> frozenset[UUID]:
    """Whom the request leaves out by name."""
    return (
        request.excluded
        | request.excluded_by_rule
        | request.cooling_down
        | request.already_active
        | {request.owner_id}
    )


def _seen_now(tx: Transaction, ranking: Ranking, claim: Claim) -> Candidate:
    """One who was claimed without having been ranked as they are: looked at now, as before the claim."""
    (advisor,) = pool.some(tx.conn, [claim.advisor_id])
    before_claim = replace(advisor, current_projects=claim.load)
    return scoring.candidate(before_claim, ranking.request, ranking.algorithm, ranking.decided_at)


def _choice(ranking: Ranking, candidate: Candidate, claim: Claim) -> Choice:
    return Choice(
        record=claim_record(ranking, candidate, claim.load, claim.slots),
        auto_accept=candidate.advisor.preferences.auto_accept,
    )


def claim_record(ranking: Ranking, candidate: Candidate, load: int, slots: int) -> ClaimRecord:
    """What is stored with the match of a claimed candidate; load and maximum are those before the claim."""
    return ClaimRecord(
        advisor=candidate.advisor.summary,
        score=candidate.score,
        reason=reason(ranking, candidate),
        load_at_claim=load,
        slots_at_claim=slots,
        features=scoring.explain(ranking, candidate),
    )


def reason(ranking: Ranking, chosen: Candidate) -> str:
    """Why this advisor, in a sentence for people."""
    free = max(ranking.free, 1)
    advisor, features = chosen.advisor, chosen.features
    of = f"{advisor.current_projects} of {advisor.max_concurrent_projects} slots taken"
    if chosen.score is None or features is None:
        return f"Least loaded of {free} free advisors ({of})."
    return (
        f"Score {chosen.score:.2f} among {free} free advisors: availability {float(features.availability):.0%},"
        f" skills {float(features.skills):.0%}, time zone {float(features.timezone):.0%},"
        f" preference {float(features.preference):.0%} ({of})."
    )
