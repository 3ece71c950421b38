"""Every way in which a call can fail, as one tree.

    MatchingError
    ├── InvalidArgument          a field is missing, malformed or out of bounds; see `field_violations`
    │   ├── EventIdInvalid
    │   ├── IdempotencyMismatch
    │   └── MalformedRequest
    ├── Unauthenticated          claims or signature were refused; see `detail`
    ├── PermissionDenied         none of the caller's roles may call the method
    ├── NotFound                 it is not there, or the caller may not see it
    │   ├── ProjectNotFound
    │   ├── MatchNotFound
    │   ├── AdvisorNotFound
    │   ├── RuleNotFound
    │   ├── JobNotFound
    │   └── NotificationNotFound
    ├── AlreadyExists
    │   └── DuplicateMatchRequest
    ├── FailedPrecondition       the state of things does not allow it now
    │   ├── NoAdvisorsAvailable
    │   ├── AllAdvisorsBusy
    │   ├── AdvisorAtCapacity
    │   ├── AdvisorUnavailable
    │   ├── AdvisorInactive
    │   ├── AlreadyAssigned
    │   ├── InvalidTransition
    │   └── MatchExpired
    ├── Aborted
    │   ├── EtagMismatch         read the match again and decide anew
    │   ├── TransactionConflict  retried by the client already
    │   └── StreamEvicted        the user opened another stream; never retried by the client
    ├── OutOfRange               a watch cannot resume from the id it was given
    │   ├── EventsCompacted
    │   └── EventIdUnknown
    ├── ResourceExhausted
    │   ├── SlowConsumer
    │   └── TooManyRequests
    ├── Unavailable              the service is out of reach; retried by the client already
    │   ├── DatabaseError
    │   └── Draining
    ├── DeadlineExceeded         no answer within the timeout; the call may have taken effect
    ├── Cancelled                by the caller, by closing the client, or by the transport
    ├── Unimplemented
    ├── InternalError            a defect of the service; report `correlation_id`
    └── WatchPositionUnknown     a watch broke before it knew from where to resume

The reasons are those of `error_reason.proto`. A reason that this release does not know becomes the class of
its code; a code without a class becomes MatchingError itself.
"""

from __future__ import annotations

import grpc

from matching_client.failure import FieldViolation as FieldViolation  # noqa: PLC0414 (re-exported)
from matching_client.failure import MatchingError as MatchingError  # noqa: PLC0414 (re-exported)


class InvalidArgument(MatchingError, code=grpc.StatusCode.INVALID_ARGUMENT, reason="INVALID_ARGUMENT"):
    """A field is missing, malformed or out of bounds; `field_violations` names each."""


class EventIdInvalid(InvalidArgument, reason="EVENT_ID_INVALID"):
    """The event id was not made by this service, or names another project."""


class IdempotencyMismatch(InvalidArgument, reason="IDEMPOTENCY_MISMATCH"):
    """The `request_id` or `client_msg_id` was used before, for a request with other content."""


class MalformedRequest(InvalidArgument, reason="MALFORMED_REQUEST"):
    """The bytes were no message of the method."""


class Unauthenticated(MatchingError, code=grpc.StatusCode.UNAUTHENTICATED, reason="AUTHENTICATION_ERROR"):
    """The claims or their signature were refused."""

    @property
    def detail(self) -> str:
        """Such as SIGNATURE_INVALID, TIMESTAMP_SKEW, CLAIMS_MALFORMED or CLAIMS_EXPIRED; may be empty."""
        return self.metadata.get("detail", "")


class PermissionDenied(MatchingError, code=grpc.StatusCode.PERMISSION_DENIED, reason="PERMISSION_DENIED"):
    """None of the caller's roles may call the method."""


class NotFound(MatchingError, code=grpc.StatusCode.NOT_FOUND):
    """It is not there, or the caller may not see it."""


class ProjectNotFound(NotFound, reason="PROJECT_NOT_FOUND"):
    """No such project; on a watch, also when the right to watch ends."""


class MatchNotFound(NotFound, reason="MATCH_NOT_FOUND"):
    """No such match."""


class AdvisorNotFound(NotFound, reason="ADVISOR_NOT_FOUND"):
    """No such advisor, or the caller, acting as an advisor, has no profile."""


class RuleNotFound(NotFound, reason="RULE_NOT_FOUND"):
    """There never was such a preference rule."""


class JobNotFound(NotFound, reason="JOB_NOT_FOUND"):
    """There is nothing to retry: the match was never finalized."""


class NotificationNotFound(NotFound, reason="NOTIFICATION_NOT_FOUND"):
    """No such notification."""


class _AboutMatch(MatchingError):
    """An error whose metadata names a match."""

    @property
    def match_id(self) -> str:
        """The match concerned."""
        return self.metadata.get("match_id", "")


