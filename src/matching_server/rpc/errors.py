"""The one place where a failure becomes a gRPC status.

What a caller is told is the domain error's own words; of anything else they learn that it was an internal
error and the correlation id, and the log gets the rest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import grpc
import structlog
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from matching_server.domain.errors import DomainError, FieldViolation, InvalidArgument, Reason

ERROR_DOMAIN = "advisor_matching.v1"
STATUS_DETAILS_KEY = "grpc-status-details-bin"
MAX_DETAILS_BYTES = 4096

_Code = grpc.StatusCode

CODES: Mapping[Reason, grpc.StatusCode] = {
    Reason.INVALID_ARGUMENT: _Code.INVALID_ARGUMENT,
    Reason.EVENT_ID_INVALID: _Code.INVALID_ARGUMENT,
    Reason.IDEMPOTENCY_MISMATCH: _Code.INVALID_ARGUMENT,
    Reason.MALFORMED_REQUEST: _Code.INVALID_ARGUMENT,
    Reason.AUTHENTICATION_ERROR: _Code.UNAUTHENTICATED,
    Reason.PERMISSION_DENIED: _Code.PERMISSION_DENIED,
    Reason.PROJECT_NOT_FOUND: _Code.NOT_FOUND,
    Reason.MATCH_NOT_FOUND: _Code.NOT_FOUND,
    Reason.ADVISOR_NOT_FOUND: _Code.NOT_FOUND,
    Reason.RULE_NOT_FOUND: _Code.NOT_FOUND,
    Reason.JOB_NOT_FOUND: _Code.NOT_FOUND,
    Reason.NOTIFICATION_NOT_FOUND: _Code.NOT_FOUND,
    Reason.DUPLICATE_MATCH_REQUEST: _Code.ALREADY_EXISTS,
    Reason.NO_ADVISORS_AVAILABLE: _Code.FAILED_PRECONDITION,
    Reason.ALL_ADVISORS_BUSY: _Code.FAILED_PRECONDITION,
    Reason.ADVISOR_AT_CAPACITY: _Code.FAILED_PRECONDITION,
    Reason.ADVISOR_UNAVAILABLE: _Code.FAILED_PRECONDITION,
    Reason.ADVISOR_INACTIVE: _Code.FAILED_PRECONDITION,
    Reason.ALREADY_ASSIGNED: _Code.FAILED_PRECONDITION,
    Reason.INVALID_TRANSITION: _Code.FAILED_PRECONDITION,
    Reason.MATCH_EXPIRED: _Code.FAILED_PRECONDITION,
    Reason.ETAG_MISMATCH: _Code.ABORTED,
    Reason.TRANSACTION_CONFLICT: _Code.ABORTED,
    Reason.STREAM_EVICTED: _Code.ABORTED,
    Reason.EVENTS_COMPACTED: _Code.OUT_OF_RANGE,
    Reason.EVENT_ID_UNKNOWN: _Code.OUT_OF_RANGE,
    Reason.SLOW_CONSUMER: _Code.RESOURCE_EXHAUSTED,
    Reason.TOO_MANY_REQUESTS: _Code.RESOURCE_EXHAUSTED,
    Reason.DATABASE_ERROR: _Code.UNAVAILABLE,
    Reason.DRAINING: _Code.UNAVAILABLE,
    Reason.UNIMPLEMENTED: _Code.UNIMPLEMENTED,
    Reason.INTERNAL_ERROR: _Code.INTERNAL,
}
"""The gRPC code of every reason."""

# Together these keep the details under MAX_DETAILS_BYTES, and the trailers, where they are written in base64
# beside the percent-encoded message, under the 8 kB that many clients accept.
_MAX_MESSAGE = 512
_MAX_METADATA_KEYS = 4
_MAX_METADATA_VALUE = 200
_MAX_FIELD = 128
_MAX_DESCRIPTION = 256
_MAX_VIOLATIONS_TOTAL = 1800

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Refusal:
    """A failed call as it goes on the wire."""

    code: grpc.StatusCode
    reason: Reason
    message: str
    details: bytes
    """A serialized ``google.rpc.Status``, under 4 kB."""

    @property
    def trailing_metadata(self) -> tuple[tuple[str, bytes]]:
        """What carries the details."""
        return ((STATUS_DETAILS_KEY, self.details),)


def refusal(error: Exception, correlation_id: str) -> Refusal:
    """What a caller is told of ``error``; what is no domain error is logged with its traceback."""
    if not isinstance(error, DomainError):
        _log.error("internal error", correlation_id=correlation_id, exc_info=error)
        error = DomainError("internal error")
    code = CODES[error.reason]
    message = _cut(str(error), _MAX_MESSAGE)
    status = status_pb2.Status(code=code.value[0], message=message)
    for detail in _details(error, correlation_id):
        status.details.add().Pack(detail)
    return Refusal(code, error.reason, message, status.SerializeToString())


def _details(error: DomainError, correlation_id: str) -> list[Message]:
    metadata = list(error.metadata.items())[:_MAX_METADATA_KEYS]
    details: list[Message] = [
        error_details_pb2.ErrorInfo(
            reason=error.reason.value,
            domain=ERROR_DOMAIN,
            metadata={_cut(key, 64): _cut(value, _MAX_METADATA_VALUE) for key, value in metadata},
        ),
        error_details_pb2.RequestInfo(request_id=correlation_id),
    ]
    if isinstance(error, InvalidArgument):
        details.append(_bad_request(error.violations))
    if error.retry_after is not None:
        details.append(error_details_pb2.RetryInfo(retry_delay=_duration(error.retry_after)))
    return details


def _bad_request(violations: tuple[FieldViolation, ...]) -> error_details_pb2.BadRequest:
    """The violations, first ones first, as far as there is room."""
    request, room = error_details_pb2.BadRequest(), _MAX_VIOLATIONS_TOTAL
    for violation in violations:
        field, description = _cut(violation.field, _MAX_FIELD), _cut(violation.description, _MAX_DESCRIPTION)
        room -= len(field.encode()) + len(description.encode()) + 8
        if room < 0:
            break
        request.field_violations.add(field=field, description=description)
    return request


def _duration(seconds: float) -> Duration:
    duration = Duration()
    duration.FromNanoseconds(int(seconds * 1_000_000_000))
    return duration


def _cut(text: str, limit: int) -> str:
    """``text`` in at most ``limit`` bytes of UTF-8, an ellipsis included where it was cut."""
    encoded = text.encode("utf-8", "replace")
    if len(encoded) <= limit:
        return encoded.decode()
    return encoded[: limit - 3].decode("utf-8", "ignore") + "…"
