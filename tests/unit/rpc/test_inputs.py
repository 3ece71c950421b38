from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import DecodeError, Message
from hypothesis import given
from hypothesis import strategies as st

from advisor_matching.v1 import (
    admin_service_pb2,
    availability_service_pb2,
    decision_service_pb2,
    directory_service_pb2,
    event_service_pb2,
    match_service_pb2,
)
from matching_server.domain import model, notifications
from matching_server.domain.errors import InvalidArgument
from matching_server.domain.events import EventType
from matching_server.domain.model import AvailabilityStatus, Decision, MatchStatus, ProjectComplexity, Side
from matching_server.operations import commands
from matching_server.rpc import inputs, notification_inputs
from matching_server.rpc.fields import RequestModel, read
from matching_server.rpc.paging import decode_page_token, encode_page_token

ID = "3f1c2a6e-8f0b-4b0e-9a44-0d0a4f4f7a11"
OTHER = "AAAAAAAA-bbbb-4ccc-8ddd-eeeeeeeeeeee"
UID = UUID(ID)
TOKEN = encode_page_token((datetime(2025, 1, 1, tzinfo=UTC), UID))

CASES: dict[str, tuple[type[RequestModel], type[Message], dict[str, Any]]] = {
    "create": (inputs.CreateMatchInput, match_service_pb2.CreateMatchRequest, {"project_id": ID}),
    "list": (inputs.ListProjectMatchesInput, match_service_pb2.ListProjectMatchesRequest, {"project_id": ID}),
    "match": (inputs.MatchIdInput, match_service_pb2.GetMatchRequest, {}),
    "decide": (
        inputs.DecisionInput,
        decision_service_pb2.SubmitClientDecisionRequest,
        {"match_id": ID, "decision": 1},
    ),
    "update": (inputs.UpdateAvailabilityInput, availability_service_pb2.UpdateAvailabilityRequest, {}),
    "project": (inputs.UpsertProjectInput, directory_service_pb2.UpsertProjectRequest, {}),
    "advisor": (inputs.UpsertAdvisorInput, directory_service_pb2.UpsertAdvisorRequest, {}),
    "advisors": (inputs.ListAdvisorsInput, directory_service_pb2.ListAdvisorsRequest, {}),
    "deactivate": (
        inputs.DeactivateAdvisorInput,
        directory_service_pb2.DeactivateAdvisorRequest,
        {"advisor_id": ID},
    ),
    "assign": (
        inputs.AssignAdvisorInput,
        admin_service_pb2.AssignAdvisorRequest,
        {"project_id": ID, "advisor_id": OTHER},
    ),
    "release": (
        inputs.ReleaseAdvisorInput,
        admin_service_pb2.ReleaseAdvisorRequest,
        {"project_id": ID, "advisor_id": OTHER},
    ),
    "notifications": (
        notification_inputs.ListNotificationsInput,
        admin_service_pb2.ListNotificationsRequest,
        {},
    ),
    "resend": (notification_inputs.NotificationIdInput, admin_service_pb2.ResendNotificationRequest, {}),
    "watch": (inputs.WatchProjectInput, event_service_pb2.WatchProjectEventsRequest, {"project_id": ID}),
    "events": (inputs.ListEventsInput, event_service_pb2.ListProjectEventsRequest, {"project_id": ID}),
}


def give(case: str, fields: dict[str, Any]) -> Any:
    model_type, message_type, base = CASES[case]
    return read(model_type, message_type(**(base | fields)))


def project(**fields: Any) -> dict[str, Any]:
    return {"project": {"id": ID, "owner_id": ID, "name": "n"} | fields}


def advisor(**fields: Any) -> dict[str, Any]:
    return {"advisor": {"id": ID, "display_name": "n"} | fields}


def weights(**fields: float) -> dict[str, Any]:
    return {"criteria": {"scoring_weights": fields}}


