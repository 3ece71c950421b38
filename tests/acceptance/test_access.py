"""Who may call what, and of whose things they learn: a table over every method of the contract."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from functools import partial
from typing import Any

import grpc
import pytest
from google.protobuf import message_factory
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message

from advisor_matching.v1.types_pb2 import Decision
from matching_client import Claims, MatchingError
from matching_client.catalog import methods, path_of
from tests.support.raw import SignedCall, sign
from tests.support.world import World

ROLES = ("client", "advisor", "service", "admin")
PROJECTS, ADVISORS, EVERYBODY = ("client", "service", "admin"), ("advisor", "service", "admin"), ROLES
CHATTERS, PLATFORM, ADMINS = ("client", "advisor", "service"), ("service", "admin"), ("admin",)
MAY_CALL: Mapping[str, tuple[str, ...]] = {
    "MatchService.CreateMatch": PROJECTS,
    "MatchService.GetMatch": EVERYBODY,
    "MatchService.ListProjectMatches": PROJECTS,
    "MatchService.ListClaimableMatches": ("advisor",),
    "MatchService.ClaimMatch": ("advisor",),
    "DecisionService.SubmitClientDecision": ("client",),
    "DecisionService.SubmitAdvisorDecision": ("advisor",),
    "AvailabilityService.UpdateAvailability": ADVISORS,
    "AvailabilityService.GetAvailability": ADVISORS,
    "EventService.WatchProjectEvents": EVERYBODY,
    "EventService.ListProjectEvents": EVERYBODY,
    "ChatService.SendMessage": CHATTERS,
    "ChatService.ListMessages": CHATTERS,
    "DirectoryService.UpsertProject": PLATFORM,
    "DirectoryService.GetProject": EVERYBODY,
    "DirectoryService.UpsertAdvisor": PLATFORM,
    "DirectoryService.GetAdvisor": EVERYBODY,
    "DirectoryService.ListAdvisors": EVERYBODY,
    "DirectoryService.DeactivateAdvisor": PLATFORM,
}
"""What the contract says; AdminService is for admins, and SystemService for anybody."""


def name_of(method: MethodDescriptor) -> str:
    return f"{method.containing_service.name}.{method.name}"


def allowed(method: MethodDescriptor) -> tuple[str, ...]:
    return ADMINS if method.containing_service.name == "AdminService" else MAY_CALL[name_of(method)]


SIGNED = [method for method in methods() if method.containing_service.name != "SystemService"]
every_signed_method = pytest.mark.parametrize("method", SIGNED, ids=name_of)


def empty_request(method: MethodDescriptor) -> Message:
    return message_factory.GetMessageClass(method.input_type)()


def call(channel: grpc.Channel, method: MethodDescriptor, signed: SignedCall) -> str:
    """The reason with which the call is refused, "OK" where it is not."""
    try:
        signed.open(channel) if method.server_streaming else signed.send(channel)
    except MatchingError as error:
        return error.reason
    return "OK"


STRANGER = str(uuid.uuid4())


def signed_as(world: World, roles: tuple[str, ...], method: MethodDescriptor, **fields: Any) -> SignedCall:
    request = empty_request(method)
    for name, value in fields.items():
        setattr(request, name, value)
    claims = Claims(STRANGER, roles=roles)
    return sign(world.servers.all[0].endpoint, claims, path_of(method), request)


def test_the_table_speaks_of_the_methods_that_there_are() -> None:
    named = {name_of(method) for method in SIGNED if method.containing_service.name != "AdminService"}
    assert named == set(MAY_CALL)


@every_signed_method
def test_without_a_signature_nothing_is_answered(world: World, method: MethodDescriptor) -> None:
    unsigned = SignedCall(path_of(method), b"", ())
    claims_only = SignedCall(path_of(method), b"", signed_as(world, ROLES, method).headers[:1])
    with world.channel() as channel:
        assert call(channel, method, unsigned) == "AUTHENTICATION_ERROR"
        assert call(channel, method, claims_only) == "AUTHENTICATION_ERROR"


@every_signed_method
def test_a_caller_without_the_role_is_refused_before_anything_else(
    world: World, method: MethodDescriptor
) -> None:
    wrong = tuple(role for role in ROLES if role not in allowed(method))
    with world.channel() as channel:
        for roles in [(role,) for role in wrong] + [wrong, (), ("root",)]:
            if roles or wrong:
                assert call(channel, method, signed_as(world, roles, method)) == "PERMISSION_DENIED", roles
        malformed = signed_as(world, wrong, method)
        assert wrong == () or call(channel, method, malformed) == "PERMISSION_DENIED"


@every_signed_method
def test_a_caller_with_the_role_is_let_in_whatever_else_is_wrong(
    world: World, method: MethodDescriptor
) -> None:
    refusals = {"AUTHENTICATION_ERROR", "PERMISSION_DENIED", "INTERNAL_ERROR", ""}
    with world.channel() as channel:
        for role in allowed(method):
            assert call(channel, method, signed_as(world, (role,), method)) not in refusals, role


def test_a_method_that_is_not_served_says_so_to_those_who_may_call_it(world: World) -> None:
    with world.channel() as channel:
        answers = {
            name_of(method): call(channel, method, signed_as(world, allowed(method), method))
            for method in SIGNED
        }
    served = {name for name, answer in answers.items() if answer != "UNIMPLEMENTED"}
    assert served >= {"MatchService.CreateMatch", "EventService.WatchProjectEvents"}
    assert set(answers.values()) <= {"OK", "UNIMPLEMENTED", "INVALID_ARGUMENT", "ADVISOR_NOT_FOUND"}


FIELDS: Mapping[str, Mapping[str, Any]] = {
    "SubmitClientDecision": {"decision": Decision.DECISION_APPROVED},
    "SubmitAdvisorDecision": {"decision": Decision.DECISION_APPROVED},
    "SendMessage": {"text": "hello", "client_msg_id": str(uuid.UUID(int=7))},
}
"""What a request needs besides the id."""
ABOUT_PROJECTS = [m for m in SIGNED if "project_id" in m.input_type.fields_by_name and allowed(m) != ADMINS]
ABOUT_MATCHES = [m for m in SIGNED if "match_id" in m.input_type.fields_by_name and allowed(m) != ADMINS]


@pytest.mark.parametrize("role", ["client", "advisor"])
@pytest.mark.parametrize("method", ABOUT_PROJECTS + ABOUT_MATCHES, ids=name_of)
def test_what_belongs_to_others_is_not_there_in_the_words_for_what_is_not_there(
    world: World, method: MethodDescriptor, role: str
) -> None:
    project, _, match = world.matched()
    field, theirs = ("project_id", project) if method in ABOUT_PROJECTS else ("match_id", match.id)
    if role not in allowed(method):
        return
    before = world.event_types(project)
    missing = str(uuid.uuid4())
    told = [_refusal(world, method, role, {field: id_}) for id_ in (theirs, missing)]
    texts = [
        str(error.message).replace(id_, "<id>") for error, id_ in zip(told, (theirs, missing), strict=True)
    ]
    assert texts[0] == texts[1]
    assert told[0].reason == told[1].reason
    assert told[0].reason in {"PROJECT_NOT_FOUND", "MATCH_NOT_FOUND", "ADVISOR_NOT_FOUND", "UNIMPLEMENTED"}
    assert told[0].metadata == told[1].metadata
    assert world.event_types(project) == before


def _refusal(world: World, method: MethodDescriptor, role: str, ids: Mapping[str, str]) -> MatchingError:
    signed = signed_as(world, (role,), method, **ids, **FIELDS.get(method.name, {}))
    with world.channel() as channel, pytest.raises(MatchingError) as refused:
        signed.open(channel) if method.server_streaming else signed.send(channel)
    return refused.value


def test_an_advisor_sees_nothing_of_a_match_that_was_offered_to_another(world: World) -> None:
    project, advisor, match = world.matched()
    stranger = world.new_advisor()
    for person, roles, sees in ((advisor, ("advisor",), True), (stranger, ("advisor",), False)):
        caller = world.caller(person, *roles)
        for read in (partial(caller.get_match, match.id), partial(caller.get_project, project)):
            if sees:
                read()
            else:
                with pytest.raises(MatchingError, match="NOT_FOUND"):
                    read()


def test_the_advisor_of_another_availability_does_not_exist(world: World) -> None:
    mine, theirs = world.new_advisor(), world.new_advisor()
    assert world.advisor(mine).get_availability().advisor_id == mine
    with pytest.raises(MatchingError, match="ADVISOR_NOT_FOUND"):
        world.advisor(mine).get_availability(theirs)
    with pytest.raises(MatchingError, match="ADVISOR_NOT_FOUND"):
        world.advisor(mine).update_availability(theirs, status="AVAILABILITY_STATUS_OFFLINE")
    assert world.service().get_availability(theirs).is_available
