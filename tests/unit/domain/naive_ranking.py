"""The ranking as the product page words it, slow and exact: what the real one is held against."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from uuid import UUID
from zoneinfo import ZoneInfo, available_timezones

from matching_server.domain.model import AvailabilityStatus, ScoringWeights
from matching_server.domain.scoring import PoolAdvisor, RankingRequest

HALF = Fraction(1, 2)
KNOWN_ZONES = available_timezones()


def ranked(
    pool: Sequence[PoolAdvisor], request: RankingRequest, moment: datetime
) -> list[tuple[UUID, float | None]]:
    """Ids and scores of those who can be offered, best first."""
    scored = sum(1 for advisor in pool if advisor.active) >= 50
    free = [advisor for advisor in pool if _can_be_offered(advisor, request)]
    scores = {advisor.id: rounded(score(advisor, request, moment)) if scored else None for advisor in free}
    # The least important first: sorting keeps the order of equals.
    free.sort(key=lambda advisor: advisor.id)
    free.sort(key=lambda advisor: advisor.summary.rating or 0, reverse=True)
    free.sort(key=lambda advisor: advisor.last_assigned_at or datetime.min.replace(tzinfo=UTC))
    free.sort(key=lambda advisor: Fraction(advisor.current_projects, advisor.max_concurrent_projects))
    if scored:
        free.sort(key=lambda advisor: scores[advisor.id] or 0, reverse=True)
    return [(advisor.id, scores[advisor.id]) for advisor in free]


def _can_be_offered(advisor: PoolAdvisor, request: RankingRequest) -> bool:
    return (
        advisor.active
        and advisor.status is AvailabilityStatus.AVAILABLE
        and advisor.current_projects < advisor.max_concurrent_projects
        and advisor.id != request.owner_id
        and advisor.id not in request.excluded | request.cooling_down | request.already_active
        and advisor.id not in request.excluded_by_rule
        and (request.required is None or advisor.id in request.required)
    )


def rounded(exact: Fraction) -> float:
    """Two decimals, half up."""
    return math.floor(exact * 100 + HALF) / 100


def score(advisor: PoolAdvisor, request: RankingRequest, moment: datetime) -> Fraction:
    """100 x the weighted mean of the four features."""
    weights: ScoringWeights = request.weights
    parts = [
        (weights.availability, availability(advisor)),
        (weights.skills, skills(advisor, request)),
        (weights.timezone, overlap(advisor.timezone, request.owner_timezone, moment)),
        (weights.preference, preference(advisor, request)),
    ]
    total = sum(Fraction(weight) for weight, _ in parts)
    return 100 * sum((Fraction(weight) * feature for weight, feature in parts), Fraction(0)) / total


def availability(advisor: PoolAdvisor) -> Fraction:
    """Free slots of slots."""
    slots = advisor.max_concurrent_projects
    return Fraction(slots - advisor.current_projects, slots)


def skills(advisor: PoolAdvisor, request: RankingRequest) -> Fraction:
    """3, 2 and 1 for framework, languages and factors, of those that are stated."""
    stack = request.tech_stack
    stated: list[tuple[int, Fraction]] = []
    if stack.framework:
        stated.append((3, Fraction(stack.framework.casefold() in _folded(advisor.frameworks))))
    if stack.languages:
        stated.append((2, _share(stack.languages, advisor.languages)))
    if stack.complexity_factors:
        known = [*advisor.summary.skills, *advisor.summary.specialties]
        stated.append((1, _share(stack.complexity_factors, known)))
    if not stated:
        return Fraction(1)
    return sum((weight * share for weight, share in stated), Fraction(0)) / sum(w for w, _ in stated)


def _folded(words: Iterable[str]) -> set[str]:
    return {word.casefold() for word in words}


def _share(wanted: Iterable[str], known: Iterable[str]) -> Fraction:
    return Fraction(len(_folded(wanted) & _folded(known)), len(_folded(wanted)))


def preference(advisor: PoolAdvisor, request: RankingRequest) -> Fraction:
    """The mean of whether complexity and framework are among the preferred (who prefers none takes any), and boosts."""
    likes = advisor.preferences
    complexity = not likes.preferred_complexity or request.complexity in likes.preferred_complexity
    wanted = (request.tech_stack.framework or "").casefold()
    framework = not likes.preferred_frameworks or wanted in _folded(likes.preferred_frameworks)
    points = request.boosts.get(advisor.id, Fraction(0))
    return max(Fraction(0), min(Fraction(1), Fraction(complexity + framework, 2) + points / 100))


def overlap(advisor_zone: str | None, owner_zone: str | None, moment: datetime) -> Fraction:
    """Hours that both work on the owner's current date, of 9."""
    if advisor_zone not in KNOWN_ZONES or owner_zone not in KNOWN_ZONES:
        return HALF
    assert advisor_zone is not None
    assert owner_zone is not None
    owner = ZoneInfo(owner_zone)
    today = moment.astimezone(owner).date()
    begins, ends = _office_hours(today, owner)
    best = timedelta(0)
    for days in range(-3, 4):
        their_begin, their_end = _office_hours(today + timedelta(days), ZoneInfo(advisor_zone))
        best = max(best, min(ends, their_end) - max(begins, their_begin))
    return Fraction(int(best.total_seconds()), 9 * 3600)


def _office_hours(day: date, zone: ZoneInfo) -> tuple[datetime, datetime]:
    at = [datetime(day.year, day.month, day.day, hour, tzinfo=zone).astimezone(UTC) for hour in (9, 18)]
    return at[0], at[1]