BAD: list[tuple[str, dict[str, Any], list[str]]] = [
    ("notifications", {"statuses": [1, 0, 4]}, ["statuses[1]", "statuses[2]"]),
    ("notifications", {"recipient_id": "x", "type": "t" * 65}, ["type", "recipient_id"]),
    ("notifications", {"page_size": -1, "page_token": "x"}, ["page_size", "page_token"]),
    ("resend", {}, ["notification_id"]),
    ("resend", {"notification_id": "x"}, ["notification_id"]),
    ("create", {"project_id": ""}, ["project_id"]),
    ("create", {"project_id": "x"}, ["project_id"]),
    ("create", {"project_id": ID.replace("-", "")}, ["project_id"]),
    ("create", {"project_id": ID + "\n"}, ["project_id"]),
    ("create", {"criteria": {"exclude_advisor_ids": [ID, ID, ID, "x"]}}, ["criteria.exclude_advisor_ids[3]"]),
    ("create", {"criteria": {"exclude_advisor_ids": [""]}}, ["criteria.exclude_advisor_ids[0]"]),
    ("create", {"criteria": {"exclude_advisor_ids": [ID] * 501}}, ["criteria.exclude_advisor_ids"]),
    ("create", {"criteria": {"tech_stack": {"framework": "f" * 65}}}, ["criteria.tech_stack.framework"]),
    ("create", {"criteria": {"tech_stack": {"framework": "a\nb"}}}, ["criteria.tech_stack.framework"]),
    (
        "create",
        {
            "criteria": {
                "tech_stack": {"languages": ["go", "", "l" * 65, "a\0"], "complexity_factors": ["x"] * 51}
            }
        },
        [
            "criteria.tech_stack.languages[1]",
            "criteria.tech_stack.languages[2]",
            "criteria.tech_stack.languages[3]",
            "criteria.tech_stack.complexity_factors",
        ],
    ),
    ("create", {"criteria": {"project_complexity": 99}}, ["criteria.project_complexity"]),
    ("create", {"criteria": {"project_complexity": -1}}, ["criteria.project_complexity"]),
    ("create", weights(), ["criteria.scoring_weights"]),
    ("create", weights(skills=-0.0), ["criteria.scoring_weights"]),
    ("create", weights(skills=-1), ["criteria.scoring_weights.skills"]),
    ("create", weights(skills=float("nan"), timezone=1), ["criteria.scoring_weights.skills"]),
    ("create", weights(skills=float("inf")), ["criteria.scoring_weights.skills"]),
    *(
        ("create", {"expires_in": Duration(seconds=seconds, nanos=nanos)}, ["expires_in"])
        for seconds, nanos in [
            (0, 0),
            (0, 999_999_999),
            (-1, 0),
            (168 * 3600, 1),
            (315_576_000_001, 0),
            (2**63 - 1, 0),
            (-(2**63), 0),
            (60, -1),
            (60, 1_000_000_000),
            (60, 2**31 - 1),
        ]
    ),
    ("list", {"page_size": -1}, ["page_size"]),
    ("list", {"page_size": 201}, ["page_size"]),
    ("list", {"page_size": -(2**31)}, ["page_size"]),
    ("list", {"page_token": "x"}, ["page_token"]),
    ("list", {"page_token": "ä" * 32}, ["page_token"]),
    ("list", {"page_token": "=" * 32}, ["page_token"]),
    ("list", {"page_token": "_" + "w" * 31}, ["page_token"]),
    ("list", {"page_token": "f" * 32}, ["page_token"]),
    ("list", {"page_token": TOKEN + "A"}, ["page_token"]),
    ("list", {"statuses": [1, 0]}, ["statuses[1]"]),
    ("list", {"statuses": [9]}, ["statuses[0]"]),
    ("match", {}, ["match_id"]),
    ("decide", {"decision": 0}, ["decision"]),
    ("decide", {"decision": 3}, ["decision"]),
    ("decide", {"reason": "r" * 1001}, ["reason"]),
    ("decide", {"reason": "a\0b"}, ["reason"]),
    ("decide", {"reason": "a\x1bb"}, ["reason"]),
    ("decide", {"reason": "a\x85b"}, ["reason"]),
    ("decide", {"etag": "e" * 65}, ["etag"]),
    ("decide", {"match_id": "", "decision": 0}, ["match_id", "decision"]),
    ("update", {"advisor_id": "me"}, ["advisor_id"]),
    ("update", {"status": 4}, ["status"]),
    ("update", {"max_concurrent_projects": 0}, ["max_concurrent_projects"]),
    ("update", {"max_concurrent_projects": 101}, ["max_concurrent_projects"]),
    ("update", {"preferences": {"preferred_complexity": [1, 1]}}, ["preferences.preferred_complexity"]),
    ("update", {"preferences": {"preferred_complexity": [0]}}, ["preferences.preferred_complexity[0]"]),
    ("update", {"preferences": {"preferred_frameworks": [""]}}, ["preferences.preferred_frameworks[0]"]),
    ("project", {}, ["project"]),
    ("project", {"project": {}}, ["project.id", "project.owner_id", "project.name"]),
    ("project", project(name="n" * 201), ["project.name"]),
    ("project", project(name="a\tb"), ["project.name"]),
    ("project", project(project_complexity=4), ["project.project_complexity"]),
    ("project", project(owner_timezone="Mars/Olympus"), ["project.owner_timezone"]),
    ("project", project(owner_timezone="../etc/passwd"), ["project.owner_timezone"]),
    ("project", project(owner_locale="english!"), ["project.owner_locale"]),
    ("project", project(owner_locale="en" + "-abcdefgh" * 4), ["project.owner_locale"]),
    ("project", project(technology_stack={"languages": [""]}), ["project.technology_stack.languages[0]"]),
    ("advisor", {}, ["advisor"]),
    ("advisor", {"advisor": {}}, ["advisor.id", "advisor.display_name"]),
    ("advisor", advisor(email="nobody"), ["advisor.email"]),
    ("advisor", advisor(email="a@" + "b" * 320), ["advisor.email"]),
    ("advisor", advisor(rating=5.01), ["advisor.rating"]),
    ("advisor", advisor(rating=-0.1), ["advisor.rating"]),
    ("advisor", advisor(rating=float("nan")), ["advisor.rating"]),
    ("advisor", advisor(avatar_url="u" * 2049), ["advisor.avatar_url"]),
    ("advisor", advisor(timezone="Nowhere"), ["advisor.timezone"]),
    ("advisor", advisor(skills=["s"] * 51), ["advisor.skills"]),
    ("advisors", {"skill": "s" * 65}, ["skill"]),
    ("advisors", {"framework": "a\0"}, ["framework"]),
    ("deactivate", {"advisor_id": "x", "reason": "r" * 1001}, ["advisor_id", "reason"]),
    ("assign", {"project_id": "", "advisor_id": "me"}, ["project_id", "advisor_id"]),
    ("assign", {"assignment_type": 3, "role": -1}, ["assignment_type", "role"]),
    ("assign", {"reason": "a\0b"}, ["reason"]),
    ("release", {"project_id": "", "advisor_id": "me"}, ["project_id", "advisor_id"]),
    ("release", {"reason": "r" * 1001}, ["reason"]),
    ("watch", {"types": ["advisor.matched", "advisor.gone"]}, ["types[1]"]),
    ("watch", {"watch_id": "a b"}, ["watch_id"]),
    ("watch", {"watch_id": "w" * 65}, ["watch_id"]),
    ("events", {"project_id": "x", "page_size": 201}, ["project_id", "page_size"]),
    ("events", {"page_size": -1}, ["page_size"]),
]


