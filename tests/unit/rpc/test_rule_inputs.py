"""What is refused of a preference rule, by its path, and what is taken over of it."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from google.protobuf.message import DecodeError
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from advisor_matching.v1.admin_service_pb2 import CreatePreferenceRuleRequest, DeletePreferenceRuleRequest
from advisor_matching.v1.types_pb2 import PreferenceRule
from matching_server.domain.errors import InvalidArgument
from matching_server.domain.model import ProjectComplexity
from matching_server.domain.rules import RuleEffect, RuleTerms
from matching_server.rpc.fields import read
from matching_server.rpc.rule_inputs import CreatePreferenceRuleInput, RuleIdInput

ID = "3f1c2a6e-8f0b-4b0e-9a44-0d0a4f4f7a11"
UID = UUID(ID)
BOOST, REQUIRE, EXCLUDE = 1, 2, 3
NOW = datetime(2025, 6, 15, 12, 30, 45, 123456, tzinfo=UTC)
FIRST, LAST = datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)


def terms(**fields: Any) -> RuleTerms:
    given: dict[str, Any] = {"advisor_id": ID, "effect": EXCLUDE} | fields
    request = CreatePreferenceRuleRequest(rule=PreferenceRule(**given))
    return read(CreatePreferenceRuleInput, request).terms()


BAD: list[tuple[dict[str, Any], list[str]]] = [
    ({"advisor_id": ""}, ["rule.advisor_id"]),
    ({"advisor_id": "me"}, ["rule.advisor_id"]),
    ({"effect": 0}, ["rule.effect"]),
    ({"effect": 4}, ["rule.effect"]),
    ({"effect": BOOST}, ["rule.boost"]),
    ({"effect": BOOST, "boost": 0.0}, ["rule.boost"]),
    ({"effect": BOOST, "boost": -0.0}, ["rule.boost"]),
    *(
        ({"effect": BOOST, "boost": points}, ["rule.boost"])
        for points in (100.5, -100.5, float("nan"), float("inf"), float("-inf"))
    ),
    ({"effect": REQUIRE, "boost": 1.0}, ["rule.boost"]),
    ({"effect": EXCLUDE, "boost": -1.0}, ["rule.boost"]),
    ({"effect": 0, "boost": 101.0}, ["rule.effect", "rule.boost"]),
    ({"project_id": ""}, ["rule.project_id"]),
    ({"project_id": "x"}, ["rule.project_id"]),
    ({"framework": ""}, ["rule.framework"]),
    ({"framework": "f" * 65}, ["rule.framework"]),
    ({"framework": "a\0b"}, ["rule.framework"]),
    ({"complexity": 0}, ["rule.complexity"]),
    ({"complexity": 4}, ["rule.complexity"]),
    ({"active_from": NOW, "active_until": NOW}, ["rule.active_until"]),
    ({"active_from": NOW, "active_until": NOW - timedelta(microseconds=1)}, ["rule.active_until"]),
    (
        {"active_from": Timestamp(seconds=1, nanos=1000), "active_until": Timestamp(seconds=1, nanos=1999)},
        ["rule.active_until"],
    ),
    *(
        ({"active_from": Timestamp(seconds=seconds, nanos=nanos)}, ["rule.active_from"])
        for seconds, nanos in [
            (-62_135_596_801, 0),
            (253_402_300_800, 0),
            (2**63 - 1, 0),
            (-(2**63), 0),
            (0, -1),
            (0, 1_000_000_000),
        ]
    ),
    ({"active_until": Timestamp(seconds=2**62)}, ["rule.active_until"]),
    ({"reason": "r" * 1001}, ["rule.reason"]),
    ({"reason": "a\0b"}, ["rule.reason"]),
    ({"id": ID}, ["rule.id"]),
    ({"created_by": ID}, ["rule.created_by"]),
    ({"created_by": ""}, ["rule.created_by"]),
    ({"created_at": NOW}, ["rule.created_at"]),
    ({"advisor_id": "", "effect": 0}, ["rule.advisor_id", "rule.effect"]),
]


@pytest.mark.parametrize(("fields", "paths"), BAD)
def test_what_is_wrong_is_named_by_its_path(fields: dict[str, Any], paths: list[str]) -> None:
    with pytest.raises(InvalidArgument) as caught:
        terms(**fields)
    assert [violation.field for violation in caught.value.violations] == paths
    for violation in caught.value.violations:
        assert violation.description.startswith(("is ", "must ", "has ", "contains "))
        assert "{" not in violation.description


def test_a_rule_and_its_id_are_required() -> None:
    for model, message, path in (
        (CreatePreferenceRuleInput, CreatePreferenceRuleRequest(), "rule"),
        (RuleIdInput, DeletePreferenceRuleRequest(), "rule_id"),
    ):
        with pytest.raises(InvalidArgument) as caught:
            read(model, message)
        assert [violation.field for violation in caught.value.violations] == [path]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, {}),
        ({"effect": REQUIRE}, {"effect": RuleEffect.REQUIRE}),
        *(
            ({"effect": BOOST, "boost": points}, {"effect": RuleEffect.BOOST, "boost": points})
            for points in (100.0, -100.0, 1e-300)
        ),
        ({"project_id": ID.upper()}, {"project_id": UID}),
        ({"framework": "f" * 64}, {"framework": "f" * 64}),
        ({"complexity": 3}, {"complexity": ProjectComplexity.COMPLEX}),
        ({"reason": "no\r\n\ttime"}, {"reason": "no\r\n\ttime"}),
        ({"reason": ""}, {"reason": None}),
        ({"active_from": NOW}, {"active_from": NOW}),
        ({"active_until": NOW}, {"active_until": NOW}),
        (
            {"active_from": NOW, "active_until": NOW + timedelta(microseconds=1)},
            {"active_from": NOW, "active_until": NOW + timedelta(microseconds=1)},
        ),
        ({"active_from": FIRST, "active_until": LAST}, {"active_from": FIRST, "active_until": LAST}),
        (
            {"active_from": Timestamp(seconds=-1, nanos=999_999_999)},
            {"active_from": datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)},
        ),
    ],
)
def test_a_rule_is_taken_over_as_it_was_said(fields: dict[str, Any], expected: dict[str, Any]) -> None:
    whole: dict[str, Any] = {"advisor_id": UID, "effect": RuleEffect.EXCLUDE} | expected
    assert terms(**fields) == RuleTerms(**whole)


def test_of_several_scopes_the_wire_keeps_one() -> None:
    first = PreferenceRule(advisor_id=ID, effect="RULE_EFFECT_EXCLUDE", framework="vue")
    both = first.SerializeToString() + PreferenceRule(project_id=ID).SerializeToString()
    request = CreatePreferenceRuleRequest(rule=PreferenceRule.FromString(both))
    told = read(CreatePreferenceRuleInput, request).terms()
    assert (told.framework, told.project_id) == (None, UID)


@given(data=st.binary(max_size=200))
def test_no_bytes_break_the_checks(data: bytes) -> None:
    with suppress(DecodeError, InvalidArgument):
        read(CreatePreferenceRuleInput, CreatePreferenceRuleRequest.FromString(data))
    with suppress(DecodeError, InvalidArgument):
        rule = PreferenceRule.FromString(data)
        read(CreatePreferenceRuleInput, CreatePreferenceRuleRequest(rule=rule))
