"""Every reason of the contract, provoked over the wire: code, metadata and details are as `error_reason.proto` says."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.message import Message
from google.rpc import error_details_pb2 as details

from advisor_matching.v1 import admin_service_pb2 as admin
from advisor_matching.v1 import decision_service_pb2 as deciding
from advisor_matching.v1 import directory_service_pb2 as directory
from advisor_matching.v1 import event_service_pb2 as events
from advisor_matching.v1 import match_service_pb2 as matching
from advisor_matching.v1.error_reason_pb2 import ErrorReason
from advisor_matching.v1.types_pb2 import Decision
from matching_client.catalog import find_method, path_of
from matching_server.domain.errors import Reason
from matching_server.rpc.errors import CODES, ERROR_DOMAIN, MAX_DETAILS_BYTES
from tests.support.at_once import together
from tests.support.history import History
from tests.support.locks import held
from tests.support.raw import open_stream
from tests.support.refusals import ADMINS, ASKED, PLATFORM, begin, opened, owner, refusal, refused, trapped
from tests.support.world import World
from tests.unit.rpc.serving import rich_status, serving
from tests.unit.rpc.signing import headers

R = Reason
PROTO = Path(__file__).parents[2] / "protos" / "advisor_matching" / "v1" / "error_reason.proto"


@pytest.fixture(scope="module")
def server_arguments() -> list[tuple[str, ...]]:
    """One server."""
    return [()]


def anything() -> str:
    """An id that nothing has."""
    return str(uuid.uuid4())


def assign(world: World, project: str, advisor: str) -> Any:
    """How an assignment is refused."""
    request = admin.AssignAdvisorRequest(project_id=project, advisor_id=advisor, reason="because")
    return refused(world, "AdminService/AssignAdvisor", request, ADMINS)


def approve(world: World, project: str, match_id: str, **more: str) -> Any:
    """How the owner's approval is refused."""
    request = deciding.SubmitClientDecisionRequest(
        match_id=match_id, decision=Decision.DECISION_APPROVED, **more
    )
    return refused(world, "DecisionService/SubmitClientDecision", request, owner(world, project))


def at_once(world: World) -> Any:
    """How a request is refused that would not wait."""
    request = matching.CreateMatchRequest(project_id=world.new_project(), require_immediate=True)
    return refused(world, "MatchService/CreateMatch", request)


# ------------------------------------------------------------------------------------------------- the provocations


def no_event_id(world: World) -> Any:
    request = events.ListProjectEventsRequest(project_id=world.new_project(), after_event_id="x")
    return refused(world, "EventService/ListProjectEvents", request)


def other_content(world: World) -> Any:
    used = anything()
    world.service().create_match(world.new_project(), request_id=used)
    again = matching.CreateMatchRequest(project_id=world.new_project(), request_id=used)
    return refused(world, "MatchService/CreateMatch", again)


def never_finalized(world: World) -> Any:
    _, _, match = world.matched()
    return refused(
        world, "AdminService/RetryProvisioning", admin.RetryProvisioningRequest(match_id=match.id), ADMINS
    )


def open_already(world: World) -> Any:
    project, _, _ = world.matched()
    request = matching.CreateMatchRequest(project_id=project, fail_if_open=True)
    return refused(world, "MatchService/CreateMatch", request)


def all_busy(world: World) -> Any:
    world.new_advisor(status="busy")
    return at_once(world)


def at_capacity(world: World) -> Any:
    advisor = world.new_advisor(slots=1)
    world.service().create_match(world.new_project())
    return assign(world, world.new_project(), advisor)


def inactive(world: World) -> Any:
    advisor = world.new_advisor()
    world.service().deactivate_advisor(advisor)
    return assign(world, world.new_project(), advisor)


def already_assigned(world: World) -> Any:
    project, advisor, match = world.finalized()
    world.wait_for_ready(match.id)
    return assign(world, project, advisor)


def declined(world: World) -> Any:
    project, _, match = world.matched()
    world.client(project).submit_client_decision(match.id, "DECISION_DECLINED")
    return approve(world, project, match.id)


def expired(world: World) -> Any:
    project, _, match = world.matched()
    world.execute("UPDATE advisor_match_requests SET expires_at = clock_timestamp()")
    return approve(world, project, match.id)


