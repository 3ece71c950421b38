"""Choosing an advisor for a match: rank first, claim second.

The ranking proposes, on what it has read; the claim decides, on locked rows. So a slot is never given twice,
and nobody is turned away while one is free.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from matching_server.domain import scoring
from matching_server.domain.model import MatchCriteria
from matching_server.domain.scoring import Candidate, Ranking, RankingRequest
from matching_server.operations.policy import Policy
from matching_server.storage import availability, pool
from matching_server.storage.availability import Claim
from matching_server.storage.database import Transaction
from matching_server.storage.matches import ClaimRecord
from matching_server.storage.pool import ProjectContext

_NEXT_CHOICES = 50
"""How many further candidates are tried without waiting before everybody with a slot is asked."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The advisor who was claimed, as it is stored with the match."""

    record: ClaimRecord
    auto_accept: bool


def ranking_request(
    context: ProjectContext, criteria: MatchCriteria, *, allow_previous: bool, policy: Policy
) -> RankingRequest:
    """What is looked for: the caller's criteria, completed from the project and from the settings."""
    return RankingRequest(
        owner_id=context.owner_id,
        tech_stack=criteria.tech_stack or context.tech_stack,
        complexity=criteria.project_complexity or context.complexity,
        weights=criteria.scoring_weights or policy.weights,
        owner_timezone=context.owner_timezone,
        excluded=frozenset(criteria.exclude_advisor_ids),
        cooling_down=frozenset() if allow_previous else context.cooling_down,
        already_active=context.already_active,
    )


def choose(tx: Transaction, request: RankingRequest, now: datetime) -> Choice | Ranking:
    """Claims the best advisor that can be had, or returns the ranking that found nobody."""
    ranking = scoring.rank(pool.load(tx.conn), request, now)
    claim = _claim(tx, ranking)
    if claim is None:
        return ranking
    candidate = _candidate_of(tx, ranking, claim)
    return Choice(
        record=ClaimRecord(
            advisor=candidate.advisor.summary,
            score=candidate.score,
            reason=reason(ranking, candidate, claim),
            load_at_claim=claim.load,
            slots_at_claim=claim.slots,
            features=scoring.explain(ranking, candidate, claim.load, claim.slots),
        ),
        auto_accept=candidate.advisor.preferences.auto_accept,
    )


def _claim(tx: Transaction, ranking: Ranking) -> Claim | None:
    if ranking.candidates:
        first, *rest = (candidate.advisor.id for candidate in ranking.candidates[: _NEXT_CHOICES + 1])
        claim = availability.claim_first_choice(tx, first)
        if claim is None and rest:
            claim = availability.claim_unlocked(tx, rest)
        if claim is not None:
            return claim
    request = ranking.request
    never = request.excluded | request.cooling_down | request.already_active | {request.owner_id}
    return availability.claim_anybody(tx, never)


def _candidate_of(tx: Transaction, ranking: Ranking, claim: Claim) -> Candidate:
    """The claimed advisor as ranked; one who became free after the ranking is looked at now."""
    for candidate in ranking.candidates:
        if candidate.advisor.id == claim.advisor_id:
            return candidate
    (advisor,) = pool.load(tx.conn, only=[claim.advisor_id])
    before_claim = scoring.with_load(advisor, claim.load)
    return scoring.candidate(before_claim, ranking.request, ranking.algorithm, ranking.decided_at)


def reason(ranking: Ranking, chosen: Candidate, claim: Claim) -> str:
    """Why this advisor, in a sentence for people."""
    free = max(len(ranking.candidates), 1)
    of = f"{claim.load} of {claim.slots} slots taken"
    if chosen.score is None:
        return f"Least loaded of {free} free advisors ({of})."
    features = chosen.features
    return (
        f"Score {chosen.score:.2f} among {free} free advisors: availability {float(features.availability):.0%},"
        f" skills {float(features.skills):.0%}, time zone {float(features.timezone):.0%},"
        f" preference {float(features.preference):.0%} ({of})."
    )
