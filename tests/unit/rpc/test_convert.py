from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from advisor_matching.v1 import admin_service_pb2
from advisor_matching.v1 import types_pb2 as pb
from advisor_matching.v1.chat_service_pb2 import SendMessageResponse
from advisor_matching.v1.event_service_pb2 import ListProjectEventsResponse
from matching_server.domain import events, model, scoring
from matching_server.domain.events import EventType, ProjectEvent, decode_event_id, encode_event_id
from matching_server.domain.notifications import (
    Notification,
    NotificationPriority,
    NotificationStatus,
)
from matching_server.domain.rules import PreferenceRule, RuleEffect
from matching_server.operations.commands import (
    AssignedAdvisor,
    CreatedMatch,
    ListMessages,
    MessagePage,
    PageOf,
    SentMessage,
)
from matching_server.operations.watching import EventPage
from matching_server.rpc import convert, enums
from matching_server.rpc.convert_admin import (
    assigned_advisor_message,
    pool_status_message,
    rule_message,
    rule_page_message,
)
from matching_server.rpc.convert_chat import chat_message, message_page, sent_message
from matching_server.rpc.convert_events import event_message, event_page_message, heartbeat_message
from matching_server.rpc.convert_explanation import explanation_message, pool_size_word
from matching_server.rpc.convert_notifications import notification_message, notification_page_message
from matching_server.rpc.paging import decode_message_token, decode_page_token

A, B, C, D = (UUID(int=n) for n in (1, 2, 3, 4))
EPOCH = UUID(int=99 << 64)
NOW = datetime(2025, 6, 15, 12, 30, 45, 123456, tzinfo=UTC)

ADVISOR = model.AdvisorSummary(C, "Ada", ("sql",), ("payments",), 4.5, "https://example.com/a.png")
MATCH = model.Match(
    id=A,
    project_id=B,
    requested_by=D,
    status=model.MatchStatus.MATCHED,
    expires_at=NOW + timedelta(hours=2),
    expires_in=timedelta(hours=2),
    created_at=NOW,
    updated_at=NOW + timedelta(microseconds=1),
    version=3,
    matched_advisor_id=C,
    matched_advisor=ADVISOR,
)


def test_a_match_has_what_is_known_and_nothing_else() -> None:
    message = convert.match_message(MATCH)
    assert {field.name for field, _ in message.ListFields()} == {
        *("id", "project_id", "requested_by", "status", "matched_advisor", "criteria"),
        *("expires_at", "created_at", "updated_at", "etag"),
    }
    assert (message.id, message.project_id, message.requested_by) == (str(A), str(B), str(D))
    assert message.status == pb.MATCH_STATUS_MATCHED
    assert message.matched_advisor == pb.AdvisorSummary(
        id=str(C),
        display_name="Ada",
        skills=["sql"],
        specialties=["payments"],
        rating=4.5,
        avatar_url="https://example.com/a.png",
    )
    assert message.created_at.ToDatetime(UTC) == NOW
    assert message.updated_at.ToNanoseconds() % 1_000_000_000 == 123_457_000
    assert message.etag == MATCH.etag


def test_a_finalized_match_has_everything() -> None:
    message = convert.match_message(
        replace(
            MATCH,
            status=model.MatchStatus.FINALIZED,
            previous_status=model.MatchStatus.ADVISOR_ACCEPTED,
            score=0.0,
            match_reason="best",
            client_decision=model.RecordedDecision(model.Decision.APPROVED, None, NOW),
            advisor_decision=model.RecordedDecision(model.Decision.APPROVED, "gladly", NOW),
            provisioning_state=model.ProvisioningState.QUEUED,
            assignment_type=model.AssignmentType.EMERGENCY,
            criteria=model.MatchCriteria(
                model.TechStack("react", ("go",), ("scale",)),
                model.ScoringWeights(1, 2, 3, 4),
                model.ProjectComplexity.SIMPLE,
                (D,),
            ),
        )
    )
    assert message.HasField("score")
    assert message.score == 0.0
    assert message.previous_status == pb.MATCH_STATUS_ADVISOR_ACCEPTED
    assert message.client_decision == pb.DecisionRecord(decision=pb.DECISION_APPROVED, decided_at=NOW)
    assert message.advisor_decision.reason == "gladly"
    assert message.workspace_provisioning == pb.WORKSPACE_PROVISIONING_QUEUED
    assert message.assignment_type == pb.ASSIGNMENT_TYPE_EMERGENCY
    assert message.criteria == pb.MatchCriteria(
        tech_stack=pb.TechStack(framework="react", languages=["go"], complexity_factors=["scale"]),
        scoring_weights=pb.ScoringWeights(availability=1, skills=2, timezone=3, preference=4),
        project_complexity=pb.PROJECT_COMPLEXITY_SIMPLE,
        exclude_advisor_ids=[str(D)],
    )


