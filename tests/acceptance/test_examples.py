"""The sample directory is plausible, and gives the demo's ranking something to say all through the year."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from matching_server.domain import scoring
from matching_server.domain.model import (
    AdvisorSummary,
    AvailabilityPreferences,
    AvailabilityStatus,
    ExclusionReason,
    MatchingAlgorithm,
)
from matching_server.domain.scoring import Candidate, PoolAdvisor, Ranking, RankingRequest
from matching_server.operations.policy import Policy
from matching_server.seeding import Directory, read_directory

SAMPLE = Path(__file__).parents[2] / "examples" / "directory.json"
YEAR = [datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=14, hours=5) * turn for turn in range(26)]
"""All through a year, at changing hours."""
EARLIER = ("Ticket Kiosk", "Parcel Lockers", "Beehive Survey", "Relief Supplies", "Second-hand Books")


@pytest.fixture(scope="module")
def directory() -> Directory:
    return read_directory(SAMPLE)


def test_there_are_60_advisors_and_a_few_projects(directory: Directory) -> None:
    profiles = [profile for profile, _ in directory.advisors]
    assert len(profiles) == 60
    assert len({profile.display_name for profile in profiles}) == 60
    assert 6 <= len(directory.projects) <= 10
    ids = [profile.id for profile in profiles] + [project.id for project in directory.projects]
    ids += [project.owner_id for project in directory.projects]
    assert len(set(ids)) == len(ids)


def test_they_come_from_all_over_the_world(directory: Directory) -> None:
    zones = {profile.timezone or "" for profile, _ in directory.advisors}
    offsets = {zone: YEAR[0].astimezone(ZoneInfo(zone)).utcoffset() or timedelta() for zone in zones}
    assert len(zones) >= 50
    assert len({zone.partition("/")[0] for zone in zones}) >= 7
    assert len([zone for zone, offset in offsets.items() if offset % timedelta(hours=1)]) >= 5


def test_nobody_of_them_exists(directory: Directory) -> None:
    """Addresses of example.com belong to nobody."""
    addresses = [profile.email or "" for profile, _ in directory.advisors]
    assert all(address.endswith("@example.com") for address in addresses)
    assert len(set(addresses)) == len(addresses)


def test_most_are_available_and_some_are_not(directory: Directory) -> None:
    wanted = [availability for _, availability in directory.advisors]
    statuses = [availability.status for availability in wanted]
    assert statuses.count(AvailabilityStatus.AVAILABLE) >= 45
    assert statuses.count(AvailabilityStatus.BUSY) >= 3
    assert statuses.count(AvailabilityStatus.OFFLINE) >= 2
    assert len({availability.max_concurrent_projects for availability in wanted}) >= 4
    preferences = [availability.preferences for availability in wanted if availability.preferences]
    assert 1 <= sum(preference.auto_accept for preference in preferences) <= 2
    assert any(preference.preferred_frameworks for preference in preferences)
    assert any(preference.preferred_complexity for preference in preferences)


@pytest.mark.parametrize("moment", YEAR, ids=str)
def test_the_demo_has_its_story_all_through_the_year(directory: Directory, moment: datetime) -> None:
    pool = Pool(directory, moment)
    for name in EARLIER:
        pool.match(name)

    main = pool.match("Harbour Checkout")
    assert main.algorithm is MatchingAlgorithm.COMPLEX_SCORING
    assert {ExclusionReason.AT_CAPACITY, ExclusionReason.BUSY, ExclusionReason.OFFLINE} == set(
        main.exclusions
    )
    chosen, *runners_up = main.candidates[:6]
    assert differs(chosen, runners_up[0]) >= {"skills", "timezone"}
    assert "availability" in set().union(*(differs(chosen, other) for other in runners_up))
    assert chosen.score is not None
    assert runners_up[0].score is not None
    assert chosen.score > runners_up[0].score

    grid = pool.match("Monsoon Grid").candidates[0].advisor
    assert grid.max_concurrent_projects == 1, "who waits for this advisor has to wait"
    assert not grid.preferences.auto_accept
    second = pool.match("Monsoon Grid", cooling_down={grid.id})
    assert second.exclusions[ExclusionReason.COOL_DOWN] == 1


def differs(one: Candidate, other: Candidate) -> set[str]:
    """The factors in which two candidates differ."""
    names = ("availability", "skills", "timezone", "preference")
    return {
        name for name in names if float(getattr(one.features, name)) != float(getattr(other.features, name))
    }


class Pool:
    """The directory's advisors, with the load that matches give them."""

    def __init__(self, directory: Directory, moment: datetime) -> None:
        self._moment = moment
        self._projects = {project.name: project for project in directory.projects}
        self._advisors = {
            profile.id: PoolAdvisor(
                summary=AdvisorSummary(
                    profile.id, profile.display_name, profile.skills, profile.specialties, profile.rating
                ),
                active=True,
                status=wanted.status or AvailabilityStatus.AVAILABLE,
                current_projects=0,
                max_concurrent_projects=wanted.max_concurrent_projects or 3,
                last_assigned_at=None,
                languages=profile.languages,
                frameworks=profile.frameworks,
                timezone=profile.timezone,
                preferences=wanted.preferences or AvailabilityPreferences(),
            )
            for profile, wanted in directory.advisors
        }

    def match(self, name: str, cooling_down: Collection[UUID] = ()) -> Ranking:
        """Gives the project its best advisor, who then has one slot less."""
        project = self._projects[name]
        assert project.project_complexity is not None
        request = RankingRequest(
            owner_id=project.owner_id,
            tech_stack=project.tech_stack,
            complexity=project.project_complexity,
            weights=Policy().weights,
            owner_timezone=project.owner_timezone,
            cooling_down=frozenset(cooling_down),
        )
        ranking = scoring.rank(scoring.Pool(self._advisors.values()), request, self._moment, 1000)
        best = ranking.candidates[0].advisor
        self._advisors[best.id] = replace(
            best, current_projects=best.current_projects + 1, last_assigned_at=self._moment
        )
        return ranking
