"""Errors of the client's tree, as the service would send them."""

from __future__ import annotations

from collections.abc import Mapping

import grpc
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RequestInfo, RetryInfo
from google.rpc.status_pb2 import Status

from advisor_matching.v1.error_reason_pb2 import ErrorReason
from matching_client.errors import (
    AdvisorNotFound,
    EventIdInvalid,
    FieldViolation,
    InvalidArgument,
    InvalidTransition,
    MatchingError,
    MatchNotFound,
    ProjectNotFound,
)
from matching_client.signing import PACKAGE

_PREFIX = "ERROR_REASON_"
_NAMES = [name.removeprefix(_PREFIX) for name in ErrorReason.keys()[1:]]

REASONS: Mapping[type[MatchingError], str] = {
    MatchingError.kind(grpc.StatusCode.UNKNOWN, name): name for name in _NAMES
}
"""The reason that each class of the tree stands for, from the contract; the others stand for a code alone."""

_RETRY_AFTER: Mapping[str, float] = {
    "TRANSACTION_CONFLICT": 0.1,
    "SLOW_CONSUMER": 1.0,
    "TOO_MANY_REQUESTS": 1.0,
    "DATABASE_ERROR": 1.0,
    "DRAINING": 0.5,
}
"""Seconds after which the service lets a caller come back."""


def error_of(kind: type[MatchingError], message: str, **metadata: str) -> MatchingError:
    """An error with the reason of its class."""
    reason = REASONS.get(kind, "")
    return kind(message, reason=reason, metadata=metadata, retry_after=_RETRY_AFTER.get(reason))


def scripted(error: MatchingError | type[MatchingError] | str) -> MatchingError:
    """The error that a test asked for: one of its own, a class, or a reason ("ETAG_MISMATCH").

    ValueError where there is no such reason.
    """
    if isinstance(error, MatchingError):
        if not error.reason:
            error.reason = REASONS.get(type(error), "")
        return error
    if isinstance(error, str):
        if error not in _NAMES:
            raise ValueError(f"the contract has no reason {error!r}")
        error = MatchingError.kind(grpc.StatusCode.UNKNOWN, error)
    return error_of(error, f"the test asked for {error.__name__}")


def invalid(field: str, description: str) -> MatchingError:
    """The error for a single field."""
    return invalid_fields([FieldViolation(field, description)])


def invalid_fields(violations: list[FieldViolation]) -> MatchingError:
    """The error for these fields."""
    message = "; ".join(f"{found.field}: {found.description}" for found in violations)
    return InvalidArgument(message, reason="INVALID_ARGUMENT", field_violations=tuple(violations))


def event_id_invalid(field: str) -> MatchingError:
    """The error for a text that is no event id."""
    violation = FieldViolation(field, "is not an event id")
    return EventIdInvalid(
        f"{field}: is not an event id", reason="EVENT_ID_INVALID", field_violations=(violation,)
    )


def no_project(project_id: str) -> MatchingError:
    """There is none, or not for the caller."""
    return error_of(ProjectNotFound, f"no project with id {project_id}")


def no_match(match_id: str) -> MatchingError:
    """There is none, or not for the caller."""
    return error_of(MatchNotFound, f"no match with id {match_id}")


def no_advisor(advisor_id: str) -> MatchingError:
    """There is none."""
    return error_of(AdvisorNotFound, f"no advisor with id {advisor_id}")


def no_step(source: str, target: str, match_id: str) -> MatchingError:
    """The match's status does not allow the step; statuses in lower-case words."""
    told = {"from": source, "to": target, "match_id": match_id}
    return error_of(InvalidTransition, f"a match that is {source} cannot become {target}", **told)


def trailers(error: MatchingError, correlation_id: str) -> tuple[tuple[str, bytes], ...]:
    """The trailing metadata of the failed call; none where the error has no reason: it is not the service's."""
    if not error.reason:
        return ()
    status = Status(code=error.code.value[0], message=error.message)
    for detail in _details(error, correlation_id):
        status.details.add().Pack(detail)
    return (("grpc-status-details-bin", status.SerializeToString()),)


def _details(error: MatchingError, correlation_id: str) -> list[Message]:
    details: list[Message] = [
        ErrorInfo(reason=error.reason, domain=PACKAGE, metadata=error.metadata),
        RequestInfo(request_id=correlation_id),
    ]
    if error.field_violations:
        fields = [
            BadRequest.FieldViolation(field=found.field, description=found.description)
            for found in error.field_violations
        ]
        details.append(BadRequest(field_violations=fields))
    if error.retry_after is not None:
        delay = Duration()
        delay.FromNanoseconds(int(error.retry_after * 1e9))
        details.append(RetryInfo(retry_delay=delay))
    return details