def test_a_pending_match_says_why_and_an_overdue_one_reads_as_expired() -> None:
    pending = replace(
        MATCH,
        status=model.MatchStatus.PENDING,
        matched_advisor=None,
        matched_advisor_id=None,
        pending_reason=model.PendingReason.ALL_ADVISORS_BUSY,
    )
    message = convert.match_message(pending)
    assert message.pending_reason == pb.PENDING_REASON_ALL_ADVISORS_BUSY
    assert not message.HasField("matched_advisor")
    overdue = convert.match_message(replace(pending, overdue=True))
    assert overdue.status == pb.MATCH_STATUS_EXPIRED
    assert overdue.closed_reason == pb.CLOSED_REASON_EXPIRED
    assert overdue.previous_status == pb.MATCH_STATUS_PENDING
    assert overdue.pending_reason == pb.PENDING_REASON_UNSPECIFIED


def test_a_closed_match_is_never_overdue() -> None:
    done = replace(MATCH, status=model.MatchStatus.FINALIZED, overdue=True)
    assert convert.match_message(done).status == pb.MATCH_STATUS_FINALIZED


def test_answers_wrap_matches() -> None:
    created = convert.created_match_message(CreatedMatch(MATCH, already_open=True))
    assert created.already_open
    assert created.match.id == str(A)
    page = convert.match_page_message(PageOf((MATCH, MATCH), (NOW, A)))
    assert len(page.matches) == 2
    assert decode_page_token(page.next_page_token) == (NOW, A)
    assert convert.match_page_message(PageOf((), None)).next_page_token == ""
    claimable = convert.claimable_page_message(PageOf((MATCH,), (NOW, B)))
    assert [match.id for match in claimable.matches] == [str(A)]
    assert decode_page_token(claimable.next_page_token) == (NOW, B)


def test_an_assignment_shows_its_match_and_the_workspace_that_is_queued() -> None:
    offered = assigned_advisor_message(AssignedAdvisor(D, MATCH))
    assert (offered.assignment_id, offered.match) == (str(D), convert.match_message(MATCH))
    assert offered.workspace_provisioning == pb.WORKSPACE_PROVISIONING_UNSPECIFIED
    queued = replace(MATCH, provisioning_state=model.ProvisioningState.QUEUED)
    answer = assigned_advisor_message(AssignedAdvisor(D, queued))
    assert answer.workspace_provisioning == pb.WORKSPACE_PROVISIONING_QUEUED


@pytest.mark.parametrize(
    ("total", "size", "algorithm"),
    [
        (0, "SMALL", "SIMPLE_AVAILABILITY"),
        (9, "SMALL", "SIMPLE_AVAILABILITY"),
        (10, "MEDIUM", "SIMPLE_AVAILABILITY"),
        (49, "MEDIUM", "SIMPLE_AVAILABILITY"),
        (50, "LARGE", "COMPLEX_SCORING"),
    ],
)
def test_the_pool_has_its_counts_and_what_its_size_means(total: int, size: str, algorithm: str) -> None:
    pool = model.PoolStatus(total, available=6, busy=7, offline=8, idle=1, with_slot=2, at_capacity=3)
    assert pool_status_message(pool) == admin_service_pb2.GetPoolStatusResponse(
        total_advisors=total,
        status_breakdown=admin_service_pb2.StatusBreakdown(available=6, busy=7, offline=8),
        workload_breakdown=admin_service_pb2.WorkloadBreakdown(idle=1, available=2, at_capacity=3),
        pool_size=f"POOL_SIZE_{size}",
        algorithm=f"MATCHING_ALGORITHM_{algorithm}",
    )


def test_every_enum_is_mapped_both_ways() -> None:
    for table in vars(enums).values():
        if isinstance(table, enums.EnumMap):
            for number, value in table.values.items():
                assert table.to_wire(value) == number
            assert table.to_wire(None) == 0


def test_enums_that_came_apart_stop_the_start() -> None:
    with pytest.raises(ValueError, match="Decision and Side differ"):
        enums.EnumMap(pb.Decision, model.Side)