@pytest.mark.parametrize(("case", "fields", "paths"), BAD)
def test_what_is_wrong_is_named_by_its_path(case: str, fields: dict[str, Any], paths: list[str]) -> None:
    with pytest.raises(InvalidArgument) as caught:
        give(case, fields)
    assert [violation.field for violation in caught.value.violations] == paths
    for violation in caught.value.violations:
        assert violation.description.startswith(("is ", "must ", "has ", "contains ", "names "))
        assert "{" not in violation.description


def test_a_bare_create_asks_for_nothing_in_particular() -> None:
    command = give("create", {}).command()
    assert command == commands.CreateMatch(project_id=UID)


def test_a_full_create_becomes_a_command() -> None:
    command = give(
        "create",
        {
            "criteria": {
                "tech_stack": {"framework": "react", "languages": ["go"], "complexity_factors": ["payments"]},
                "scoring_weights": {"skills": 2.5},
                "project_complexity": 3,
                "exclude_advisor_ids": [OTHER],
            },
            "expires_in": timedelta(seconds=1, microseconds=5),
            "fail_if_open": True,
            "require_immediate": True,
            "allow_previous": True,
        },
    ).command()
    assert command == commands.CreateMatch(
        project_id=UID,
        criteria=model.MatchCriteria(
            tech_stack=model.TechStack("react", ("go",), ("payments",)),
            scoring_weights=model.ScoringWeights(0.0, 2.5, 0.0, 0.0),
            project_complexity=ProjectComplexity.COMPLEX,
            exclude_advisor_ids=(UUID(OTHER),),
        ),
        expires_in=timedelta(seconds=1, microseconds=5),
        fail_if_open=True,
        require_immediate=True,
        allow_previous=True,
    )