def changed(world: World) -> Any:
    project, advisor, match = world.matched()
    world.advisor(advisor).submit_advisor_decision(match.id, "DECISION_APPROVED")
    return approve(world, project, match.id, etag=match.etag)


def in_the_way(world: World) -> Any:
    project, _, match = world.matched()
    with held(world.conn, "SELECT FROM project_event_heads FOR UPDATE"):
        return approve(world, project, match.id)


def fourth_stream(world: World) -> Any:
    project = world.new_project()
    who = owner(world, project)
    calls = [opened(world, project, who) for _ in range(4)]
    try:
        return refusal(calls[0])
    finally:
        for call in calls:
            call.cancel()


def pruned(world: World) -> Any:
    project, _, _ = world.finalized()
    first = world.watched(project, 1)[0].id
    History(world.conn).prune(uuid.UUID(project), through=2)
    request = events.ListProjectEventsRequest(project_id=project, after_event_id=first)
    return refused(world, "EventService/ListProjectEvents", request)


def of_another_log(world: World) -> Any:
    world.new_advisor()
    ids = []
    for project in (world.new_project(), world.new_project()):
        world.service().create_match(project)
        ids.append((project, world.watched(project, 1)[0].id))
    request = events.ListProjectEventsRequest(project_id=ids[0][0], after_event_id=ids[1][1])
    return refused(world, "EventService/ListProjectEvents", request)


def reads_too_slowly(world: World) -> Any:
    # On a machine that is very busy the stream may be cut, for nothing of it is read, before so much is said.
    told = (refusal_of_a_slow_reader(world) for _ in range(3))
    return next(error for error in told if rich_status(error) is not None)


def refusal_of_a_slow_reader(world: World) -> Any:
    project = world.new_project()
    call = opened(world, project, PLATFORM)
    client, text = world.service(), "x" * 2_000

    def talk() -> None:
        for _ in range(300):
            client.send_message(project, text)

    assert together([talk] * 4) == [None] * 4
    return refusal(call)


def too_often(world: World) -> Any:
    world.start(calls_per_user=3)
    project = world.new_project()
    who, request = owner(world, project), directory.GetProjectRequest(project_id=project)
    for _ in range(3):
        list(begin(world, "DirectoryService/GetProject", request, who, server=1))
    return refused(world, "DirectoryService/GetProject", request, who, server=1)