def test_an_advisor_is_shown_with_what_is_left_in() -> None:
    advisor = model.Advisor(C, "Ada", languages=("go",), frameworks=("vue",), timezone="UTC", active=False)
    message = convert.advisor_message(advisor)
    assert not message.HasField("email")
    assert not message.HasField("rating")
    assert message.HasField("active")
    assert not message.active
    assert convert.advisor_message(replace(advisor, email="a@b.c", active=True)).email == "a@b.c"
    assert convert.advisor_page_message(PageOf((advisor,), None)).advisors == [message]


def test_a_project_without_complexity_reads_as_medium() -> None:
    message = convert.project_message(model.Project(A, D, "n"))
    assert message.project_complexity == pb.PROJECT_COMPLEXITY_MEDIUM
    assert not message.HasField("technology_stack")
    assert not message.HasField("owner_timezone")
    full = model.Project(
        A, D, "n", model.TechStack("vue"), model.ProjectComplexity.COMPLEX, "Europe/Berlin", "de"
    )
    assert convert.project_message(full) == pb.Project(
        id=str(A),
        owner_id=str(D),
        name="n",
        technology_stack=pb.TechStack(framework="vue"),
        project_complexity=pb.PROJECT_COMPLEXITY_COMPLEX,
        owner_timezone="Europe/Berlin",
        owner_locale="de",
    )


def test_availability_gives_its_reason() -> None:
    free = model.Availability(
        advisor_id=C,
        advisor_active=True,
        status=model.AvailabilityStatus.AVAILABLE,
        current_projects=1,
        max_concurrent_projects=3,
        preferences=model.AvailabilityPreferences(True, (model.ProjectComplexity.COMPLEX,), ("vue",)),
        last_active=None,
        updated_at=NOW,
    )
    message = convert.availability_message(free)
    assert message.is_available
    assert message.reason == ""
    assert not message.HasField("last_active")
    assert (message.current_capacity, message.max_capacity) == (1, 3)
    assert message.preferences.preferred_complexity == [pb.PROJECT_COMPLEXITY_COMPLEX]
    full = convert.availability_message(replace(free, current_projects=3, last_active=NOW))
    assert not full.is_available
    assert full.reason == "at_capacity"
    assert full.HasField("last_active")


RULE = PreferenceRule(
    id=A, advisor_id=C, effect=RuleEffect.EXCLUDE, created_by=D, created_at=datetime(9999, 1, 1, tzinfo=UTC)
)


def test_a_rule_has_what_it_says_and_nothing_else() -> None:
    message = rule_message(RULE)
    assert {field.name for field, _ in message.ListFields()} == {
        *("id", "advisor_id", "effect", "created_by", "created_at"),
    }
    assert (message.id, message.advisor_id, message.created_by) == (str(A), str(C), str(D))
    assert message.effect == pb.RULE_EFFECT_EXCLUDE
    assert message.created_at.ToDatetime(UTC) == RULE.created_at
    full = replace(RULE, effect=RuleEffect.BOOST, boost=-2.5, active_from=NOW, active_until=NOW, reason="so")
    said = rule_message(full)
    assert (said.effect, said.boost, said.reason) == (pb.RULE_EFFECT_BOOST, -2.5, "so")
    assert said.active_from.ToDatetime(UTC) == said.active_until.ToDatetime(UTC) == NOW


@pytest.mark.parametrize(
    ("scope", "shown"),
    [
        ({"project_id": B}, str(B)),
        ({"framework": "Vue"}, "Vue"),
        ({"complexity": model.ProjectComplexity.SIMPLE}, pb.PROJECT_COMPLEXITY_SIMPLE),
    ],
)
def test_a_rule_shows_the_one_scope_that_it_has(scope: dict[str, Any], shown: object) -> None:
    message = rule_message(replace(RULE, **scope))
    [name] = scope
    assert message.WhichOneof("scope") == name
    assert getattr(message, name) == shown
    page = rule_page_message(PageOf((RULE, replace(RULE, **scope)), (NOW, A)))
    assert [one.WhichOneof("scope") for one in page.rules] == [None, name]
    assert decode_page_token(page.next_page_token) == (NOW, A)


