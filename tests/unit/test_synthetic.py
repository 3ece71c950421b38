"""Synthetic advisors pass for real ones, and are the same every time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from advisor_matching.v1.availability_service_pb2 import UpdateAvailabilityRequest
from advisor_matching.v1.directory_service_pb2 import UpsertAdvisorRequest
from matching_server.rpc import convert
from matching_server.rpc.fields import read
from matching_server.rpc.inputs import UpdateAvailabilityInput, UpsertAdvisorInput
from matching_server.storage.bulk import NewAdvisor
from matching_server.synthetic import synthetic_advisor

COUNT = 3_000


@pytest.fixture(scope="module")
def crowd() -> list[NewAdvisor]:
    return [synthetic_advisor(1, number) for number in range(COUNT)]


def counted(crowd: list[NewAdvisor], words: Callable[[NewAdvisor], Iterable[str | None]]) -> list[int]:
    """How often each word occurs, the most frequent one first."""
    return [count for _, count in Counter(word for one in crowd for word in words(one)).most_common()]


def test_who_an_advisor_is_depends_on_seed_and_number_alone(crowd: list[NewAdvisor]) -> None:
    assert [synthetic_advisor(1, number) for number in reversed(range(COUNT))] == crowd[::-1]
    # As every machine and every release makes them: a directory can be filled up by another.
    assert [one.profile.id for one in crowd[:2]] == [
        UUID("efe0392b-4aff-4316-9b1c-c97a38a41d1a"),
        UUID("7c3090e5-04de-4701-8064-ecdef1bd0c2d"),
    ]


def test_no_two_are_one_person_whatever_the_seed(crowd: list[NewAdvisor]) -> None:
    everybody = crowd + [synthetic_advisor(2, number) for number in range(COUNT)]
    assert len({one.profile.id for one in everybody}) == 2 * COUNT
    assert len({one.profile.email for one in everybody}) == 2 * COUNT


def test_they_keep_the_rules_of_the_contract(crowd: list[NewAdvisor]) -> None:
    for one in crowd:
        request = UpsertAdvisorRequest(advisor=convert.advisor_message(one.profile))
        assert read(UpsertAdvisorInput, request).value() == replace(one.profile, active=True)
        wanted = UpdateAvailabilityRequest(
            advisor_id=str(one.profile.id),
            max_concurrent_projects=one.slots,
            preferences=convert.preferences_message(one.preferences),
        )
        assert read(UpdateAvailabilityInput, wanted).command(one.profile.id).preferences == one.preferences


def test_some_words_are_frequent_and_others_rare(crowd: list[NewAdvisor]) -> None:
    for count in (
        counted(crowd, lambda one: one.profile.frameworks),
        counted(crowd, lambda one: one.profile.languages),
        counted(crowd, lambda one: one.profile.skills),
        counted(crowd, lambda one: one.profile.specialties),
        counted(crowd, lambda one: [one.profile.timezone]),
    ):
        assert len(count) >= 15
        assert count[0] > 3 * count[len(count) // 2]


def test_they_come_from_all_over_the_world_under_names_of_their_own(crowd: list[NewAdvisor]) -> None:
    zones = {one.profile.timezone or "" for one in crowd}
    assert len({ZoneInfo(zone).key.partition("/")[0] for zone in zones}) >= 6
    assert len({one.profile.display_name for one in crowd}) > COUNT / 4
    assert all((one.profile.email or "").endswith("@example.com") for one in crowd)


def test_each_knows_something_and_takes_from_one_to_five_projects(crowd: list[NewAdvisor]) -> None:
    for one in crowd:
        profile = one.profile
        for words in (profile.skills, profile.specialties, profile.languages, profile.frameworks):
            assert 1 <= len(words) == len(set(words)) <= 5
        assert set(one.preferences.preferred_frameworks) <= set(profile.frameworks)
    assert {one.slots for one in crowd} == {1, 2, 3, 4, 5}
    assert {one.profile.rating is None for one in crowd} == {True, False}
    assert {one.preferences.auto_accept for one in crowd} == {True, False}
    assert len({one.preferences.preferred_complexity for one in crowd}) >= 4
