"""What every call goes through: who may call, what is refused, and what comes back with a refusal."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from typing import Any

import grpc
import pytest
from google.protobuf import json_format, message_factory
from google.protobuf.descriptor import FieldDescriptor, MethodDescriptor

from matching_client import (
    Claims,
    InvalidArgument,
    MalformedRequest,
    MatchingError,
    PermissionDenied,
    ProjectNotFound,
    Unauthenticated,
)
from matching_client.catalog import find_method, methods, path_of
from matching_client.signing import CORRELATION_HEADER
from matching_server.rpc.access import ACCESS
from tests.support.contract import SIGNED, in_order, name_of
from tests.support.parties import Service, refused
from tests.support.raw import Metadata, answer, open_stream, sign

ROLES = ("client", "advisor", "service", "admin")
GET = "MatchService/GetMatch"
ID = "3f1c2a6e-8f0b-4b0e-9a44-0d0a4f4f7a11"


@pytest.fixture
def channel(service: Service) -> Iterator[grpc.Channel]:
    """A connection that signs nothing."""
    with grpc.insecure_channel(service.connection.address) as channel:
        yield channel


def somebody(*roles: str) -> Claims:
    """Claims of nobody in particular."""
    return Claims(str(uuid.uuid4()), roles=roles)


def test_every_method_is_there_and_open_to_its_roles_alone(service: Service, channel: grpc.Channel) -> None:
    codes = {}
    for method in SIGNED:
        for role in ROLES:
            call = sign(service.endpoint, somebody(role), path_of(method), in_order(method))
            stream = open_stream(channel, call.path, call.body, call.headers)
            codes[name_of(method), role] = _code(stream)
    assert grpc.StatusCode.UNIMPLEMENTED not in codes.values()
    assert {asked for asked, code in codes.items() if code is not grpc.StatusCode.PERMISSION_DENIED} == {
        (f"{name}.{method}", role.value)
        for name, by_method in ACCESS.items()
        for method, access in by_method.items()
        for role in access or ()
    }


def test_who_is_refused_for_their_role_is_told_which_it_takes(service: Service) -> None:
    for roles, has in (("advisor",), "advisor"), (("visitor",), "none of the roles"):
        error = refused(lambda: service.stranger(*roles).create_match(ID))  # noqa: B023
        assert isinstance(error, PermissionDenied)
        assert error.message == f"CreateMatch is for admin, client, service; the caller has {has}"


LISTS = [
    (method, field)
    for method in SIGNED
    for field in method.input_type.fields
    if field.is_repeated and field.message_type is None
]


@pytest.mark.parametrize(
    ("method", "field"), LISTS, ids=[f"{name_of(method)} {field.name}" for method, field in LISTS]
)
def test_a_list_without_end_is_refused_by_its_length(
    service: Service, channel: grpc.Channel, method: MethodDescriptor, field: FieldDescriptor
) -> None:
    request = in_order(method)
    good = {"types": "advisor.matched", "invariants": "load_is_counted"}.get(field.name, 1)
    getattr(request, field.name).extend([good] * 20_000)
    role = "admin" if name_of(method).startswith("Admin") else "service"
    call = sign(service.endpoint, somebody(role), path_of(method), request)
    refusal = open_stream(channel, call.path, call.body, call.headers)
    assert _code(refusal) is grpc.StatusCode.INVALID_ARGUMENT
    assert "has more than 50 entries" in refusal.details()


def _code(call: Any) -> grpc.StatusCode:
    try:
        next(call)
    except grpc.RpcError:
        return call.code()  # type: ignore[no-any-return]
    call.cancel()
    return grpc.StatusCode.OK


def test_a_signature_with_a_fault_is_refused_with_its_name(service: Service, channel: grpc.Channel) -> None:
    good = sign(service.endpoint, somebody("client"), path_of(find_method(GET)), b"")
    claims, signature = good.headers
    wrong_end = "0" if signature[1][-1] != "0" else "1"
    headers: Mapping[str, Metadata] = {
        "SIGNATURE_INVALID": (),
        "SIGNATURE_INVALID (half)": (claims,),
        "SIGNATURE_INVALID (twice)": (claims, signature, signature),
        "SIGNATURE_INVALID (other)": (claims, (signature[0], signature[1][:-1] + wrong_end)),
        "SIGNATURE_INVALID (key)": (claims, (signature[0], signature[1].replace("kid=", "kid=x"))),
        "CLAIMS_MALFORMED": sign(
            service.endpoint, Claims("nobody", roles=["client"]), good.path, b""
        ).headers,
        "CLAIMS_EXPIRED": sign(service.endpoint, Claims(ID, expires=1), good.path, b"").headers,
    }
    for fault, sent in headers.items():
        error = refused(lambda sent=sent: answer(channel, good.path, b"", sent))  # type: ignore[misc]
        assert isinstance(error, Unauthenticated), fault
        assert error.detail == fault.split()[0], fault


def test_the_service_says_who_it_is_to_anybody(service: Service, channel: grpc.Channel) -> None:
    said, _ = answer(channel, path_of(find_method("SystemService/GetServiceInfo")), b"")
    assert said
    info = service.platform.get_service_info()
    assert (info.service, info.status) == ("advisor-matching", "healthy")
    assert info.feature_flags.auto_provision
    assert info.version


def test_every_answer_carries_the_correlation_id_refusals_too(
    service: Service, channel: grpc.Channel
) -> None:
    project = service.new_project()
    method = find_method("DirectoryService/GetProject")
    for given, kept in (("who-asked.1", True), ("not proper!", False)):
        headers = ((CORRELATION_HEADER, given),)
        call = sign(
            service.endpoint,
            somebody("service"),
            path_of(method),
            _request(method.name, project_id=project.id),
        )
        _, metadata = answer(channel, call.path, call.body, call.headers + headers)
        assert (metadata[CORRELATION_HEADER] == given) is kept
        assert metadata[CORRELATION_HEADER]
    error = refused(lambda: service.platform.get_project(ID, correlation_id="who-asked.2"))
    assert isinstance(error, ProjectNotFound)
    assert error.correlation_id == "who-asked.2"
    assert (error.metadata, error.field_violations, error.retry_after) == ({}, (), None)
    assert ID in error.message


def test_bytes_that_are_no_request_are_refused(service: Service, channel: grpc.Channel) -> None:
    for name in (GET, "EventService/WatchProjectEvents"):
        call = sign(service.endpoint, somebody("client"), path_of(find_method(name)), b"\xff\xff")
        with pytest.raises(MatchingError) as error:
            call.open(channel)
        assert isinstance(error.value, MalformedRequest)


def test_a_field_that_the_service_does_not_know_changes_nothing(
    service: Service, channel: grpc.Channel
) -> None:
    project = service.new_project()
    path = path_of(find_method("DirectoryService/GetProject"))
    body = _request("GetProject", project_id=project.id).SerializeToString()
    answers = []
    for sent in (body, body + b"\xfa\x3e\x05later"):
        call = sign(service.endpoint, somebody("service"), path, sent)
        answers.append(answer(channel, path, call.body, call.headers)[0])
    assert answers[0] == answers[1]


def _request(method: str, **fields: Any) -> Any:
    descriptor = next(found for found in methods() if found.name == method)
    request = message_factory.GetMessageClass(descriptor.input_type)()
    return json_format.ParseDict(fields, request)


WRONG: Mapping[str, tuple[str, dict[str, Any], set[str]]] = {
    "nothing": ("CreateMatch", {}, {"project_id"}),
    "no id": ("CreateMatch", {"project_id": "x"}, {"project_id"}),
    "no request id": ("CreateMatch", {"project_id": ID, "request_id": "x"}, {"request_id"}),
    "too short": ("CreateMatch", {"project_id": ID, "expires_in": "0.5s"}, {"expires_in"}),
    "too long": ("CreateMatch", {"project_id": ID, "expires_in": "604801s"}, {"expires_in"}),
    "no weights": (
        "CreateMatch",
        {"project_id": ID, "criteria": {"scoring_weights": {}}},
        {"criteria.scoring_weights"},
    ),
    "odd weights": (
        "CreateMatch",
        {"project_id": ID, "criteria": {"scoring_weights": {"skills": "NaN", "timezone": -1}}},
        {"criteria.scoring_weights.skills", "criteria.scoring_weights.timezone"},
    ),
    "words": (
        "CreateMatch",
        {
            "project_id": "x",
            "criteria": {
                "tech_stack": {
                    "framework": "a" * 65,
                    "languages": ["go", "", "a\0b"],
                    "complexity_factors": ["x"] * 51,
                },
                "project_complexity": 99,
                "exclude_advisor_ids": [ID, "x"],
            },
        },
        {
            "project_id",
            "criteria.tech_stack.framework",
            "criteria.tech_stack.languages[1]",
            "criteria.tech_stack.languages[2]",
            "criteria.tech_stack.complexity_factors",
            "criteria.project_complexity",
            "criteria.exclude_advisor_ids[1]",
        },
    ),
    "decision": ("SubmitClientDecision", {"match_id": ID}, {"decision"}),
    "unknown decision": ("SubmitAdvisorDecision", {"match_id": ID, "decision": 9}, {"decision"}),
    "reason": (
        "SubmitClientDecision",
        {"match_id": ID, "decision": 1, "reason": "a" * 1001, "etag": "e" * 65},
        {"reason", "etag"},
    ),
    "page": ("ListProjectMatches", {"project_id": ID, "page_size": 201}, {"page_size"}),
    "page below": ("ListAdvisors", {"page_size": -1}, {"page_size"}),
    "status": ("ListProjectMatches", {"project_id": ID, "statuses": [2, 0]}, {"statuses[1]"}),
    "slots": (
        "UpdateAvailability",
        {"max_concurrent_projects": 0, "status": 7},
        {"max_concurrent_projects", "status"},
    ),
    "preferences": (
        "UpdateAvailability",
        {"preferences": {"preferred_complexity": [1, 1], "preferred_frameworks": [""]}},
        {"preferences.preferred_complexity", "preferences.preferred_frameworks[0]"},
    ),
    "no project": ("UpsertProject", {}, {"project"}),
    "empty project": ("UpsertProject", {"project": {}}, {"project.id", "project.owner_id", "project.name"}),
    "project": (
        "UpsertProject",
        {
            "project": {
                "id": ID,
                "owner_id": ID,
                "name": "n" * 201,
                "owner_timezone": "Nowhere/Land",
                "owner_locale": "??",
            }
        },
        {"project.name", "project.owner_timezone", "project.owner_locale"},
    ),
    "advisor": (
        "UpsertAdvisor",
        {
            "advisor": {
                "id": ID,
                "display_name": "n\n",
                "email": "nobody",
                "rating": 5.5,
                "timezone": "x",
                "avatar_url": "a" * 2049,
                "skills": [""],
                "frameworks": ["a"] * 51,
            }
        },
        {
            "advisor.display_name",
            "advisor.email",
            "advisor.rating",
            "advisor.timezone",
            "advisor.avatar_url",
            "advisor.skills[0]",
            "advisor.frameworks",
        },
    ),
    "filters": ("ListAdvisors", {"skill": "a" * 65, "framework": "b" * 65}, {"skill", "framework"}),
    "message": ("SendMessage", {"project_id": ID}, {"text", "client_msg_id"}),
    "long message": (
        "SendMessage",
        {"project_id": ID, "text": "a" * 10_001, "client_msg_id": "x", "mode": 9},
        {"text", "client_msg_id", "mode"},
    ),
    "watch": (
        "WatchProjectEvents",
        {"project_id": "x", "types": ["nothing"], "watch_id": "a b"},
        {"project_id", "types[0]", "watch_id"},
    ),
    "assignment": (
        "AssignAdvisor",
        {"project_id": ID, "assignment_type": 9, "role": 9},
        {"advisor_id", "assignment_type", "role"},
    ),
    "simulation": ("SimulateMatch", {"project_id": ID, "limit": 1001}, {"limit"}),
    "rule": (
        "CreatePreferenceRule",
        {"rule": {"id": ID, "advisor_id": ID, "effect": 1, "created_by": ID}},
        {"rule.id", "rule.created_by", "rule.boost"},
    ),
    "rule without boost": (
        "CreatePreferenceRule",
        {"rule": {"advisor_id": ID, "effect": 3, "boost": 1}},
        {"rule.boost"},
    ),
    "rule in time": (
        "CreatePreferenceRule",
        {
            "rule": {
                "advisor_id": ID,
                "effect": 3,
                "active_from": "2030-01-02T00:00:00Z",
                "active_until": "2030-01-01T00:00:00Z",
            }
        },
        {"rule.active_until"},
    ),
    "window": ("GetProvisioningStats", {"window": "0.1s"}, {"window"}),
    "jobs": ("ListProvisioningJobs", {"statuses": [99]}, {"statuses[0]"}),
    "interventions": (
        "ListInterventions",
        {"project_id": "x", "intervention_type": "a" * 65},
        {"project_id", "intervention_type"},
    ),
    "notifications": (
        "ListNotifications",
        {"recipient_id": "x", "statuses": [9]},
        {"recipient_id", "statuses[0]"},
    ),
}


def test_what_is_wrong_with_a_request_is_told_field_by_field(service: Service, channel: grpc.Channel) -> None:
    found = {}
    for case, (name, fields, _) in WRONG.items():
        method = next(known for known in methods() if known.name == name)
        call = sign(service.endpoint, somebody(*ROLES), path_of(method), _request(name, **fields))
        with pytest.raises(MatchingError) as error:
            call.open(channel)
        assert isinstance(error.value, InvalidArgument), (case, error.value)
        assert error.value.reason == "INVALID_ARGUMENT"
        found[case] = {violation.field for violation in error.value.field_violations}
        assert all(violation.description for violation in error.value.field_violations)
    assert found == {case: fields for case, (_, _, fields) in WRONG.items()}


def test_ids_may_be_written_in_either_case(service: Service) -> None:
    project = service.new_project()
    assert service.platform.get_project(project.id.upper()) == project
    service.new_advisor()
    match = service.owner(project).create_match(project.id.upper()).match
    assert match.project_id == project.id
