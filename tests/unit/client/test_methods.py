from __future__ import annotations

import inspect
import re
from datetime import timedelta
from typing import Any

import pytest
from google.protobuf import json_format
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from advisor_matching.v1.admin_service_pb2 import GetProvisioningStatsRequest
from advisor_matching.v1.availability_service_pb2 import UpdateAvailabilityRequest
from advisor_matching.v1.directory_service_pb2 import ListAdvisorsRequest
from advisor_matching.v1.match_service_pb2 import CreateMatchRequest, ListProjectMatchesRequest
from advisor_matching.v1.types_pb2 import (
    AVAILABILITY_STATUS_BUSY,
    MATCH_STATUS_MATCHED,
    MATCH_STATUS_PENDING,
    Advisor,
    MatchCriteria,
    PreferenceRule,
    Project,
)
from matching_client import MatchingClient
from matching_client.catalog import find_method, methods, path_of
from tests.support.on_loop import Connect, on_loop
from tests.unit.client.scripted import Received, ScriptedServer, answer

UNARY = [method for method in methods() if not method.server_streaming]
VALUES = {
    "decision": "DECISION_APPROVED",
    "project": Project(id="p"),
    "advisor": Advisor(id="a"),
    "rule": PreferenceRule(id="r"),
}


@pytest.fixture(params=[MatchingClient, on_loop], ids=["sync", "async"])
def connect(request: pytest.FixtureRequest) -> Connect:
    """Either client."""
    made: Connect = request.param
    return made


def snake_case(name: str) -> str:
    return re.sub(r"(?<!^)([A-Z])", r"_\1", name).lower()


@pytest.mark.parametrize("method", UNARY, ids=lambda method: str(method.name))
def test_every_method_of_the_contract_is_there(
    client: MatchingClient, server: ScriptedServer, method: MethodDescriptor
) -> None:
    """Its arguments are the request's fields; it gives the response, or the response's only field."""
    call = getattr(client, snake_case(method.name))
    parameters = inspect.signature(call).parameters
    assert set(parameters) - {"options"} == set(method.input_type.fields_by_name)
    assert call.__doc__
    required = {
        name: VALUES.get(name, f"a {name}")
        for name, parameter in parameters.items()
        if parameter.default is parameter.empty and name != "options"
    }
    result = call(**required, timeout=5.0)
    [received] = server.received
    assert received.method == path_of(method)
    assert received.body == GetMessageClass(method.input_type)(**required).SerializeToString() or any(
        name in method.input_type.fields_by_name for name in ("request_id", "client_msg_id")
    )
    empty = GetMessageClass(method.output_type)()
    fields = list(method.output_type.fields)
    if len(fields) > 1:
        assert result == empty
    else:
        assert result == (getattr(empty, fields[0].name) if fields else None)


def test_the_watch_is_the_only_stream() -> None:
    assert [method.name for method in methods() if method.server_streaming] == ["WatchProjectEvents"]


def test_arguments_arrive_in_their_fields(client: MatchingClient, server: ScriptedServer) -> None:
    client.create_match(
        "p",
        criteria=MatchCriteria(exclude_advisor_ids=["x"]),
        expires_in=timedelta(hours=1),
        fail_if_open=True,
        require_immediate=True,
        allow_previous=True,
        request_id="r",
    )
    client.list_project_matches("p", statuses=[MATCH_STATUS_PENDING, "MATCH_STATUS_MATCHED"], page_size=7)
    client.update_availability(status=AVAILABILITY_STATUS_BUSY, max_concurrent_projects=2)
    client.get_provisioning_stats(window=timedelta(seconds=90))
    bodies = [call.body for call in server.received]
    assert CreateMatchRequest.FromString(bodies[0]) == CreateMatchRequest(
        project_id="p",
        criteria={"exclude_advisor_ids": ["x"]},
        expires_in={"seconds": 3600},
        fail_if_open=True,
        require_immediate=True,
        allow_previous=True,
        request_id="r",
    )
    assert ListProjectMatchesRequest.FromString(bodies[1]) == ListProjectMatchesRequest(
        project_id="p", statuses=[MATCH_STATUS_PENDING, MATCH_STATUS_MATCHED], page_size=7
    )
    assert UpdateAvailabilityRequest.FromString(bodies[2]) == UpdateAvailabilityRequest(
        status=AVAILABILITY_STATUS_BUSY, max_concurrent_projects=2
    )
    assert GetProvisioningStatsRequest.FromString(bodies[3]).window.seconds == 90


