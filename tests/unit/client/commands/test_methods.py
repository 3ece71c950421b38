"""Every method of the contract has a command, which calls it with what its options said."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import typer
from google.protobuf import json_format, message_factory

from advisor_matching.v1.directory_service_pb2 import GetProjectResponse
from advisor_matching.v1.match_service_pb2 import GetMatchResponse
from advisor_matching.v1.types_pb2 import AdvisorSummary, Match, Project
from matching_client.catalog import find_method, methods, path_of
from matching_client.cli import app
from matching_client.commands.call import OPERATOR
from tests.support.command import matching, ok
from tests.unit.client.scripted import GET_MATCH, ScriptedServer, answer, event, stream

A = "11111111-1111-4111-8111-111111111111"
B = "22222222-2222-4222-8222-222222222222"
GET_PROJECT = "/advisor_matching.v1.DirectoryService/GetProject"

LINES: dict[str, tuple[str, dict[str, Any]]] = {
    "MatchService/CreateMatch": (
        f"matches create {A} --framework react --language go --language sql --factor maps --complexity simple"
        f" --exclude {B} --weight skills=2 --expires-in 1h30m --fail-if-open --require-immediate"
        f" --allow-previous --request-id {B}",
        {
            "projectId": A,
            "criteria": {
                "techStack": {
                    "framework": "react",
                    "languages": ["go", "sql"],
                    "complexityFactors": ["maps"],
                },
                "scoringWeights": {"skills": 2.0},
                "projectComplexity": "PROJECT_COMPLEXITY_SIMPLE",
                "excludeAdvisorIds": [B],
            },
            "expiresIn": "5400s",
            "failIfOpen": True,
            "requireImmediate": True,
            "allowPrevious": True,
            "requestId": B,
        },
    ),
    "MatchService/GetMatch": (f"matches get {A}", {"matchId": A}),
    "MatchService/ListProjectMatches": (
        f"matches list {A} --status pending --status client-approved --page-size 3 --page-token t",
        {
            "projectId": A,
            "statuses": ["MATCH_STATUS_PENDING", "MATCH_STATUS_CLIENT_APPROVED"],
            "pageSize": 3,
            "pageToken": "t",
        },
    ),
    "MatchService/ListClaimableMatches": (f"matches claimable --user-id {B} --page-size 3", {"pageSize": 3}),
    "MatchService/ClaimMatch": (f"matches claim {A} --user-id {B}", {"matchId": A}),
    "DecisionService/SubmitClientDecision": (
        f"decide client {A} approved --reason so --etag e --user-id {B}",
        {"matchId": A, "decision": "DECISION_APPROVED", "reason": "so", "etag": "e"},
    ),
    "DecisionService/SubmitAdvisorDecision": (
        f"decide advisor {A} DECLINED --user-id {B}",
        {"matchId": A, "decision": "DECISION_DECLINED"},
    ),
    "AvailabilityService/UpdateAvailability": (
        f"availability set {A} --status busy --slots 4 --auto-accept --likes-complexity complex"
        " --likes-framework vue --decline-open-offers",
        {
            "advisorId": A,
            "status": "AVAILABILITY_STATUS_BUSY",
            "maxConcurrentProjects": 4,
            "preferences": {
                "autoAccept": True,
                "preferredComplexity": ["PROJECT_COMPLEXITY_COMPLEX"],
                "preferredFrameworks": ["vue"],
            },
            "declineOpenOffers": True,
        },
    ),
    "AvailabilityService/GetAvailability": (f"availability get --user-id {B}", {}),
    "DirectoryService/UpsertProject": (
        f"projects add --id {A} --name n --owner-id {B} --framework vue --language go --factor maps"
        " --complexity medium --timezone UTC --locale en",
        {
            "project": {
                # Nor have its projects.
                "ownerId": B,
                "name": "n",
                "technologyStack": {
                    "framework": "vue",
                    "languages": ["go"],
                    "complexityFactors": ["maps"],
                },
                "projectComplexity": "PROJECT_COMPLEXITY_MEDIUM",
                "ownerTimezone": "UTC",
                "ownerLocale": "en",
            }
        },
    ),
    "DirectoryService/GetProject": (f"projects get {A}", {"projectId": A}),
    "DirectoryService/UpsertAdvisor": (
        f"advisors add {A} --name n --profile-email a@example.com --skill s --specialty p --language go"
        " --framework vue --timezone UTC --rating 4.5 --avatar-url https://example.com/a --no-active",
        {
            "advisor": {
                # What is there already stays as it is: the scripted server's advisors have no id.
                "displayName": "n",
                "email": "a@example.com",
                "skills": ["s"],
                "specialties": ["p"],
                "languages": ["go"],
                "frameworks": ["vue"],
                "timezone": "UTC",
                "rating": 4.5,
                "avatarUrl": "https://example.com/a",
                "active": False,
            }
        },
    ),
    "DirectoryService/GetAdvisor": (f"advisors get {A}", {"advisorId": A}),
    "DirectoryService/ListAdvisors": (
        "advisors list --skill s --framework vue --taken",
        {"skill": "s", "framework": "vue", "available": False},
    ),
    "DirectoryService/DeactivateAdvisor": (
        f"advisors deactivate {A} --reason so",
        {"advisorId": A, "reason": "so"},
    ),
    "ChatService/SendMessage": (
        f"chat send {A} hello --mode plan --as system --client-msg-id {B}",
        {
            "projectId": A,
            "text": "hello",
            "clientMsgId": B,
            "mode": "CHAT_MODE_PLAN",
            "actorType": "ACTOR_TYPE_SYSTEM",
        },
    ),
    "ChatService/ListMessages": (
        f"chat list {A} --order oldest_first",
        {"projectId": A, "order": "MESSAGE_ORDER_OLDEST_FIRST"},
    ),
    "EventService/ListProjectEvents": (
        f"events list {A} --after e --page-size 2",
        {"projectId": A, "afterEventId": "e", "pageSize": 2},
    ),
    "EventService/WatchProjectEvents": (
        f"watch {A} --since e --type message.new --until advisor.matched",
        {"projectId": A, "lastEventId": "e", "types": ["message.new", "advisor.matched"]},
    ),
    "AdminService/AssignAdvisor": (
        f"admin assign {A} {B} --type emergency --role consultant --reason so --request-id {A}",
        {
            "projectId": A,
            "advisorId": B,
            "assignmentType": "ASSIGNMENT_TYPE_EMERGENCY",
            "role": "WORKSPACE_ROLE_CONSULTANT",
            "reason": "so",
            "requestId": A,
        },
    ),
    "AdminService/ReleaseAdvisor": (
        f"admin release {A} {B} --reason so",
        {"projectId": A, "advisorId": B, "reason": "so"},
    ),
    "AdminService/GetPoolStatus": ("admin pool", {}),
    "AdminService/SimulateMatch": (
        f"admin simulate {A} --framework vue --limit 7",
        {"projectId": A, "criteria": {"techStack": {"framework": "vue"}}, "limit": 7},
    ),
    "AdminService/ExplainMatch": (f"admin explain {A}", {"matchId": A}),
    "AdminService/CreatePreferenceRule": (
        f"admin rules add {A} boost --boost 5 --framework vue --from 2030-01-01T00:00:00Z"
        f" --until 2031-01-01T00:00:00+01:00 --reason so --request-id {B}",
        {
            "rule": {
                "advisorId": A,
                "effect": "RULE_EFFECT_BOOST",
                "boost": 5.0,
                "framework": "vue",
                "activeFrom": "2030-01-01T00:00:00Z",
                "activeUntil": "2030-12-31T23:00:00Z",
                "reason": "so",
            },
            "requestId": B,
        },
    ),
    "AdminService/ListPreferenceRules": ("admin rules list --page-size 1", {"pageSize": 1}),
    "AdminService/DeletePreferenceRule": (f"admin rules delete {A}", {"ruleId": A}),
    "AdminService/GetProvisioningStats": ("admin provisioning stats --window 7d", {"window": "604800s"}),
    "AdminService/ListProvisioningJobs": (
        "admin provisioning jobs --status rollback_needed",
        {"statuses": ["PROVISIONING_JOB_STATUS_ROLLBACK_NEEDED"]},
    ),
    "AdminService/RetryProvisioning": (
        f"admin provisioning retry {A} --request-id {B}",
        {"matchId": A, "requestId": B},
    ),
    "AdminService/ListInterventions": (
        f"admin interventions --project {A} --match {B} --type t",
        {"projectId": A, "matchId": B, "interventionType": "t"},
    ),
    "AdminService/ListNotifications": (
        f"admin notifications list --status dead --type t --recipient {A}",
        {"statuses": ["NOTIFICATION_STATUS_DEAD"], "type": "t", "recipientId": A},
    ),
    "AdminService/ResendNotification": (f"admin notifications resend {A}", {"notificationId": A}),
    "AdminService/AuditInvariants": ("admin audit", {}),
    "AdminService/RepairInvariants": (
        f"admin repair one two --request-id {A}",
        {"invariants": ["one", "two"], "requestId": A},
    ),
    "SystemService/GetServiceInfo": ("info", {}),
}
"""A command line for every method, and the request that it makes."""


def commands(group: typer.Typer = app) -> Iterator[str]:
    """The methods that the commands say they call, those of groups in groups included."""
    for made in group.registered_commands:
        yield getattr(made.callback, "method", "")
    for below in group.registered_groups:
        assert below.typer_instance is not None
        yield from commands(below.typer_instance)


def test_every_method_of_the_contract_has_exactly_one_command() -> None:
    contract = {f"{method.containing_service.name}/{method.name}" for method in methods()}
    assert Counter(method for method in commands() if method) == Counter(contract)
    assert set(LINES) == contract


@pytest.mark.parametrize("method", LINES)
def test_a_command_calls_its_method_with_what_was_said(method: str, server: ScriptedServer) -> None:
    line, request = LINES[method]
    found = find_method(method)
    if found.server_streaming:
        server.script(path_of(found), stream(event(1), hold=True))
    ok(*line.split())
    received = server.of(path_of(found))
    sent: Any = message_factory.GetMessageClass(found.input_type).FromString(received[-1].body)
    said = json_format.MessageToDict(sent)
    for made_up in {"requestId", "clientMsgId", "watchId"} - set(request):
        said.pop(made_up, None)
    assert said == request
    json.loads(ok(*line.split(), "--json").out)


def test_without_a_person_an_operator_calls(server: ScriptedServer) -> None:
    ok("matches", "get", A)
    assert _claims(server) == (str(OPERATOR), ["admin", "service"])


def test_a_person_who_is_named_calls_as_a_person(server: ScriptedServer) -> None:
    ok("--user-id", A, "matches", "get", A)
    assert _claims(server) == (A, ["client", "advisor"])
    ok("--user-id", A, "matches", "get", A, "--roles", "service, admin", "--user-id", B)
    assert _claims(server) == (B, ["service", "admin"])


def test_the_environment_names_a_person_and_options_go_over_it(
    server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MATCHING_USER_ID", A)
    monkeypatch.setenv("MATCHING_ROLES", "client")
    ok("matches", "get", A)
    assert _claims(server) == (A, ["client"])
    ok("--user-id", B, "matches", "get", A, "--roles", "advisor")
    assert _claims(server) == (B, ["advisor"])


@pytest.mark.parametrize(
    ("side", "who", "role"), [("client", A, "client"), ("advisor", B, "advisor")], ids=["client", "advisor"]
)
def test_a_decision_without_a_person_is_that_of_whom_it_is_up_to(
    side: str, who: str, role: str, server: ScriptedServer
) -> None:
    match = Match(project_id=A, matched_advisor=AdvisorSummary(id=B))
    server.script(GET_MATCH, answer(GetMatchResponse(match=match)))
    server.script(GET_PROJECT, answer(GetProjectResponse(project=Project(owner_id=A))))
    done = ok("decide", side, A, "approved")
    assert _claims(server) == (who, [role])
    assert f"acting as the {'project' if side == 'client' else 'advisor'}" in done.err
    assert who in done.err


def test_an_advisor_s_decision_on_what_is_offered_to_nobody_is_refused_before_the_call(
    server: ScriptedServer,
) -> None:
    done = matching("decide", "advisor", A, "approved")
    assert (done.code, "offered to nobody" in done.err) == (2, True)
    assert [call.method for call in server.received] == [GET_MATCH]


def test_what_is_there_stays_where_a_project_is_changed(server: ScriptedServer) -> None:
    there = Project(id=A, owner_id=B, name="old", owner_timezone="UTC")
    there.technology_stack.framework = "vue"
    there.technology_stack.languages.append("go")
    server.script(GET_PROJECT, answer(GetProjectResponse(project=there)))
    ok("projects", "add", "--id", A, "--language", "rust")
    [call] = server.of("/advisor_matching.v1.DirectoryService/UpsertProject")
    sent: Any = message_factory.GetMessageClass(
        find_method("DirectoryService/UpsertProject").input_type
    ).FromString(call.body)
    assert (sent.project.name, sent.project.owner_id, sent.project.owner_timezone) == ("old", B, "UTC")
    assert sent.project.technology_stack.framework == "vue"
    assert list(sent.project.technology_stack.languages) == ["rust"]


def _claims(server: ScriptedServer) -> tuple[str, list[str]]:
    claims = json.loads(str(server.received[-1].metadata["x-sheen-claims"]))
    return claims["userId"], claims["roles"]
