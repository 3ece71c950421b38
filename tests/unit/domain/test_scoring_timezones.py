"""Common working hours: of the owner's current date, from IANA zones, through every change of the clocks."""

from __future__ import annotations

from datetime import UTC, datetime
from fractions import Fraction

import pytest
from hypothesis import given

from matching_server.domain.scoring import timezone_overlap
from tests.unit.domain import naive_ranking
from tests.unit.domain.pools import moments, zones

NOON = datetime(2026, 1, 15, 12, tzinfo=UTC)


def hours(advisor: str | None, owner: str | None, moment: datetime = NOON) -> float:
    ratio = timezone_overlap(advisor, owner, moment)
    return float(Fraction(ratio.numerator, ratio.denominator) * 9)


@pytest.mark.parametrize(
    ("advisor", "owner", "common"),
    [
        ("Europe/Berlin", "Europe/Berlin", 9),
        ("Europe/Berlin", "Europe/London", 8),
        ("America/New_York", "Europe/Berlin", 3),
        ("America/Los_Angeles", "Europe/Berlin", 0),
        ("Asia/Kolkata", "UTC", 3.5),
        ("Asia/Kathmandu", "UTC", 3.25),
        ("Asia/Kathmandu", "Asia/Kolkata", 8.75),
        ("Australia/Adelaide", "Asia/Kolkata", 4),  # 10:30 in its summer, 5:30 all year
        ("Pacific/Chatham", "Pacific/Auckland", 8.25),
        # Over the date line: 23 hours apart is one hour apart a day later.
        ("Pacific/Auckland", "Pacific/Honolulu", 8),
        ("Pacific/Honolulu", "Pacific/Auckland", 8),
        ("Pacific/Kiritimati", "Pacific/Honolulu", 9),
        ("Pacific/Kiritimati", "Pacific/Pago_Pago", 8),
        ("Pacific/Kiritimati", "Etc/GMT+12", 7),
        ("Etc/GMT+12", "Pacific/Kiritimati", 7),
    ],
)
def test_the_hours_in_common(advisor: str, owner: str, common: float) -> None:
    assert hours(advisor, owner) == common


@pytest.mark.parametrize("unknown", [None, "", "Nowhere/At_All", "../../etc/passwd", "Europe", "a\x00b", "/"])
def test_an_unknown_zone_counts_half(unknown: str | None) -> None:
    for advisor, owner in ((unknown, "UTC"), ("UTC", unknown), (unknown, unknown)):
        ratio = timezone_overlap(advisor, owner, NOON)
        assert float(ratio) == 0.5


@pytest.mark.parametrize(
    ("day", "common"),
    [
        ((2026, 3, 7), 3),  # six hours apart all winter
        ((2026, 3, 9), 4),  # New York has moved, Berlin has not
        ((2026, 3, 28), 4),
        ((2026, 3, 30), 3),  # both have
        ((2026, 10, 24), 3),
        ((2026, 10, 26), 4),  # Berlin has moved back, New York has not
        ((2026, 11, 2), 3),
    ],
)
def test_the_weeks_between_two_changes_of_the_clocks(day: tuple[int, int, int], common: float) -> None:
    assert hours("America/New_York", "Europe/Berlin", datetime(*day, 12, tzinfo=UTC)) == common


@pytest.mark.parametrize(("hour", "common"), [(22, 4), (23, 3)])
def test_the_day_is_the_owners_current_date(hour: int, common: float) -> None:
    # On 28 March, 23:00 in UTC is midnight in Berlin: from then on it is the day on which its clocks change.
    moment = datetime(2026, 3, 28, hour, tzinfo=UTC)
    assert hours("America/New_York", "Europe/Berlin", moment) == common


def test_it_is_the_owners_date_and_not_the_advisors() -> None:
    # Sunday 29 March for the owner, when the clocks change; still Saturday for the advisor.
    moment = datetime(2026, 3, 29, 0, 30, tzinfo=UTC)
    assert hours("America/New_York", "Europe/Berlin", moment) == 3
    assert hours("Europe/Berlin", "America/New_York", moment) == 4


def test_the_moment_may_come_in_any_zone() -> None:
    moment = datetime.fromisoformat("2026-03-29T00:00:00+02:00")
    assert hours("America/New_York", "Europe/Berlin", moment) == 4
    assert hours("America/New_York", "Europe/Berlin", moment.astimezone(UTC)) == 4


@given(zones, zones, moments)
def test_it_is_what_the_clocks_of_both_say(advisor: str | None, owner: str | None, moment: datetime) -> None:
    ratio = timezone_overlap(advisor, owner, moment)
    exact = Fraction(ratio.numerator, ratio.denominator)
    assert exact == naive_ranking.overlap(advisor, owner, moment)
    assert 0 <= exact <= 1
