"""What each feature measures, and how a score comes of them: worked out by hand."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matching_server.domain.model import (
    AvailabilityPreferences,
    ProjectComplexity,
    ScoringWeights,
    TechStack,
)
from matching_server.domain.scoring import Features, PoolAdvisor, Ratio, features_of, score
from tests.unit.domain.naive_ranking import rounded
from tests.unit.domain.pools import CROWD, MOMENT, advisor, rank, request

NONE, WHOLE, HALF = Ratio(0, 1), Ratio(1, 1), Ratio(1, 2)


def skills(one: PoolAdvisor, stack: TechStack) -> Fraction:
    ratio = features_of(one, request(tech_stack=stack), HALF).skills
    return Fraction(ratio.numerator, ratio.denominator)


def preference(liked: AvailabilityPreferences, complexity: str, framework: str | None) -> Fraction:
    asked = request(tech_stack=TechStack(framework), complexity=ProjectComplexity(complexity))
    ratio = features_of(advisor(preferences=liked), asked, HALF).preference
    return Fraction(ratio.numerator, ratio.denominator)


@pytest.mark.parametrize(
    ("stack", "share"),
    [
        (TechStack(), Fraction(1)),
        (TechStack(framework=""), Fraction(1)),
        (TechStack("Django"), Fraction(1)),
        (TechStack("Rails"), Fraction(0)),
        (TechStack("python"), Fraction(0)),  # a language is no framework
        (TechStack(languages=("Python",)), Fraction(1)),
        (TechStack(languages=("Python", "Go")), Fraction(1, 2)),
        (TechStack(languages=("Python", "PYTHON")), Fraction(1)),
        (TechStack(languages=("Python", "python", "Go")), Fraction(1, 2)),
        (TechStack(languages=("django",)), Fraction(0)),
        (TechStack(complexity_factors=("payments", "realtime")), Fraction(1)),
        (TechStack(complexity_factors=("payments", "realtime", "python")), Fraction(2, 3)),
        (TechStack("Django", ("Python", "Go", "Rust")), Fraction(3 * 3 + 2 * 1, 15)),
        (TechStack("Rails", ("Python",), ("payments", "ml")), Fraction(2 * 2 + 1, 12)),
        (TechStack("DJANGO", ("PYTHON",), ("PAYMENTS",)), Fraction(1)),
    ],
)
def test_skills_weigh_what_is_stated_3_2_and_1(stack: TechStack, share: Fraction) -> None:
    ada = advisor(
        skills=("Payments",), specialties=("REALTIME",), languages=("python",), frameworks=("django",)
    )
    assert skills(ada, stack) == share


LIKES_SIMPLE = AvailabilityPreferences(preferred_complexity=(ProjectComplexity.SIMPLE,))
LIKES_DJANGO = AvailabilityPreferences(preferred_frameworks=("Django",))
LIKES_BOTH = AvailabilityPreferences(False, (ProjectComplexity.SIMPLE,), ("Django", "Flask"))


@pytest.mark.parametrize(
    ("liked", "complexity", "framework", "share"),
    [
        (AvailabilityPreferences(), "complex", "Rails", Fraction(1)),
        (AvailabilityPreferences(), "medium", None, Fraction(1)),
        (LIKES_SIMPLE, "simple", "Rails", Fraction(1)),
        (LIKES_SIMPLE, "complex", "Rails", Fraction(1, 2)),
        (LIKES_DJANGO, "complex", "DJANGO", Fraction(1)),
        (LIKES_DJANGO, "complex", "Rails", Fraction(1, 2)),
        (LIKES_BOTH, "simple", "flask", Fraction(1)),
        (LIKES_BOTH, "medium", "flask", Fraction(1, 2)),
        (LIKES_BOTH, "medium", "Rails", Fraction(0)),
    ],
)
def test_preference_is_half_complexity_and_half_framework(
    liked: AvailabilityPreferences, complexity: str, framework: str | None, share: Fraction
) -> None:
    assert preference(liked, complexity, framework) == share


@pytest.mark.parametrize(("load", "slots", "free"), [(0, 3, 1.0), (1, 4, 0.75), (99, 100, 0.01), (5, 3, 0.0)])
def test_availability_is_the_share_of_free_slots(load: int, slots: int, free: float) -> None:
    assert float(features_of(advisor(load=load, slots=slots), request(), HALF).availability) == free


def features(*numerators: int, of: int) -> Features:
    return Features(*(Ratio(numerator, of) for numerator in numerators))


@pytest.mark.parametrize(
    ("given_features", "weights", "hundredths"),
    [
        (Features(WHOLE, WHOLE, WHOLE, WHOLE), (40, 35, 15, 10), 10_000),
        (Features(NONE, NONE, NONE, NONE), (40, 35, 15, 10), 0),
        (Features(Ratio(2, 3), WHOLE, HALF, HALF), (40, 35, 15, 10), 7417),  # 26.667 + 35 + 7.5 + 5
        (Features(Ratio(1, 3), NONE, NONE, NONE), (1, 0, 0, 0), 3333),
        (Features(Ratio(2, 3), NONE, NONE, NONE), (1, 0, 0, 0), 6667),
        (Features(Ratio(1, 8), NONE, NONE, NONE), (1, 1, 1, 1), 313),  # 3.125 goes up
        (Features(Ratio(1, 20_000), NONE, NONE, NONE), (1, 0, 0, 0), 1),  # 0.005 goes up
        (Features(Ratio(1, 20_001), NONE, NONE, NONE), (1, 0, 0, 0), 0),
        (Features(WHOLE, NONE, NONE, NONE), (0.1, 0.2, 0, 0), 3333),
        # A weight is the double that it is: the one for 1.005 lies below, so this is no half.
        (Features(WHOLE, NONE, NONE, NONE), (1.005, 98.995, 0, 0), 100),
    ],
)
def test_a_score_is_the_weighted_mean_rounded_half_up(
    given_features: Features, weights: tuple[float, float, float, float], hundredths: int
) -> None:
    assert score(given_features, ScoringWeights(*weights)) == hundredths


ratios = st.integers(1, 40_000).flatmap(lambda of: st.builds(Ratio, st.integers(0, of), st.just(of)))
doubles = st.floats(0, 1e308) | st.sampled_from([0.0, 0.1, 5e-324, 1e300])


@given(
    st.builds(Features, ratios, ratios, ratios, ratios),
    st.builds(ScoringWeights, doubles, doubles, doubles, doubles),
)
def test_a_score_is_rounded_once_from_the_exact_value(given: Features, weights: ScoringWeights) -> None:
    pairs = [
        (Fraction(getattr(weights, name)), Fraction(ratio.numerator, ratio.denominator))
        for name, ratio in (
            ("availability", given.availability),
            ("skills", given.skills),
            ("timezone", given.timezone),
            ("preference", given.preference),
        )
    ]
    total = sum(weight for weight, _ in pairs)
    if total:
        exact = 100 * sum(weight * feature for weight, feature in pairs) / total
        assert score(given, weights) / 100 == rounded(exact)


@given(st.integers(0, 9_999))
def test_every_half_hundredth_goes_up(hundredths: int) -> None:
    exactly_half = Features(Ratio(2 * hundredths + 1, 20_000), NONE, NONE, NONE)
    assert score(exactly_half, ScoringWeights(1, 0, 0, 0)) == hundredths + 1


@given(st.floats(1e-6, 1e6), ratios, ratios)
def test_only_the_ratio_of_weights_counts(scale: float, one: Ratio, other: Ratio) -> None:
    given = Features(one, other, HALF, NONE)
    # Powers of two scale doubles without rounding.
    factor = 2.0 ** round(scale).bit_length()
    assert score(given, ScoringWeights(3, 2, 1, 4)) == score(
        given, ScoringWeights(3 * factor, 2 * factor, factor, 4 * factor)
    )


def test_the_example_of_a_whole_candidate() -> None:
    ada = advisor(
        load=1,
        languages=("python",),
        frameworks=("django",),
        timezone="Europe/Berlin",
        preferences=AvailabilityPreferences(preferred_complexity=(ProjectComplexity.COMPLEX,)),
    )
    asked = request(
        tech_stack=TechStack("Django", ("Python", "Go")),
        owner_timezone="Europe/London",
        complexity=ProjectComplexity.MEDIUM,
    )
    [best] = rank([ada, *CROWD], asked, MOMENT).candidates
    # 40 x 2/3 + 35 x (3 + 2/2) / 5 + 15 x 8/9 + 10 x 1/2 = 26.6667 + 28 + 13.3333 + 5
    assert best.score == 73.0
