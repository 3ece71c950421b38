from __future__ import annotations

from collections.abc import Iterator

import grpc
import pytest

from advisor_matching.v1.admin_service_pb2 import AuditInvariantsResponse, InvariantViolation
from advisor_matching.v1.error_reason_pb2 import ErrorReason
from matching_client import errors
from matching_client.commands.failures import MEANINGS, ExitCode, exit_code, told
from matching_client.errors import MatchingError
from tests.support.command import matching
from tests.unit.client.scripted import CORRELATION, GET_MATCH, ScriptedServer, answer, fail

A = "11111111-1111-4111-8111-111111111111"
CODES = {
    grpc.StatusCode.INVALID_ARGUMENT: 2,
    grpc.StatusCode.NOT_FOUND: 3,
    grpc.StatusCode.UNAUTHENTICATED: 4,
    grpc.StatusCode.PERMISSION_DENIED: 4,
    grpc.StatusCode.ALREADY_EXISTS: 5,
    grpc.StatusCode.FAILED_PRECONDITION: 5,
    grpc.StatusCode.ABORTED: 5,
    grpc.StatusCode.OUT_OF_RANGE: 5,
    grpc.StatusCode.RESOURCE_EXHAUSTED: 6,
    grpc.StatusCode.UNAVAILABLE: 6,
    grpc.StatusCode.DEADLINE_EXCEEDED: 6,
    grpc.StatusCode.CANCELLED: 6,
    grpc.StatusCode.INTERNAL: 7,
    grpc.StatusCode.UNIMPLEMENTED: 7,
    grpc.StatusCode.UNKNOWN: 7,
    grpc.StatusCode.DATA_LOSS: 7,
}


@pytest.mark.parametrize(
    ("code", "expected"), CODES.items(), ids=lambda value: getattr(value, "name", str(value))
)
def test_an_error_of_each_code_ends_the_command_with_the_promised_exit_code(
    code: grpc.StatusCode, expected: int, server: ScriptedServer
) -> None:
    server.script(GET_MATCH, fail(code, "SOME_REASON"))
    done = matching("matches", "get", A, "--timeout", "0.3")
    assert (done.code, done.out) == (expected, "")
    assert done.err.startswith("matching: SOME_REASON: refused") or expected == 6
    assert done.err.count("\n") == 1
    assert " -- " in done.err


def test_the_exit_codes_are_promised_by_help() -> None:
    text = matching("--help").out
    for code, meaning in MEANINGS.items():
        assert f"{code.value}  {meaning}" in text
    assert set(MEANINGS) == set(ExitCode)


def kinds(above: type[MatchingError] = MatchingError) -> Iterator[type[MatchingError]]:
    yield above
    for below in above.__subclasses__():
        yield from kinds(below)


@pytest.mark.parametrize("kind", sorted(set(kinds()), key=str), ids=lambda kind: kind.__name__)
def test_every_error_says_what_to_do_and_leaves_nothing_to_be_filled_in(kind: type[MatchingError]) -> None:
    line = told(kind("no good", reason="R", correlation_id="c"), "localhost:1")
    said, _, advice = line.partition(" -- ")
    assert said == "R: no good (correlation id c)"
    assert advice
    assert not set("{}\n") & set(advice)
    assert 2 <= exit_code(kind("no good")) <= 7


def test_what_to_do_is_said_with_the_facts() -> None:
    moved = errors.EtagMismatch("moved", metadata={"match_id": A})
    assert f"matching matches get {A}" in told(moved, "")
    gone = errors.EventsCompacted("gone", metadata={"oldest_event_id": "e1"})
    assert "--since e1" in told(gone, "")
    busy = errors.TooManyRequests("busy", retry_after=2.5)
    assert "wait 2.5 s" in told(busy, "")
    assert "localhost:1" in told(errors.Unavailable("away"), "localhost:1")
    skewed = errors.Unauthenticated("skewed", metadata={"detail": "TIMESTAMP_SKEW"})
    assert "clock" in told(skewed, "")
    unknown = errors.Unauthenticated("unknown", metadata={"detail": "SIGNATURE_INVALID"})
    assert "this key" in told(unknown, "")


def test_fields_at_fault_and_the_correlation_id_are_said(server: ScriptedServer) -> None:
    refusal = fail(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_ARGUMENT", violations={"match_id": "is odd"})
    server.script(GET_MATCH, refusal)
    done = matching("matches", "get", A)
    assert "match_id: is odd" in done.err
    assert CORRELATION in done.err


def test_every_reason_of_the_contract_has_an_exit_code() -> None:
    for reason in dict(ErrorReason.items()):
        kind = MatchingError.kind(grpc.StatusCode.UNKNOWN, reason.removeprefix("ERROR_REASON_"))
        assert exit_code(kind("x")) in MEANINGS


def test_an_audit_that_finds_something_fails(server: ScriptedServer) -> None:
    path = "/advisor_matching.v1.AdminService/AuditInvariants"
    found = AuditInvariantsResponse(violations=[InvariantViolation(invariant="load", description="adds up")])
    server.script(path, answer(found))
    done = matching("admin", "audit")
    assert done.code == 1
    assert "load" in done.out
    assert "adds up" in done.out


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("matches get nope", "'MATCH_ID'"),
        ("matches get", "Missing argument 'MATCH_ID'"),
        ("--user-id nope matches get", "'--user-id'"),
        (f"decide client {A} perhaps", "not one of approved, declined"),
        (f"matches list {A} --status closed", "not one of pending, matched"),
        (f"matches list {A} --page-size 201", "--page-size"),
        (f"matches create {A} --expires-in soon", "write it like 90s"),
        (f"matches create {A} --expires-in 2hours", "write it like 90s"),
        (f"matches create {A} --expires-in {'9' * 30}d", "too long"),
        (f"matches create {A} --weight skill=1", "not like skills=50"),
        (f"matches create {A} --weight skills=much", "is no number"),
        (f"admin rules add {A} boost --from tomorrow", "write it like 2026-01-31"),
        (f"admin rules add {A} exclude --framework vue --project {A}", "exclude each other"),
        (f"watch {A} --since e --from-start", "exclude each other"),
        ("matches claimable", "--user-id"),
        (f"matches claim {A}", "--user-id"),
        ("availability get", "--user-id"),
        ("availability set --status busy", "--user-id"),
        ("projects add --name x", "--owner-id"),
        (f"projects add --owner-id {A}", "--name"),
        ("projects add --dry-run", "--from"),
        ("projects add --from nowhere", "no such file or folder"),
        ("info --timeout 0", "--timeout"),
        ("info --connection-file nowhere.json", "nowhere.json"),
        ("frobnicate", "No such command"),
    ],
)
def test_a_mistake_is_one_line_and_makes_no_call(line: str, message: str, server: ScriptedServer) -> None:
    done = matching(*line.split())
    assert (done.code, done.out) == (2, "")
    assert message in done.err
    assert done.err.count("\n") == 1
    assert server.received == []


def test_an_advisor_who_is_new_needs_a_name(server: ScriptedServer) -> None:
    path = "/advisor_matching.v1.DirectoryService/GetAdvisor"
    server.script(path, fail(grpc.StatusCode.NOT_FOUND, "ADVISOR_NOT_FOUND"))
    done = matching("advisors", "add", A)
    assert (done.code, "--name" in done.err) == (2, True)
