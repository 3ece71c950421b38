from __future__ import annotations

import inspect
import re
from datetime import timedelta

import pytest
from google.protobuf.descriptor import MethodDescriptor
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
from tests.unit.client.scripted import ScriptedServer

UNARY = [method for method in methods() if not method.server_streaming]
VALUES = {
    "decision": "DECISION_APPROVED",
    "project": Project(id="p"),
    "advisor": Advisor(id="a"),
    "rule": PreferenceRule(id="r"),
}


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
