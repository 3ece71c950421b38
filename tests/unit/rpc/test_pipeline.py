from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import grpc
import grpc_testing
import pytest
from google.rpc import error_details_pb2
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from advisor_matching.v1 import match_service_pb2 as pb
from advisor_matching.v1 import system_service_pb2
from matching_server.domain.calls import Call, Nonce
from matching_server.domain.errors import (
    DuplicateMatchRequest,
    MatchExpired,
    MatchNotFound,
    StorageUnavailable,
)
from matching_server.domain.model import Role
from matching_server.rpc.access import SERVICES
from matching_server.rpc.admission import Turns
from matching_server.rpc.pipeline import ANONYMOUS, Pipeline
from matching_server.rpc.registry import method_handlers
from matching_server.rpc.stream_context import StreamContext
from tests.unit.rpc.serving import KEYS, Serving, path, serving
from tests.unit.rpc.signing import KID, NONCE, NOW, USER, claims, headers

ID = "3f1c2a6e-8f0b-4b0e-9a44-0d0a4f4f7a11"
REQUEST_ID = "11111111-2222-4333-8444-555555555555"

# Unlike the real server, it logs the exception by which `abort` ends a call, in a thread that outlives the test.
logging.getLogger("grpc_testing").setLevel(logging.CRITICAL)