@pytest.mark.parametrize("word", ["busy", "Busy", "availability_status_busy", "AVAILABILITY_STATUS_BUSY", 2])
def test_an_enum_is_said_in_a_word_in_any_case_or_as_its_value(
    client: MatchingClient, server: ScriptedServer, word: str
) -> None:
    client.update_availability(status=word)
    assert UpdateAvailabilityRequest.FromString(server.received[0].body).status == AVAILABILITY_STATUS_BUSY


def test_every_enum_argument_takes_words(client: MatchingClient, server: ScriptedServer) -> None:
    client.submit_client_decision("m", "approved")
    client.submit_advisor_decision("m", "declined")
    client.list_project_matches("p", statuses=["pending", "MATCHED"])
    client.send_message("p", "t", mode="plan", actor_type="assistant", client_msg_id="c")
    client.list_messages("p", order="oldest_first")
    client.assign_advisor("p", "a", assignment_type="emergency", role="consultant", request_id="r")
    client.list_provisioning_jobs(statuses=["rollback_needed"])
    client.list_notifications(statuses=["dead"])
    assert [parsed(call) for call in server.received] == [
        {"match_id": "m", "decision": "DECISION_APPROVED"},
        {"match_id": "m", "decision": "DECISION_DECLINED"},
        {"project_id": "p", "statuses": ["MATCH_STATUS_PENDING", "MATCH_STATUS_MATCHED"]},
        {
            "project_id": "p",
            "text": "t",
            "mode": "CHAT_MODE_PLAN",
            "actor_type": "ACTOR_TYPE_ASSISTANT",
            "client_msg_id": "c",
        },
        {"project_id": "p", "order": "MESSAGE_ORDER_OLDEST_FIRST"},
        {
            "project_id": "p",
            "advisor_id": "a",
            "assignment_type": "ASSIGNMENT_TYPE_EMERGENCY",
            "role": "WORKSPACE_ROLE_CONSULTANT",
            "request_id": "r",
        },
        {"statuses": ["PROVISIONING_JOB_STATUS_ROLLBACK_NEEDED"]},
        {"statuses": ["NOTIFICATION_STATUS_DEAD"]},
    ]


def parsed(call: Received) -> dict[str, object]:
    """The request as JSON."""
    request = GetMessageClass(find_method(call.method).input_type).FromString(call.body)
    return dict(json_format.MessageToDict(request, preserving_proto_field_name=True))


@pytest.mark.parametrize("word", ["maybe", "", "decision_", 7, -1])
def test_a_word_that_is_none_is_refused_with_those_that_are(
    client: MatchingClient, server: ScriptedServer, word: str
) -> None:
    with pytest.raises(
        ValueError, match=re.escape(f"{word!r} is no Decision; it is one of approved, declined")
    ):
        client.submit_client_decision("m", word)
    assert server.received == []


def test_a_misspelt_argument_does_not_pass_for_an_option(client: MatchingClient) -> None:
    anyhow: Any = client
    for call in anyhow.create_match, anyhow.watch, anyhow.list_project_events:
        with pytest.raises(TypeError, match="unexpected keyword argument 'require_immedate'"):
            call("6d0f6f2e-7a6e-4a35-9b0a-111111111111", require_immedate=True)


def test_a_lone_word_is_no_list_of_words(client: MatchingClient) -> None:
    with pytest.raises(TypeError, match="not the string 'pending'"):
        client.list_project_matches("p", statuses="pending")


