from __future__ import annotations

import pickle

import grpc
import pytest

import matching_client
from advisor_matching.v1.error_reason_pb2 import ErrorReason
from advisor_matching.v1.match_service_pb2 import GetMatchRequest
from matching_client import (
    DuplicateMatchRequest,
    EtagMismatch,
    EventsCompacted,
    FieldViolation,
    InvalidArgument,
    InvalidTransition,
    MatchingClient,
    MatchingError,
    NotFound,
    Unauthenticated,
    Unavailable,
    errors,
    from_rpc_error,
)
from tests.unit.client.scripted import CORRELATION, GET_MATCH, ScriptedServer, fail

CODE = grpc.StatusCode
CODES = {
    CODE.INVALID_ARGUMENT: "INVALID_ARGUMENT EVENT_ID_INVALID IDEMPOTENCY_MISMATCH MALFORMED_REQUEST",
    CODE.UNAUTHENTICATED: "AUTHENTICATION_ERROR",
    CODE.PERMISSION_DENIED: "PERMISSION_DENIED",
    CODE.NOT_FOUND: "PROJECT_NOT_FOUND MATCH_NOT_FOUND ADVISOR_NOT_FOUND RULE_NOT_FOUND JOB_NOT_FOUND "
    "NOTIFICATION_NOT_FOUND",
    CODE.ALREADY_EXISTS: "DUPLICATE_MATCH_REQUEST",
    CODE.FAILED_PRECONDITION: "NO_ADVISORS_AVAILABLE ALL_ADVISORS_BUSY ADVISOR_AT_CAPACITY ADVISOR_UNAVAILABLE "
    "ADVISOR_INACTIVE ALREADY_ASSIGNED INVALID_TRANSITION MATCH_EXPIRED",
    CODE.ABORTED: "ETAG_MISMATCH TRANSACTION_CONFLICT STREAM_EVICTED",
    CODE.OUT_OF_RANGE: "EVENTS_COMPACTED EVENT_ID_UNKNOWN",
    CODE.RESOURCE_EXHAUSTED: "SLOW_CONSUMER TOO_MANY_REQUESTS",
    CODE.UNAVAILABLE: "DATABASE_ERROR DRAINING",
    CODE.UNIMPLEMENTED: "UNIMPLEMENTED",
    CODE.INTERNAL: "INTERNAL_ERROR",
}
"""The table of the contract."""
NAMES_BY_REASON = {
    "AUTHENTICATION_ERROR": "Unauthenticated",
}
"""Classes that are not called as their reason is."""
REASONS = {
    value.name.removeprefix("ERROR_REASON_") for value in ErrorReason.DESCRIPTOR.values if value.number
}


def answered(client: MatchingClient) -> MatchingError:
    """The error of one attempt, without retries."""
    with pytest.raises(grpc.RpcError) as caught:
        client.stubs.match.GetMatch(GetMatchRequest())
    return from_rpc_error(caught.value)


def test_the_table_has_every_reason() -> None:
    listed = [reason for reasons in CODES.values() for reason in reasons.split()]
    assert sorted(listed) == sorted(REASONS)


@pytest.mark.parametrize(
    ("code", "reason"), [(code, reason) for code, reasons in CODES.items() for reason in reasons.split()]
)
def test_every_reason_has_its_class(
    client: MatchingClient, server: ScriptedServer, code: grpc.StatusCode, reason: str
) -> None:
    server.script(GET_MATCH, fail(code, reason))
    error = answered(client)
    name = NAMES_BY_REASON.get(reason, "".join(word.capitalize() for word in reason.split("_")))
    assert type(error) is getattr(matching_client, name)
    family = MatchingError.kind(code, "")
    assert isinstance(error, family)
    assert family is not MatchingError
    assert (error.code, error.reason) == (code, reason)
    assert error.message == f"refused: {reason}"
    assert error.correlation_id == CORRELATION


