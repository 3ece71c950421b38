from __future__ import annotations

import pytest
from google.rpc import error_details_pb2, status_pb2
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from advisor_matching.v1 import error_reason_pb2
from matching_server.domain.errors import DomainError, FieldViolation, InvalidArgument, Reason
from matching_server.rpc.errors import CODES, MAX_DETAILS_BYTES, Refusal, refusal

# The table of the contract's page, and what error_reason.proto adds to it.
CONTRACT = {
    "INVALID_ARGUMENT": "INVALID_ARGUMENT EVENT_ID_INVALID IDEMPOTENCY_MISMATCH MALFORMED_REQUEST",
    "UNAUTHENTICATED": "AUTHENTICATION_ERROR",
    "PERMISSION_DENIED": "PERMISSION_DENIED",
    "NOT_FOUND": "PROJECT_NOT_FOUND MATCH_NOT_FOUND ADVISOR_NOT_FOUND RULE_NOT_FOUND JOB_NOT_FOUND"
    " NOTIFICATION_NOT_FOUND",
    "ALREADY_EXISTS": "DUPLICATE_MATCH_REQUEST",
    "FAILED_PRECONDITION": "NO_ADVISORS_AVAILABLE ALL_ADVISORS_BUSY ADVISOR_AT_CAPACITY ADVISOR_UNAVAILABLE"
    " ADVISOR_INACTIVE ALREADY_ASSIGNED INVALID_TRANSITION MATCH_EXPIRED",
    "ABORTED": "ETAG_MISMATCH TRANSACTION_CONFLICT STREAM_EVICTED",
    "OUT_OF_RANGE": "EVENTS_COMPACTED EVENT_ID_UNKNOWN",
    "RESOURCE_EXHAUSTED": "SLOW_CONSUMER TOO_MANY_REQUESTS",
    "UNAVAILABLE": "DATABASE_ERROR DRAINING",
    "UNIMPLEMENTED": "UNIMPLEMENTED",
    "INTERNAL": "INTERNAL_ERROR",
}


def status_of(refused: Refusal) -> tuple[status_pb2.Status, dict[str, object]]:
    status = status_pb2.Status.FromString(refused.details)
    details: dict[str, object] = {}
    for packed in status.details:
        message = getattr(error_details_pb2, packed.type_url.rpartition(".")[2])()
        assert packed.Unpack(message)
        details[type(message).__name__] = message
    return status, details


def test_every_reason_has_the_code_of_the_contract() -> None:
    expected = {reason: code for code, reasons in CONTRACT.items() for reason in reasons.split()}
    assert {reason.value: code.name for reason, code in CODES.items()} == expected
    assert set(CODES) == set(Reason)


def test_domain_and_contract_have_the_same_reasons() -> None:
    names = {
        name.removeprefix("ERROR_REASON_") for name in error_reason_pb2.ErrorReason.DESCRIPTOR.values_by_name
    }
    assert names - {"UNSPECIFIED"} == {reason.value for reason in Reason}


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_goes_out_with_its_details(reason: Reason) -> None:
    class Failure(DomainError):
        pass

    Failure.reason = reason
    refused = refusal(Failure("it failed", metadata={"match_id": "m"}, retry_after=1.5), "corr-1")
    status, details = status_of(refused)
    assert (refused.code, refused.reason, refused.message) == (CODES[reason], reason, "it failed")
    assert (status.code, status.message) == (CODES[reason].value[0], "it failed")
    assert details["ErrorInfo"] == error_details_pb2.ErrorInfo(
        reason=reason.value, domain="advisor_matching.v1", metadata={"match_id": "m"}
    )
    assert details["RequestInfo"] == error_details_pb2.RequestInfo(request_id="corr-1")
    retry = details["RetryInfo"]
    assert isinstance(retry, error_details_pb2.RetryInfo)
    assert retry.retry_delay.ToMilliseconds() == 1500


def test_bad_input_names_its_fields() -> None:
    error = InvalidArgument([FieldViolation("a.b[3]", "is not a UUID"), FieldViolation("c", "is required")])
    status, details = status_of(refusal(error, "c"))
    assert status.message == "a.b[3]: is not a UUID; c: is required"
    assert details["BadRequest"] == error_details_pb2.BadRequest(
        field_violations=[
            error_details_pb2.BadRequest.FieldViolation(field="a.b[3]", description="is not a UUID"),
            error_details_pb2.BadRequest.FieldViolation(field="c", description="is required"),
        ]
    )
    assert "RetryInfo" not in details


@pytest.mark.parametrize("error", [ValueError("SELECT secret"), KeyError("x"), AssertionError()])
def test_a_defect_says_nothing_and_is_logged(error: Exception) -> None:
    with capture_logs() as logs:
        refused = refusal(error, "corr-2")
    status, details = status_of(refused)
    assert (refused.code.name, refused.message, status.message) == (
        "INTERNAL",
        "internal error",
        "internal error",
    )
    assert b"SELECT" not in refused.details
    assert details.keys() == {"ErrorInfo", "RequestInfo"}
    assert logs == [
        {"event": "internal error", "log_level": "error", "correlation_id": "corr-2", "exc_info": error}
    ]


def test_a_domain_error_is_no_traceback() -> None:
    with capture_logs() as logs:
        refusal(InvalidArgument.of("a", "b"), "c")
    assert logs == []


@given(
    st.lists(st.tuples(st.text(max_size=300), st.text(max_size=600)), max_size=60),
    st.dictionaries(st.text(max_size=100), st.text(max_size=2000), max_size=8),
    st.integers(1, 40),
)
def test_details_stay_small_whatever_is_in_them(
    fields: list[tuple[str, str]], metadata: dict[str, str], times: int
) -> None:
    error = InvalidArgument([FieldViolation(name * times, text * times) for name, text in fields])
    error.metadata.update(metadata)
    error.retry_after = 3.0
    refused = refusal(error, "c" * 128)
    assert len(refused.details) < MAX_DETAILS_BYTES
    assert len(refused.message.encode()) <= 512
    status_of(refused)