@pytest.mark.parametrize("span", [timedelta(seconds=1), timedelta(hours=168)])
def test_the_bounds_of_expires_in_belong_to_it(span: timedelta) -> None:
    assert give("create", {"expires_in": span}).command().expires_in == span


def test_criteria_may_be_empty_and_lists_full() -> None:
    assert give("create", {"criteria": {}}).command().criteria == model.MatchCriteria()
    full = give(
        "create",
        {"criteria": {"exclude_advisor_ids": [ID] * 500, "tech_stack": {"languages": ["l" * 64] * 50}}},
    )
    assert len(full.command().criteria.exclude_advisor_ids) == 500


def test_pages_default_and_go_on() -> None:
    assert give("list", {}).command().page == commands.Page(50, None)
    position = (datetime(2025, 1, 1, tzinfo=UTC), UID)
    page = give("list", {"page_size": 200, "page_token": TOKEN, "statuses": [7, 1, 7]}).command()
    assert page.page == commands.Page(200, position)
    assert page.statuses == (MatchStatus.FINALIZED, MatchStatus.PENDING)


def test_a_decision_keeps_lines_and_tabs_of_its_reason() -> None:
    command = give("decide", {"decision": 2, "reason": "no\r\n\ttime", "etag": "v3"}).command(Side.ADVISOR)
    assert command == commands.SubmitDecision(UID, Side.ADVISOR, Decision.DECLINED, "no\r\n\ttime", "v3")
    assert give("decide", {}).command(Side.CLIENT).reason is None


def test_an_availability_without_an_advisor_is_the_callers() -> None:
    assert give("update", {}).command(UID) == commands.UpdateAvailability(UID)
    command = give(
        "update",
        {
            "advisor_id": OTHER,
            "status": 3,
            "max_concurrent_projects": 100,
            "preferences": {
                "auto_accept": True,
                "preferred_complexity": [1, 3],
                "preferred_frameworks": ["vue"],
            },
            "decline_open_offers": True,
        },
    ).command(UID)
    assert command == commands.UpdateAvailability(
        advisor_id=UUID(OTHER),
        status=AvailabilityStatus.OFFLINE,
        max_concurrent_projects=100,
        preferences=model.AvailabilityPreferences(
            True, (ProjectComplexity.SIMPLE, ProjectComplexity.COMPLEX), ("vue",)
        ),
        decline_open_offers=True,
    )