CHAT = events.ChatMessage(
    id=A,
    project_id=B,
    user_id=None,
    actor_type=model.ActorType.SYSTEM,
    message_type=model.ChatMessageType.SYSTEM,
    mode=model.ChatMode.PLAN,
    text="welcome",
    client_msg_id=None,
    response_data={
        "event_code": "advisor_joined",
        "advisor_id": str(C),
        "match_id": str(A),
        "timestamp": NOW.isoformat(),
    },
    seq=7,
    created_at=NOW,
)
PAYLOADS: list[tuple[EventType, events.EventPayload, str, dict[str, Any]]] = [
    (
        EventType.ACCEPTED,
        events.MatchPayload(A, model.MatchStatus.ADVISOR_ACCEPTED, C, "Ada", model.MatchStatus.MATCHED),
        "match",
        {"advisor_name": "Ada", "previous_status": pb.MATCH_STATUS_MATCHED, "reason": ""},
    ),
    (
        EventType.WORKSPACE_READY,
        events.WorkspaceReadyPayload(A, C, B, NOW),
        "workspace_ready",
        {"project_id": str(B)},
    ),
    (
        EventType.PROVISIONING_FAILED,
        events.ProvisioningFailedPayload(A, C, model.MatchStatus.MATCHED, "gone", 3),
        "provisioning_failed",
        {"reverted_to": pb.MATCH_STATUS_MATCHED, "attempts": 3},
    ),
    (EventType.RELEASED, events.ReleasedPayload(None, C, None), "released", {"advisor_id": str(C)}),
    (
        EventType.MESSAGE_NEW,
        CHAT,
        "message",
        {"mode": pb.CHAT_MODE_PLAN, "message_type": pb.CHAT_MESSAGE_TYPE_SYSTEM, "seq": 7},
    ),
]


@pytest.mark.parametrize(("type_", "payload", "field", "fields"), PAYLOADS)
def test_every_payload_has_its_field(
    type_: EventType, payload: events.EventPayload, field: str, fields: dict[str, Any]
) -> None:
    message = event_message(ProjectEvent(B, 7, type_, payload, None, "c", NOW), EPOCH)
    assert message.WhichOneof("payload") == field
    assert {name: getattr(getattr(message, field), name) for name in fields} == fields
    assert (message.type, message.seq, message.user_id) == (type_.value, 7, "system")
    assert decode_event_id(message.id, EPOCH, B) == 7
    assert event_message(ProjectEvent(B, 7, type_, payload, D, None, NOW), EPOCH).user_id == str(D)


def test_every_type_of_event_has_a_payload() -> None:
    assert {type(payload) for _, payload, _, _ in PAYLOADS} == set(events.EventPayload.__args__)


def test_a_chat_message_has_no_user_where_none_wrote() -> None:
    message = event_message(ProjectEvent(B, 7, EventType.MESSAGE_NEW, CHAT, None, None, NOW), EPOCH).message
    assert not message.HasField("user_id")
    assert message.response_data == pb.ChatResponseData(
        event_code="advisor_joined", advisor_id=str(C), match_id=str(A), timestamp=NOW
    )


def test_a_part_of_a_log_names_the_position_reached() -> None:
    event = ProjectEvent(B, 7, EventType.MESSAGE_NEW, CHAT, None, None, NOW)
    reached = encode_event_id(EPOCH, B, 9)
    assert event_page_message(EventPage((event,), EPOCH, reached)) == ListProjectEventsResponse(
        events=[event_message(event, EPOCH)], last_event_id=reached
    )
    assert event_page_message(EventPage((), EPOCH, reached)).last_event_id == reached


def test_a_page_of_the_chat_goes_on_where_it_ends() -> None:
    said = replace(CHAT, user_id=D, client_msg_id=str(C), response_data=None, mode=model.ChatMode.BUILD)
    assert sent_message(SentMessage(said, already_sent=True)) == SendMessageResponse(
        message=chat_message(said), already_sent=True
    )
    message = chat_message(said)
    assert (message.user_id, message.client_msg_id, message.mode) == (str(D), str(C), pb.CHAT_MODE_BUILD)
    assert not message.HasField("response_data")
    for order in model.MessageOrder:
        page = message_page(MessagePage((said, CHAT), 7), ListMessages(B, order))
        assert list(page.messages) == [message, chat_message(CHAT)]
        assert decode_message_token(page.next_page_token, B, order) == 7
        assert message_page(MessagePage((said,), None), ListMessages(B, order)).next_page_token == ""


def test_a_heartbeat_is_no_entry_of_the_log() -> None:
    last = encode_event_id(EPOCH, B, 0)
    message = heartbeat_message(B, last, NOW)
    assert (message.id, message.seq, message.type) == ("", 0, "heartbeat")
    assert message.heartbeat.last_event_id == last