PAGED: dict[str, tuple[str, dict[str, Any]]] = {
    "iter_project_matches": ("matches", {"project_id": "p", "statuses": ["pending"]}),
    "iter_claimable_matches": ("matches", {}),
    "iter_preference_rules": ("rules", {}),
    "iter_provisioning_jobs": ("jobs", {"statuses": ["failed"]}),
    "iter_interventions": ("interventions", {"match_id": "m", "intervention_type": "t", "project_id": "p"}),
    "iter_notifications": ("notifications", {"statuses": ["dead"], "type": "t", "recipient_id": "r"}),
    "iter_messages": ("messages", {"project_id": "p", "order": "oldest_first"}),
    "iter_advisors": ("advisors", {"skill": "s", "framework": "f", "available": False}),
    "iter_project_events": ("events", {"project_id": "p"}),
}


def test_every_list_can_be_iterated_with_the_arguments_of_its_pages() -> None:
    for lists in (name for name in dir(MatchingClient) if name.startswith("list_")):
        iterates = lists.replace("list_", "iter_")
        assert iterates in PAGED
        page, whole = (inspect.signature(getattr(MatchingClient, name)) for name in (lists, iterates))
        assert set(page.parameters) - set(whole.parameters) <= {"page_token"}
        for name, parameter in whole.parameters.items():
            assert parameter == page.parameters[name]


@pytest.mark.parametrize("name", PAGED)
def test_rows_come_page_after_page_as_they_are_needed(
    client: MatchingClient, server: ScriptedServer, name: str
) -> None:
    field, arguments = PAGED[name]
    [method] = [one for one in UNARY if snake_case(one.name) == name.replace("iter_", "list_")]
    token = "last_event_id" if field == "events" else "next_page_token"
    pages: list[Message] = [
        GetMessageClass(method.output_type)(**{field: [{"id": row} for row in rows], token: after})
        for rows, after in ((["1", "2"], "t1"), (["3"], "t2"), ([], "t3" if field == "events" else ""))
    ]
    server.script(path_of(method), *map(answer, pages))
    rows = getattr(client, name)(page_size=2, correlation_id="c", **arguments)
    assert server.received == []
    assert [next(rows).id, next(rows).id] == ["1", "2"]
    assert len(server.received) == 1
    assert [row.id for row in rows] == ["3"]
    asked = [parsed(call) for call in server.received]
    key = "after_event_id" if field == "events" else "page_token"
    assert [request.pop(key, "") for request in asked] == ["", "t1", "t2"]
    assert asked[0] == asked[1] == asked[2]
    assert asked[0].keys() == {*arguments, "page_size"}
    assert {call.metadata["x-correlation-id"] for call in server.received} == {"c"}


def test_what_is_left_out_stays_unset(client: MatchingClient, server: ScriptedServer) -> None:
    client.update_availability()
    client.list_advisors()
    client.list_advisors(available=False)
    client.get_provisioning_stats()
    bodies = [call.body for call in server.received]
    assert not UpdateAvailabilityRequest.FromString(bodies[0]).HasField("max_concurrent_projects")
    assert [ListAdvisorsRequest.FromString(body).HasField("available") for body in bodies[1:3]] == [
        False,
        True,
    ]
    assert bodies[3] == b""


@pytest.mark.parametrize(
    "name",
    [
        "MatchService/GetMatch",
        "MatchService.GetMatch",
        "advisor_matching.v1.MatchService/GetMatch",
        "/advisor_matching.v1.MatchService/GetMatch",
    ],
)
def test_a_method_is_found_by_its_names(name: str) -> None:
    assert path_of(find_method(name)) == "/advisor_matching.v1.MatchService/GetMatch"


@pytest.mark.parametrize(
    "name",
    ["", "GetMatch", "MatchService/getMatch", "MatchService/Nothing", "other.v1.MatchService/GetMatch"],
)
def test_no_other_name_finds_a_method(name: str) -> None:
    with pytest.raises(ValueError, match="no method"):
        find_method(name)