def test_given_empty_preferences_replace_the_old_ones() -> None:
    assert give("update", {"preferences": {}}).command(UID).preferences == model.AvailabilityPreferences()


def test_directory_entries_become_values() -> None:
    stored = give(
        "project", project(owner_timezone="Europe/Berlin", owner_locale="pt-BR", project_complexity=1)
    )
    assert stored.value() == model.Project(
        UID, UID, "n", model.TechStack(), ProjectComplexity.SIMPLE, "Europe/Berlin", "pt-BR"
    )
    profile = give("advisor", advisor(email="a@b.c", rating=0, timezone="UTC", active=False, skills=["x"]))
    assert profile.value() == model.Advisor(
        id=UID, display_name="n", skills=("x",), rating=0.0, email="a@b.c", timezone="UTC", active=False
    )


def test_empty_optional_texts_are_unset() -> None:
    assert give("advisor", advisor(email="", timezone="", avatar_url="")).value() == model.Advisor(UID, "n")


def test_filters_can_be_left_out() -> None:
    assert give("advisors", {}).command() == commands.ListAdvisors()
    assert give("advisors", {"skill": "go", "available": False}).command() == commands.ListAdvisors(
        skill="go", available=False
    )


def test_an_assignment_is_manual_and_for_an_advisor_unless_said() -> None:
    assert give("assign", {}).command() == commands.AssignAdvisor(UID, UUID(OTHER))
    assert give("assign", {"assignment_type": 2, "role": 2, "reason": "a\nb"}).command() == (
        commands.AssignAdvisor(
            UID, UUID(OTHER), "a\nb", model.AssignmentType.EMERGENCY, model.WorkspaceRole.CONSULTANT
        )
    )
    assert give("release", {"reason": ""}).command() == commands.ReleaseAdvisor(UID, UUID(OTHER))


def test_a_watch_says_where_it_starts() -> None:
    assert give("watch", {}).command() == commands.WatchProject(UID)
    command = give(
        "watch", {"last_event_id": "any", "from_start": True, "types": ["message.new"], "watch_id": "w.1"}
    ).command()
    assert command == commands.WatchProject(UID, "any", True, frozenset({EventType.MESSAGE_NEW}), "w.1")


def test_events_are_listed_from_the_oldest_unless_said() -> None:
    assert give("events", {}).command() == commands.ListEvents(UID, None, 50)
    command = give("events", {"after_event_id": "any", "page_size": 200}).command()
    assert command == commands.ListEvents(UID, "any", 200)


@given(st.datetimes(timezones=st.just(UTC)), st.uuids())
def test_page_tokens_come_back_as_they_went(moment: datetime, id_: UUID) -> None:
    assert decode_page_token(encode_page_token((moment, id_))) == (moment, id_)


def test_the_ends_of_a_list_have_no_token() -> None:
    assert encode_page_token(None) == ""
    assert decode_page_token("") is None


@pytest.mark.parametrize("case", CASES)
@given(data=st.binary(max_size=200))
def test_no_bytes_break_the_checks(case: str, data: bytes) -> None:
    model_type, message_type, _ = CASES[case]
    # The pipeline answers bytes that are no message with MALFORMED_REQUEST.
    with suppress(DecodeError, InvalidArgument):
        read(model_type, message_type.FromString(data))


def test_notifications_are_asked_for_by_status_type_and_recipient() -> None:
    S = notifications.NotificationStatus
    command = give(
        "notifications", {"statuses": [3, 1, 3], "type": "match_offered", "recipient_id": ID}
    ).command()
    assert command == commands.ListNotifications((S.DEAD, S.PENDING), "match_offered", UID)
    assert give("notifications", {}).command() == commands.ListNotifications()
    assert give("notifications", {"page_size": 7}).command().page == commands.Page(7)