def test_all_facts_of_an_answer_arrive(client: MatchingClient, server: ScriptedServer) -> None:
    wrong = {"criteria.tech_stack.languages[3]": "is longer than 64 characters", "page_size": "is negative"}
    server.script(
        GET_MATCH,
        fail(
            CODE.INVALID_ARGUMENT, "INVALID_ARGUMENT", violations=wrong, metadata={"a": "b"}, retry_after=1.25
        ),
    )
    error = answered(client)
    assert isinstance(error, InvalidArgument)
    assert error.field_violations == tuple(FieldViolation(name, text) for name, text in wrong.items())
    assert error.metadata == {"a": "b"}
    assert error.retry_after == 1.25
    for part in ("INVALID_ARGUMENT", "page_size: is negative", CORRELATION):
        assert part in str(error)


def test_facts_have_names() -> None:
    assert DuplicateMatchRequest("", metadata={"match_id": "m"}).match_id == "m"
    assert EtagMismatch("", metadata={"match_id": "m"}).match_id == "m"
    assert InvalidTransition("").match_id == ""
    assert EventsCompacted("", metadata={"oldest_event_id": "e"}).oldest_event_id == "e"
    assert Unauthenticated("", metadata={"detail": "REPLAYED"}).detail == "REPLAYED"


def test_an_unknown_reason_counts_by_its_code(client: MatchingClient, server: ScriptedServer) -> None:
    server.script(GET_MATCH, fail(CODE.NOT_FOUND, "UNICORN_NOT_FOUND"))
    error = answered(client)
    assert type(error) is NotFound
    assert error.reason == "UNICORN_NOT_FOUND"


@pytest.mark.parametrize("code", [code for code in CODE if code is not CODE.OK])
def test_every_code_without_details_maps_to_something(
    client: MatchingClient, server: ScriptedServer, code: grpc.StatusCode
) -> None:
    server.script(GET_MATCH, fail(code))
    error = answered(client)
    assert (error.code, error.reason, error.message) == (code, "", "broken")
    assert error.retry_after is None
    assert (type(error) is MatchingError) is (code in {CODE.UNKNOWN, CODE.DATA_LOSS})


def test_a_bare_rpc_error_and_unreadable_details_map_to_something() -> None:
    assert type(from_rpc_error(grpc.RpcError("odd"))) is MatchingError

    class Odd(grpc.RpcError):
        def code(self) -> grpc.StatusCode:
            return CODE.UNAVAILABLE

        # The stubs give an RpcError no metadata of this type; grpcio does.
        def trailing_metadata(self) -> tuple[tuple[str, bytes], ...]:  # type: ignore[override]
            return (("grpc-status-details-bin", b"\xff\xff no status"),)

        def initial_metadata(self) -> tuple[tuple[str, str], ...]:
            return (("x-correlation-id", "from the initial metadata"),)

    error = from_rpc_error(Odd("odd"))
    assert type(error) is Unavailable
    assert error.correlation_id == "from the initial metadata"


def test_a_server_that_is_not_there_is_unavailable() -> None:
    with MatchingClient("127.0.0.1:1", key_id="k", secret="s" * 32, user_id="u", timeout=0.2) as client:
        with pytest.raises(Unavailable) as caught:
            client.get_match("m")
        assert isinstance(caught.value.__cause__, grpc.RpcError)


def test_errors_survive_pickling() -> None:
    error = errors.MatchNotFound(
        "no such match", reason="MATCH_NOT_FOUND", correlation_id="c", retry_after=2.0
    )
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is errors.MatchNotFound
    assert str(copy) == str(error)
    assert copy.retry_after == 2.0


def test_a_field_at_fault_is_told_once() -> None:
    violations = (FieldViolation("a", "is bad"), FieldViolation("b", "is worse"))
    error = InvalidArgument("a: is bad", reason="INVALID_ARGUMENT", field_violations=violations)
    assert str(error) == "INVALID_ARGUMENT: a: is bad; b: is worse"
