"""Advisors and requests for tests of the ranking."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any
from uuid import UUID, uuid4

from hypothesis import strategies as st

from matching_server.domain.model import (
    AdvisorSummary,
    AvailabilityPreferences,
    AvailabilityStatus,
    ProjectComplexity,
    ScoringWeights,
    TechStack,
)
from matching_server.domain.scoring import Pool, PoolAdvisor, Ranking, RankingRequest
from matching_server.domain.scoring import rank as rank_pool

MOMENT = datetime(2026, 3, 4, 12, tzinfo=UTC)
WEIGHTS = ScoringWeights(40, 35, 15, 10)
OWNER = uuid4()


def advisor(
    *,
    id: UUID | None = None,
    name: str = "Ada",
    skills: tuple[str, ...] = (),
    specialties: tuple[str, ...] = (),
    rating: float | None = None,
    load: int = 0,
    slots: int = 3,
    status: AvailabilityStatus = AvailabilityStatus.AVAILABLE,
    **more: Any,
) -> PoolAdvisor:
    """An active advisor who is free unless told otherwise."""
    return PoolAdvisor(
        summary=AdvisorSummary(id or uuid4(), name, skills, specialties, rating),
        active=more.pop("active", True),
        status=status,
        current_projects=load,
        max_concurrent_projects=slots,
        last_assigned_at=more.pop("last_assigned_at", None),
        **more,
    )


def request(**more: Any) -> RankingRequest:
    """A request that asks for nothing in particular."""
    return RankingRequest(
        owner_id=more.pop("owner_id", OWNER),
        tech_stack=more.pop("tech_stack", TechStack()),
        complexity=more.pop("complexity", ProjectComplexity.MEDIUM),
        weights=more.pop("weights", WEIGHTS),
        owner_timezone=more.pop("owner_timezone", None),
        **more,
    )


def rank(
    advisors: Iterable[PoolAdvisor], asked: RankingRequest, moment: datetime, limit: int = 1000
) -> Ranking:
    """These advisors in order for a request."""
    return rank_pool(Pool(advisors), asked, moment, limit)


CROWD = [advisor(status=AvailabilityStatus.OFFLINE) for _ in range(60)]
"""Active and never offered: they only make a pool large."""
WORDS = ("Go", "go", "GO", "Rust", "rust", "Éire", "éire", "Straße", "STRASSE", "sql")
ZONES = (
    None,
    "",
    "Nowhere/At_All",
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Asia/Kolkata",
    "Asia/Kathmandu",
    "Australia/Adelaide",
    "Pacific/Auckland",
    "Pacific/Honolulu",
    "Pacific/Kiritimati",
    "Pacific/Chatham",
    "America/St_Johns",
    "Antarctica/Troll",
)

words = st.lists(st.sampled_from(WORDS), max_size=4).map(tuple)
zones = st.sampled_from(ZONES)
# Bounds for hypothesis are naive; it adds the zone.
moments = st.datetimes(datetime(2005, 1, 1), datetime(2035, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
preferences = st.builds(
    AvailabilityPreferences,
    auto_accept=st.booleans(),
    preferred_complexity=st.lists(st.sampled_from(ProjectComplexity), max_size=2).map(tuple),
    preferred_frameworks=words,
)


@st.composite
def pool_advisors(draw: st.DrawFn) -> PoolAdvisor:
    """Anybody, of few kinds: equals are frequent."""
    slots = draw(st.integers(1, 8) | st.just(100))
    return advisor(
        id=draw(st.uuids()),
        skills=draw(words),
        specialties=draw(words),
        rating=draw(st.none() | st.sampled_from([0.0, 3.5, 5.0])),
        load=draw(st.integers(0, slots + 1)),
        slots=slots,
        status=draw(st.sampled_from([AvailabilityStatus.AVAILABLE] * 4 + list(AvailabilityStatus))),
        active=draw(st.sampled_from([True, True, True, False])),
        last_assigned_at=draw(st.none() | st.sampled_from([MOMENT, MOMENT.replace(microsecond=1)])),
        languages=draw(words),
        frameworks=draw(words),
        timezone=draw(zones),
        preferences=draw(preferences),
    )


weights = st.tuples(
    *[st.sampled_from([0.0, 1.0, 40.0, 1 / 3, 0.1, 1e-300, 1e300]) | st.floats(0, 1e9) for _ in range(4)]
).filter(any)


@st.composite
def requests(draw: st.DrawFn, pool: list[PoolAdvisor]) -> RankingRequest:
    """A request about these advisors: some of them are excluded in one way or another."""
    some = st.frozensets(st.sampled_from([a.id for a in pool]), max_size=2) if pool else st.just(frozenset())
    points = st.fractions(-100, 100, max_denominator=1000) | st.sampled_from([Fraction(1, 3), Fraction(50)])
    return request(
        owner_id=draw(st.sampled_from([a.id for a in pool] + [OWNER] * 4)),
        tech_stack=TechStack(
            draw(st.none() | st.sampled_from(["", "Go", "rust", "Straße"])), draw(words), draw(words)
        ),
        complexity=draw(st.sampled_from(ProjectComplexity)),
        weights=ScoringWeights(*draw(weights)),
        owner_timezone=draw(zones),
        excluded=draw(some),
        excluded_by_rule=draw(st.just(frozenset()) | some),
        required=draw(st.none() | some),
        boosts={id_: draw(points) for id_ in draw(some)},
        cooling_down=draw(some),
        already_active=draw(some),
    )