def ranked(pool_size: int) -> dict[str, Any]:
    pool = [
        scoring.PoolAdvisor(
            model.AdvisorSummary(UUID(int=n), f"a{n}"),
            active=True,
            status=model.AvailabilityStatus.BUSY if n == 1 else model.AvailabilityStatus.AVAILABLE,
            current_projects=0,
            max_concurrent_projects=3,
            last_assigned_at=NOW if n == 2 else None,
        )
        for n in range(1, pool_size + 1)
    ]
    request = scoring.RankingRequest(
        owner_id=UUID(int=1000),
        tech_stack=model.TechStack(),
        complexity=model.ProjectComplexity.MEDIUM,
        weights=model.ScoringWeights(40, 35, 15, 10),
        owner_timezone=None,
    )
    ranking = scoring.rank(scoring.Pool(pool), request, NOW, 6)
    return scoring.explain(ranking, ranking.candidates[0]) | {"load_at_claim": 0, "slots_at_claim": 3}


def test_a_scored_choice_is_explained_with_its_numbers() -> None:
    record = ranked(50)
    message = explanation_message(record)
    assert message.algorithm == pb.MATCHING_ALGORITHM_COMPLEX_SCORING
    assert message.pool_size == pb.POOL_SIZE_LARGE
    assert message.weights.availability == 40
    assert message.chosen.rank == 1
    assert message.chosen.score == record["chosen"]["score_hundredths"] / 100
    assert message.chosen.features.timezone == 0.5
    assert not message.chosen.features.HasField("last_assigned_at")
    assert [candidate.rank for candidate in message.runners_up] == [2, 3, 4, 5, 6]
    assert list(message.exclusions) == [pb.ExclusionCount(reason=pb.EXCLUSION_REASON_BUSY, count=1)]
    assert message.inputs_digest == scoring.inputs_digest(record)
    assert (message.load_at_claim, message.slots_at_claim) == (0, 3)
    assert message.HasField("load_at_claim")
    assert message.decided_at.ToDatetime(UTC) == NOW


def test_a_simple_choice_has_neither_weights_nor_scores() -> None:
    message = explanation_message(ranked(3))
    assert message.algorithm == pb.MATCHING_ALGORITHM_SIMPLE_AVAILABILITY
    assert message.pool_size == pb.POOL_SIZE_SMALL
    assert not message.HasField("weights")
    assert not message.chosen.HasField("score")
    assert not message.chosen.features.HasField("skills")
    assert message.chosen.features.slots == 3


@pytest.mark.parametrize("record", [{}, {"decided_at": NOW.isoformat()}, {"algorithm": None, "chosen": None}])
def test_a_choice_that_nobody_ranked_leaves_it_unset(record: dict[str, Any]) -> None:
    message = explanation_message(record)
    assert message.algorithm == pb.MATCHING_ALGORITHM_UNSPECIFIED
    assert not message.HasField("chosen")
    assert not message.HasField("load_at_claim")


def test_pool_sizes_have_their_bounds() -> None:
    assert [pool_size_word(n) for n in (0, 9, 10, 49, 50)] == ["small", "small", "medium", "medium", "large"]


NOTIFICATION = Notification(
    id=A,
    type="match_offered",
    recipient_id=B,
    priority=NotificationPriority.HIGH,
    payload={"matchId": str(C), "advisorName": None, "deep": {"list": [1, "x", True]}},
    status=NotificationStatus.PENDING,
    attempt_count=2,
    next_attempt_at=NOW,
    last_error="webhook: answered 500",
    created_at=NOW - timedelta(hours=1),
)


def test_a_notification_has_everything() -> None:
    message = notification_message(NOTIFICATION)
    assert {field.name for field, _ in message.ListFields()} == set(pb.Notification.DESCRIPTOR.fields_by_name)
    assert (message.id, message.recipient_id, message.type) == (str(A), str(B), "match_offered")
    assert message.priority == pb.NOTIFICATION_PRIORITY_HIGH
    assert message.status == pb.NOTIFICATION_STATUS_PENDING
    assert message.payload["matchId"] == str(C)
    assert message.payload["deep"]["list"][2] is True  # type: ignore[index]
    assert (message.attempt_count, message.last_error) == (2, "webhook: answered 500")
    assert message.next_attempt_at.ToDatetime(UTC) == NOW


def test_a_notification_that_was_sent_at_once_leaves_the_rest_unset() -> None:
    sent = replace(
        NOTIFICATION, status=NotificationStatus.SENT, next_attempt_at=None, last_error=None, payload={}
    )
    message = notification_message(sent)
    assert not message.HasField("next_attempt_at")
    assert message.last_error == ""
    page = notification_page_message(PageOf((sent,), (NOW, A)))
    assert list(page.notifications) == [message]
    assert decode_page_token(page.next_page_token) == (NOW, A)