class Toy:
    """Remembers what it was asked, and answers as it is told."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, Call]] = []
        self.answer: Callable[[], Any] = lambda: pb.CreateMatchResponse(already_open=True)

    def create_match(self, request: Any, call: Call) -> Any:
        self.calls.append((request, call))
        return self.answer()

    get_match = create_match
    get_service_info = create_match


@pytest.fixture(scope="module")
def shared() -> Iterator[tuple[Toy, Serving]]:
    toy = Toy()
    with serving({"MatchService": toy, "SystemService": toy}) as server:
        yield toy, server


@pytest.fixture
def toy(shared: tuple[Toy, Serving]) -> Toy:
    shared[0].__init__()  # type: ignore[misc]
    return shared[0]


@pytest.fixture
def server(shared: tuple[Toy, Serving], toy: Toy) -> Serving:
    return shared[1]


def failing(error: Exception) -> Callable[[], Any]:
    def answer() -> Any:
        raise error

    return answer


def test_a_mutation_reaches_its_handler_with_caller_nonce_and_request_key(toy: Toy, server: Serving) -> None:
    request = pb.CreateMatchRequest(project_id=ID, request_id=REQUEST_ID.upper())
    answer = server.call("MatchService", "CreateMatch", request)
    assert answer.code is grpc.StatusCode.OK
    assert answer.body is not None
    assert pb.CreateMatchResponse.FromString(answer.body).already_open
    [(seen, call)] = toy.calls
    assert seen == request
    assert call.caller.user_id == UUID(USER)
    assert call.nonce == Nonce(KID, NONCE)
    assert call.claims_expire_at == NOW + 3600
    assert call.correlation_id == answer.initial["x-correlation-id"]
    assert call.request_key is not None
    assert call.request_key.request_id == UUID(REQUEST_ID)
    assert call.request_key.method == "/advisor_matching.v1.MatchService/CreateMatch"
    assert (
        call.request_key.body_hash == hashlib.sha256(request.SerializeToString(deterministic=True)).digest()
    )


def test_the_same_message_in_other_bytes_is_the_same_request(toy: Toy, server: Serving) -> None:
    request = pb.CreateMatchRequest(project_id=ID, request_id=REQUEST_ID)
    parts = [
        pb.CreateMatchRequest(request_id=REQUEST_ID).SerializeToString(),
        pb.CreateMatchRequest(project_id=ID).SerializeToString(),
    ]
    assert b"".join(parts) != request.SerializeToString()
    full = path("MatchService", "CreateMatch")
    for body in (request.SerializeToString(), b"".join(parts)):
        assert server.raw(full, body, headers(full, body)).code is grpc.StatusCode.OK
    first, second = (call.request_key for _, call in toy.calls)
    assert first == second


def test_a_read_carries_neither_and_a_request_without_id_has_that_of_the_call(
    toy: Toy, server: Serving
) -> None:
    toy.answer = pb.GetMatchResponse
    server.call("MatchService", "GetMatch", pb.GetMatchRequest(match_id=ID))
    server.call("MatchService", "CreateMatch", pb.CreateMatchRequest(project_id=ID))
    (_, read), (_, mutation) = toy.calls
    assert read.nonce is None
    assert read.request_key is None
    assert mutation.nonce is not None
    # The server may have to find out what an attempt of its own has done.
    assert mutation.request_key is not None
    assert mutation.request_key.request_id == mutation.id
    assert read.id != mutation.id


def test_stored_bytes_are_answered_as_they_are(toy: Toy, server: Serving) -> None:
    toy.answer = lambda: b"\x10\x01stored"
    assert server.call("MatchService", "CreateMatch").body == b"\x10\x01stored"


def test_a_request_id_that_is_no_uuid_is_named(toy: Toy, server: Serving) -> None:
    answer = server.call("MatchService", "CreateMatch", pb.CreateMatchRequest(request_id="again"))
    assert (answer.code, answer.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_ARGUMENT")
    [violation] = answer.detail(error_details_pb2.BadRequest).field_violations
    assert (violation.field, violation.description) == ("request_id", "is not a UUID")
    assert toy.calls == []


def test_headers_are_checked_first(toy: Toy, server: Serving) -> None:
    full = path("MatchService", "CreateMatch")
    answer = server.raw(full, b"\xff", [])
    assert (answer.code, answer.reason) == (grpc.StatusCode.UNAUTHENTICATED, "AUTHENTICATION_ERROR")
    assert answer.detail(error_details_pb2.ErrorInfo).metadata == {"detail": "SIGNATURE_INVALID"}
    twice = headers(full) + headers(full)[:1]
    assert server.raw(full, b"", twice).reason == "AUTHENTICATION_ERROR"
    assert toy.calls == []


def test_roles_come_before_the_message(toy: Toy, server: Serving) -> None:
    full = path("MatchService", "CreateMatch")
    for claimed in (claims(roles=["advisor"]), claims(roles=[])):
        answer = server.raw(full, b"\xff", headers(full, b"\xff", claimed))
        assert (answer.code, answer.reason) == (grpc.StatusCode.PERMISSION_DENIED, "PERMISSION_DENIED")
    kept = server.raw(full, b"", headers(full, b"", claims(roles=["client"]), kid="admin"))
    assert kept.reason == "PERMISSION_DENIED"
    assert toy.calls == []


@pytest.mark.parametrize("body", [b"\xff", b"\x0a\x05ab", b"\x0a\x01\xff"])
def test_bytes_that_are_no_message_are_malformed(toy: Toy, server: Serving, body: bytes) -> None:
    full = path("MatchService", "CreateMatch")
    answer = server.raw(full, body, headers(full, body))
    assert (answer.code, answer.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "MALFORMED_REQUEST")
    assert toy.calls == []


def test_the_system_service_needs_no_headers(toy: Toy, server: Serving) -> None:
    toy.answer = lambda: system_service_pb2.GetServiceInfoResponse(service="x")
    full = path("SystemService", "GetServiceInfo")
    assert server.raw(full, b"", []).code is grpc.StatusCode.OK
    assert server.raw(full, b"", [("x-sheen-claims", "junk")]).code is grpc.StatusCode.OK
    assert {call.caller for _, call in toy.calls} == {ANONYMOUS}


def test_a_domain_error_arrives_with_all_its_details(toy: Toy, server: Serving) -> None:
    toy.answer = failing(DuplicateMatchRequest(UUID(ID), UUID(REQUEST_ID)))
    answer = server.call("MatchService", "CreateMatch")
    assert answer.code is grpc.StatusCode.ALREADY_EXISTS
    assert answer.message == f"project {ID} already has the unsettled match {REQUEST_ID}"
    assert answer.status is not None
    assert answer.status.code == grpc.StatusCode.ALREADY_EXISTS.value[0]
    assert answer.status.message == answer.message
    info = answer.detail(error_details_pb2.ErrorInfo)
    assert (info.domain, info.metadata) == ("advisor_matching.v1", {"match_id": REQUEST_ID})
    request_info = answer.detail(error_details_pb2.RequestInfo)
    assert request_info.request_id == answer.initial["x-correlation-id"]


def test_retries_are_told_when(toy: Toy, server: Serving) -> None:
    toy.answer = failing(StorageUnavailable())
    answer = server.call("MatchService", "CreateMatch")
    assert answer.code is grpc.StatusCode.UNAVAILABLE
    assert answer.detail(error_details_pb2.RetryInfo).retry_delay.ToSeconds() == 1


def test_a_defect_stays_inside(toy: Toy, server: Serving, caplog: pytest.LogCaptureFixture) -> None:
    toy.answer = failing(RuntimeError("password=hunter2"))
    with capture_logs() as logs:
        answer = server.call("MatchService", "CreateMatch")
    assert (answer.code, answer.message) == (grpc.StatusCode.INTERNAL, "internal error")
    assert answer.reason == "INTERNAL_ERROR"
    assert answer.status is not None
    assert b"hunter2" not in answer.status.SerializeToString()
    assert [line["event"] for line in logs] == ["internal error", "call"]
    assert {line["correlation_id"] for line in logs} == {answer.initial["x-correlation-id"]}


def test_grpc_logs_no_traceback_of_a_refusal(
    toy: Toy, server: Serving, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    toy.answer = failing(MatchExpired(UUID(ID)))
    with caplog.at_level(logging.DEBUG):
        assert server.call("MatchService", "CreateMatch").reason == "MATCH_EXPIRED"
    assert [record for record in caplog.records if record.name.startswith("grpc.")] == []
    assert "Traceback" not in capfd.readouterr().err


GOOD_IDS = ["a", "A.b_c-9", "x" * 128]
BAD_IDS = ["", "a b", "a/b", "x" * 129]


@pytest.mark.parametrize("given_id", GOOD_IDS)
def test_a_proper_correlation_id_is_taken_over(toy: Toy, server: Serving, given_id: str) -> None:
    full = path("MatchService", "CreateMatch")
    answer = server.raw(full, b"", [*headers(full), ("x-correlation-id", given_id)])
    assert answer.initial["x-correlation-id"] == given_id
    assert toy.calls[0][1].correlation_id == given_id
    refused = server.raw(full, b"", [("x-correlation-id", given_id)])
    assert refused.initial["x-correlation-id"] == given_id
    assert refused.detail(error_details_pb2.RequestInfo).request_id == given_id


@pytest.mark.parametrize("given_id", BAD_IDS)
def test_any_other_correlation_id_is_replaced(toy: Toy, server: Serving, given_id: str) -> None:
    full = path("MatchService", "CreateMatch")
    answer = server.raw(full, b"", [*headers(full), ("x-correlation-id", given_id)])
    made = answer.initial["x-correlation-id"]
    assert made != given_id
    assert isinstance(made, str)
    assert len(made) == 32


def test_every_call_writes_one_line(toy: Toy, server: Serving) -> None:
    toy.answer = failing(MatchNotFound(UUID(ID)))
    full = path("MatchService", "CreateMatch")
    with capture_logs() as logs:
        server.raw(full, b"", [*headers(full), ("x-correlation-id", "c-1")])
        server.raw(full, b"", [("x-correlation-id", "c-2")])
    durations = [line.pop("duration_ms") for line in logs]
    assert all(0 <= duration < 10_000 for duration in durations)
    common = {"event": "call", "log_level": "info", "method": full}
    assert logs == [
        common
        | {
            "caller": USER,
            "kid": KID,
            "code": "NOT_FOUND",
            "reason": "MATCH_NOT_FOUND",
            "correlation_id": "c-1",
        },
        common
        | {
            "caller": None,
            "kid": None,
            "code": "UNAUTHENTICATED",
            "reason": "AUTHENTICATION_ERROR",
            "correlation_id": "c-2",
        },
    ]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(body=st.binary(max_size=300))
def test_no_bytes_are_an_internal_error(toy: Toy, server: Serving, body: bytes) -> None:
    full = path("MatchService", "CreateMatch")
    answer = server.raw(full, body, headers(full, body))
    assert answer.code in (grpc.StatusCode.OK, grpc.StatusCode.INVALID_ARGUMENT)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(text=st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=300))
def test_no_headers_are_an_internal_error(toy: Toy, server: Serving, text: str) -> None:
    answer = server.raw(
        path("MatchService", "CreateMatch"), b"", [("x-sheen-claims", text), ("x-sheen-signature", text)]
    )
    assert answer.code is grpc.StatusCode.UNAUTHENTICATED


def harness(toy: Toy) -> Any:
    service = SERVICES["MatchService"]
    handlers = method_handlers(Pipeline(KEYS, Turns(1), lambda _: None, lambda: NOW), service, toy)
    behaviours = SimpleNamespace(**{name: handler.unary_unary for name, handler in handlers.items()})
    return grpc_testing.server_from_dictionary({service: behaviours}, grpc_testing.strict_real_time())


def invoke(toy: Toy, metadata: list[tuple[str, str]], body: bytes) -> Any:
    method = SERVICES["MatchService"].methods_by_name["CreateMatch"]
    return harness(toy).invoke_unary_unary(method, metadata, body, 5)


def test_the_behaviours_work_without_a_server(toy: Toy) -> None:
    full = path("MatchService", "CreateMatch")
    rpc = invoke(toy, headers(full), b"")
    response, _, code, _ = rpc.termination()
    assert code is grpc.StatusCode.OK
    assert pb.CreateMatchResponse.FromString(response).already_open
    assert "x-correlation-id" in dict(rpc.initial_metadata())
    assert toy.calls[0][1].caller.roles == {Role.CLIENT}


def test_errors_are_statuses_without_a_server_too(toy: Toy) -> None:
    full = path("MatchService", "CreateMatch")
    toy.answer = failing(MatchExpired(UUID(ID)))
    rpc = invoke(toy, headers(full), b"")
    response, _, code, details = rpc.termination()
    assert response is None
    assert code is grpc.StatusCode.FAILED_PRECONDITION
    assert details == f"match {ID} has expired"


def test_a_client_that_leaves_during_a_call_leaves_no_traceback(
    toy: Toy, server: Serving, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    asked, left, done = threading.Event(), threading.Event(), threading.Event()

    def answer() -> Any:
        asked.set()
        assert left.wait(10)
        return pb.CreateMatchResponse()

    full = path("MatchService", "CreateMatch")
    for outcome in (answer, lambda: (answer(), failing(MatchExpired(UUID(ID)))())):
        asked.clear()
        left.clear()
        toy.answer = outcome
        stub: Any = server.channel.unary_unary(full)
        call = stub.future(b"", metadata=headers(full), timeout=10)
        call.add_done_callback(lambda _: done.set())
        assert asked.wait(10)
        call.cancel()
        assert done.wait(10)
        left.set()
    toy.answer = pb.CreateMatchResponse
    assert server.call("MatchService", "CreateMatch").code is grpc.StatusCode.OK
    assert [record for record in caplog.records if record.name.startswith("grpc.")] == []
    assert "Traceback" not in capfd.readouterr().err


def test_who_calls_is_found_out_on_the_threads_of_calls(toy: Toy) -> None:
    """The server has a single thread that polls: what it waits for, every call waits for."""
    threads: list[str] = []

    def here(_: UUID) -> None:
        threads.append(threading.current_thread().name)

    def watch_project_events(_request: Any, _call: Call, stream: StreamContext) -> None:
        stream.fail(MatchNotFound(UUID(ID)))

    watching = SimpleNamespace(watch_project_events=watch_project_events)
    with serving({"MatchService": toy, "EventService": watching}, count_call=here) as server:
        server.call("MatchService", "CreateMatch")
        with pytest.raises(grpc.RpcError):
            next(server.watch(b""))
    assert len(threads) == 2
    assert all(name.startswith("rpc") for name in threads)