def read_only(world: World) -> Any:
    name = world.conn.engine.url.database
    world.execute(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
    hang_up = (
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    world.value(hang_up)
    try:
        request = matching.CreateMatchRequest(project_id=world.new_project())
        return refused(world, "MatchService/CreateMatch", request)
    finally:
        world.execute(f'ALTER DATABASE "{name}" RESET default_transaction_read_only')
        world.value(hang_up)


def ends(world: World) -> Any:
    project = world.new_project()
    leaving = world.start()
    call = opened(world, project, owner(world, project), server=1)
    leaving.ask_to_end()
    return refusal(call)


def left_out(world: World) -> Any:
    """Every method is served; here is a server that is built without."""
    with serving({}) as server:
        path = path_of(find_method("MatchService/GetMatch"))
        return refusal(
            open_stream(server.channel, path, b"", (*headers(path, b""), ("x-correlation-id", ASKED)))
        )


def no_such(name: str, request: Message) -> Callable[[World], Any]:
    return lambda world: refused(world, name, request, ADMINS)


PROVOKED: Mapping[Reason, Callable[[World], Any]] = {
    R.INVALID_ARGUMENT: no_such("MatchService/GetMatch", matching.GetMatchRequest(match_id="x")),
    R.EVENT_ID_INVALID: no_event_id,
    R.IDEMPOTENCY_MISMATCH: other_content,
    R.MALFORMED_REQUEST: lambda world: refused(world, "MatchService/GetMatch", b"\xff"),
    R.AUTHENTICATION_ERROR: lambda world: refused(world, "MatchService/GetMatch", b"", None),
    R.PERMISSION_DENIED: lambda world: refused(world, "AdminService/GetPoolStatus", b""),
    R.PROJECT_NOT_FOUND: no_such(
        "DirectoryService/GetProject", directory.GetProjectRequest(project_id=anything())
    ),
    R.MATCH_NOT_FOUND: no_such("MatchService/GetMatch", matching.GetMatchRequest(match_id=anything())),
    R.ADVISOR_NOT_FOUND: no_such(
        "DirectoryService/GetAdvisor", directory.GetAdvisorRequest(advisor_id=anything())
    ),
    R.RULE_NOT_FOUND: no_such(
        "AdminService/DeletePreferenceRule", admin.DeletePreferenceRuleRequest(rule_id=anything())
    ),
    R.JOB_NOT_FOUND: never_finalized,
    R.NOTIFICATION_NOT_FOUND: no_such(
        "AdminService/ResendNotification", admin.ResendNotificationRequest(notification_id=anything())
    ),
    R.DUPLICATE_MATCH_REQUEST: open_already,
    R.NO_ADVISORS_AVAILABLE: at_once,
    R.ALL_ADVISORS_BUSY: all_busy,
    R.ADVISOR_AT_CAPACITY: at_capacity,
    R.ADVISOR_UNAVAILABLE: lambda world: assign(world, world.new_project(), world.new_advisor(status="busy")),
    R.ADVISOR_INACTIVE: inactive,
    R.ALREADY_ASSIGNED: already_assigned,
    R.INVALID_TRANSITION: declined,
    R.MATCH_EXPIRED: expired,
    R.ETAG_MISMATCH: changed,
    R.TRANSACTION_CONFLICT: in_the_way,
    R.STREAM_EVICTED: fourth_stream,
    R.EVENTS_COMPACTED: pruned,
    R.EVENT_ID_UNKNOWN: of_another_log,
    R.SLOW_CONSUMER: reads_too_slowly,
    R.TOO_MANY_REQUESTS: too_often,
    R.DATABASE_ERROR: read_only,
    R.DRAINING: ends,
    R.UNIMPLEMENTED: left_out,
    R.INTERNAL_ERROR: trapped,
}
"""How each reason comes about. What it may say beside its name is in the contract's comments."""


def comments() -> dict[str, str]:
    """What the contract says of each reason."""
    found = re.findall(r"((?:  //[^\n]*\n)+)  ERROR_REASON_(\w+) = \d+;", PROTO.read_text())
    return {name: re.sub(r"\s*//\s*", " ", comment).strip() for comment, name in found}


def promised_keys(comment: str) -> set[str]:
    """The keys of the metadata that the contract names."""
    return set(re.findall(r"`(\w+)`", comment.partition("Metadata:")[2]))


def test_every_reason_of_the_contract_is_provoked() -> None:
    named = {name.removeprefix("ERROR_REASON_") for name in ErrorReason.DESCRIPTOR.values_by_name} - {
        "UNSPECIFIED"
    }
    assert named == set(PROVOKED) == set(Reason) == set(CODES)
    assert comments().keys() == named | {"UNSPECIFIED"}


@pytest.mark.parametrize("reason", PROVOKED)
def test_a_refusal_carries_what_the_contract_promises_and_no_more(world: World, reason: Reason) -> None:
    running = len(world.servers.all)
    try:
        error = PROVOKED[reason](world)
    finally:
        for server in world.servers.all[running:]:
            server.kill()
        del world.servers.all[running:]
    status, comment = rich_status(error), comments()[reason]
    assert status is not None
    assert len(status.SerializeToString()) < MAX_DETAILS_BYTES
    assert error.code() is CODES[reason]
    assert error.code().name == comment.partition(".")[0]
    assert status.code == error.code().value[0]
    assert status.message == error.details() != ""
    told = {detail.TypeName(): detail for detail in status.details}
    assert len(told) == len(status.details)

    def unpacked(kind: Any) -> Any:
        message = kind()
        assert told[message.DESCRIPTOR.full_name].Unpack(message)
        return message

    info = unpacked(details.ErrorInfo)
    assert (info.domain, info.reason) == (ERROR_DOMAIN, reason)
    assert info.metadata.keys() == promised_keys(comment)
    assert all(info.metadata.values())
    assert unpacked(details.RequestInfo).request_id == ASKED
    assert dict(error.initial_metadata())["x-correlation-id"] == ASKED
    assert ("google.rpc.BadRequest" in told) == ("`BadRequest`" in comment)
    if "`BadRequest`" in comment:
        assert all(one.field and one.description for one in unpacked(details.BadRequest).field_violations)
    assert ("google.rpc.RetryInfo" in told) == ("`RetryInfo`" in comment)
    if "`RetryInfo`" in comment:
        assert 0 < unpacked(details.RetryInfo).retry_delay.ToTimedelta().total_seconds() <= 10