class AlreadyExists(MatchingError, code=grpc.StatusCode.ALREADY_EXISTS):
    """It is there already."""


class DuplicateMatchRequest(AlreadyExists, _AboutMatch, reason="DUPLICATE_MATCH_REQUEST"):
    """`fail_if_open` was set and the project has an unsettled match, `match_id`."""


class FailedPrecondition(MatchingError, code=grpc.StatusCode.FAILED_PRECONDITION):
    """The state of things does not allow it now."""


class NoAdvisorsAvailable(FailedPrecondition, reason="NO_ADVISORS_AVAILABLE"):
    """`require_immediate` was set, and no eligible advisor exists or all are offline."""


class AllAdvisorsBusy(FailedPrecondition, reason="ALL_ADVISORS_BUSY"):
    """`require_immediate` was set, and eligible advisors are there, but none is free."""


class AdvisorAtCapacity(FailedPrecondition, reason="ADVISOR_AT_CAPACITY"):
    """The advisor has no free slot."""


class AdvisorUnavailable(FailedPrecondition, reason="ADVISOR_UNAVAILABLE"):
    """The advisor's status is not AVAILABLE, which a manual assignment asks for."""


class AdvisorInactive(FailedPrecondition, reason="ADVISOR_INACTIVE"):
    """The advisor is deactivated."""


class AlreadyAssigned(FailedPrecondition, reason="ALREADY_ASSIGNED"):
    """The advisor is already active on the project."""


class InvalidTransition(FailedPrecondition, _AboutMatch, reason="INVALID_TRANSITION"):
    """Match `match_id` does not allow the step; `metadata` has `from` and `to` in lower-case words."""


class MatchExpired(FailedPrecondition, _AboutMatch, reason="MATCH_EXPIRED"):
    """Match `match_id` is open past its `expires_at`, or was closed by expiry."""


class Aborted(MatchingError, code=grpc.StatusCode.ABORTED):
    """Something else was in the way."""


class EtagMismatch(Aborted, _AboutMatch, reason="ETAG_MISMATCH"):
    """Match `match_id` has changed since the `etag` was read."""


class TransactionConflict(Aborted, reason="TRANSACTION_CONFLICT"):
    """Other transactions were in the way and nothing was changed; retried within the timeout."""


class StreamEvicted(Aborted, reason="STREAM_EVICTED"):
    """The user opened a fourth stream, or one under the same `watch_id`."""


class OutOfRange(MatchingError, code=grpc.StatusCode.OUT_OF_RANGE):
    """A position outside of what there is."""


class EventsCompacted(OutOfRange, reason="EVENTS_COMPACTED"):
    """Events after the given id are no longer retained, so some would be missed."""

    @property
    def oldest_event_id(self) -> str:
        """Resuming from it delivers every event still retained."""
        return self.metadata.get("oldest_event_id", "")


class EventIdUnknown(OutOfRange, reason="EVENT_ID_UNKNOWN"):
    """The event id is of another log, or beyond the end of this one."""


class ResourceExhausted(MatchingError, code=grpc.StatusCode.RESOURCE_EXHAUSTED):
    """Too much: of calls, of streams, of bytes."""


class SlowConsumer(ResourceExhausted, reason="SLOW_CONSUMER"):
    """The reader of a stream did not keep up."""


class TooManyRequests(ResourceExhausted, reason="TOO_MANY_REQUESTS"):
    """The server has more calls or streams than it can serve; see `retry_after`."""


class Unavailable(MatchingError, code=grpc.StatusCode.UNAVAILABLE):
    """The service is out of reach; the client has retried within the timeout."""


class DatabaseError(Unavailable, reason="DATABASE_ERROR"):
    """The service's database is out of reach, read-only or full."""


class Draining(Unavailable, reason="DRAINING"):
    """The server is shutting down."""


class DeadlineExceeded(MatchingError, code=grpc.StatusCode.DEADLINE_EXCEEDED):
    """No answer in time. The call may have taken effect; repeating it with the same ids is safe."""


class Cancelled(MatchingError, code=grpc.StatusCode.CANCELLED):
    """Cancelled by the caller, by closing the client, or by the transport."""


class Unimplemented(MatchingError, code=grpc.StatusCode.UNIMPLEMENTED, reason="UNIMPLEMENTED"):
    """The server does not know the method, or its release does not serve it."""


class InternalError(MatchingError, code=grpc.StatusCode.INTERNAL, reason="INTERNAL_ERROR"):
    """A defect of the service, or, where `reason` is empty, a broken transport."""


class WatchPositionUnknown(MatchingError):
    """A watch broke before it received anything, so events may have been missed between then and now.

    It asked for what comes next, and had no event or heartbeat yet to resume after. List the project's
    events, and watch again. The error that broke it is the `__cause__`.
    """
