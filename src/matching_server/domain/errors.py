"""Every way in which a call can fail, as one tree.

    DomainError
    ├── InvalidArgument            a field is missing, too long, out of range or malformed
    │   └── EventIdInvalid
    ├── IdempotencyMismatch        the same request id came with another body
    ├── MalformedRequest           the bytes are no message of this method
    ├── Unauthenticated            a header or the signature is missing or wrong
    ├── PermissionDenied           the caller's roles do not reach
    ├── NotFound                   it is not there, or the caller may not see it
    │   ├── ProjectNotFound ├── MatchNotFound ├── AdvisorNotFound ├── RuleNotFound ├── JobNotFound
    │   └── NotificationNotFound
    ├── DuplicateMatchRequest
    ├── PreconditionFailed         the state of things does not allow it now
    │   ├── NobodyFree (NO_ADVISORS_AVAILABLE, ALL_ADVISORS_BUSY)
    │   ├── AdvisorUnavailable ├── AdvisorAtCapacity ├── AdvisorInactive ├── AlreadyAssigned
    │   └── InvalidTransition └── MatchExpired
    ├── Aborted                    try again from the start: EtagMismatch, TransactionConflict, StreamEvicted
    ├── EventsCompacted, EventIdUnknown
    ├── SlowConsumer, TooManyRequests
    ├── StorageUnavailable, Draining
    └── NotImplementedYet          a method of the contract that this release does not serve

The reasons are those of ``error_reason.proto``; the edge maps them to gRPC codes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar
from uuid import UUID

from matching_server.domain.model import AvailabilityStatus, MatchStatus, PendingReason


class Reason(StrEnum):
    """The machine-readable reasons of the contract."""

    INVALID_ARGUMENT = "INVALID_ARGUMENT"
    EVENT_ID_INVALID = "EVENT_ID_INVALID"
    IDEMPOTENCY_MISMATCH = "IDEMPOTENCY_MISMATCH"
    MALFORMED_REQUEST = "MALFORMED_REQUEST"
    AUTHENTICATION_ERROR = "AUTHENTICATION_ERROR"
    PERMISSION_DENIED = "PERMISSION_DENIED"
    PROJECT_NOT_FOUND = "PROJECT_NOT_FOUND"
    MATCH_NOT_FOUND = "MATCH_NOT_FOUND"
    ADVISOR_NOT_FOUND = "ADVISOR_NOT_FOUND"
    RULE_NOT_FOUND = "RULE_NOT_FOUND"
    JOB_NOT_FOUND = "JOB_NOT_FOUND"
    NOTIFICATION_NOT_FOUND = "NOTIFICATION_NOT_FOUND"
    DUPLICATE_MATCH_REQUEST = "DUPLICATE_MATCH_REQUEST"
    NO_ADVISORS_AVAILABLE = "NO_ADVISORS_AVAILABLE"
    ALL_ADVISORS_BUSY = "ALL_ADVISORS_BUSY"
    ADVISOR_AT_CAPACITY = "ADVISOR_AT_CAPACITY"
    ADVISOR_UNAVAILABLE = "ADVISOR_UNAVAILABLE"
    ADVISOR_INACTIVE = "ADVISOR_INACTIVE"
    ALREADY_ASSIGNED = "ALREADY_ASSIGNED"
    INVALID_TRANSITION = "INVALID_TRANSITION"
    MATCH_EXPIRED = "MATCH_EXPIRED"
    ETAG_MISMATCH = "ETAG_MISMATCH"
    TRANSACTION_CONFLICT = "TRANSACTION_CONFLICT"
    STREAM_EVICTED = "STREAM_EVICTED"
    EVENTS_COMPACTED = "EVENTS_COMPACTED"
    EVENT_ID_UNKNOWN = "EVENT_ID_UNKNOWN"
    SLOW_CONSUMER = "SLOW_CONSUMER"
    TOO_MANY_REQUESTS = "TOO_MANY_REQUESTS"
    DATABASE_ERROR = "DATABASE_ERROR"
    DRAINING = "DRAINING"
    UNIMPLEMENTED = "UNIMPLEMENTED"
    INTERNAL_ERROR = "INTERNAL_ERROR"


class AuthenticationFault(StrEnum):
    """The ``detail`` of AUTHENTICATION_ERROR."""

    SIGNATURE_INVALID = "SIGNATURE_INVALID"
    TIMESTAMP_SKEW = "TIMESTAMP_SKEW"
    CLAIMS_MALFORMED = "CLAIMS_MALFORMED"
    CLAIMS_EXPIRED = "CLAIMS_EXPIRED"
    BODY_UNSIGNED = "BODY_UNSIGNED"
    REPLAYED = "REPLAYED"


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """One field of the request that is wrong: its path in proto names, and what is wrong with it."""

    field: str
    description: str


class DomainError(Exception):
    """What a caller is told. ``str(error)`` is for people and names the thing that is wrong."""

    reason: ClassVar[Reason] = Reason.INTERNAL_ERROR

    def __init__(
        self, message: str, *, metadata: Mapping[str, str] | None = None, retry_after: float | None = None
    ) -> None:
        super().__init__(message)
        self.metadata: dict[str, str] = dict(metadata or {})
        self.retry_after = retry_after
        """Seconds after which the same call may do better, ``None`` where waiting does not help."""


class InvalidArgument(DomainError):
    """One or more fields of the request are wrong."""

    reason = Reason.INVALID_ARGUMENT

    def __init__(self, violations: Sequence[FieldViolation]) -> None:
        super().__init__("; ".join(f"{v.field}: {v.description}" for v in violations))
        self.violations = tuple(violations)

    @classmethod
    def of(cls, field: str, description: str) -> InvalidArgument:
        """The error for a single field."""
        return cls([FieldViolation(field, description)])


class EventIdInvalid(InvalidArgument):
    """An event id that this service never made."""

    reason = Reason.EVENT_ID_INVALID


class IdempotencyMismatch(DomainError):
    """The request id was used before, with another body or for another method."""

    reason = Reason.IDEMPOTENCY_MISMATCH


class MalformedRequest(DomainError):
    """The bytes received are no message of this method."""

    reason = Reason.MALFORMED_REQUEST


class Unauthenticated(DomainError):
    """The call is not signed as the contract asks; ``metadata['detail']`` says at which check it failed."""

    reason = Reason.AUTHENTICATION_ERROR

    def __init__(self, fault: AuthenticationFault, message: str) -> None:
        super().__init__(message, metadata={"detail": fault.value})


class PermissionDenied(DomainError):
    """The caller lacks the role for the method."""

    reason = Reason.PERMISSION_DENIED


class NotFound(DomainError):
    """Not there, or not for this caller: both read the same."""

    noun: ClassVar[str] = "object"

    def __init__(self, id_: UUID | str) -> None:
        super().__init__(f"no {self.noun} with id {id_}")


class ProjectNotFound(NotFound):
    """No such project for this caller."""

    reason = Reason.PROJECT_NOT_FOUND
    noun = "project"


class MatchNotFound(NotFound):
    """No such match for this caller."""

    reason = Reason.MATCH_NOT_FOUND
    noun = "match"


class AdvisorNotFound(NotFound):
    """No such advisor."""

    reason = Reason.ADVISOR_NOT_FOUND
    noun = "advisor"


class RuleNotFound(NotFound):
    """There never was such a preference rule."""

    reason = Reason.RULE_NOT_FOUND
    noun = "rule"


class JobNotFound(NotFound):
    """There is nothing to try again: the match was never finalized."""

    reason = Reason.JOB_NOT_FOUND
    noun = "job"

    def __init__(self, match_id: UUID | str) -> None:
        DomainError.__init__(self, f"match {match_id} was never finalized: it has no job to try again")


class NotificationNotFound(NotFound):
    """No such notification."""

    reason = Reason.NOTIFICATION_NOT_FOUND
    noun = "notification"


class DuplicateMatchRequest(DomainError):
    """The project has an unsettled match and the caller asked to be told."""

    reason = Reason.DUPLICATE_MATCH_REQUEST

    def __init__(self, project_id: UUID, match_id: UUID) -> None:
        super().__init__(
            f"project {project_id} already has the unsettled match {match_id}",
            metadata={"match_id": str(match_id)},
        )


class PreconditionFailed(DomainError):
    """The state of things does not allow it now."""


class NoAdvisorsAvailable(PreconditionFailed):
    """No eligible advisor is there at all, and the caller would not wait."""

    reason = Reason.NO_ADVISORS_AVAILABLE


class AllAdvisorsBusy(PreconditionFailed):
    """Eligible advisors are there, none is free, and the caller would not wait."""

    reason = Reason.ALL_ADVISORS_BUSY


def nobody_free(why: PendingReason) -> PreconditionFailed:
    """The error that tells a caller who would not wait why nobody was found."""
    if why is PendingReason.ALL_ADVISORS_BUSY:
        return AllAdvisorsBusy("every eligible advisor is busy")
    return NoAdvisorsAvailable("no eligible advisor is available")


class AdvisorUnavailable(PreconditionFailed):
    """The advisor's status is not available."""

    reason = Reason.ADVISOR_UNAVAILABLE

    def __init__(self, advisor_id: UUID, status: AvailabilityStatus) -> None:
        super().__init__(f"advisor {advisor_id} is {status.value}")


class AdvisorAtCapacity(PreconditionFailed):
    """The advisor has no free slot."""

    reason = Reason.ADVISOR_AT_CAPACITY

    def __init__(self, advisor_id: UUID, slots: int) -> None:
        super().__init__(f"advisor {advisor_id} has no free slot of {slots}")


class AdvisorInactive(PreconditionFailed):
    """The advisor was deactivated."""

    reason = Reason.ADVISOR_INACTIVE

    def __init__(self, advisor_id: UUID) -> None:
        super().__init__(f"advisor {advisor_id} is deactivated")


class AlreadyAssigned(PreconditionFailed):
    """The advisor works on the project already."""

    reason = Reason.ALREADY_ASSIGNED

    def __init__(self, project_id: UUID, advisor_id: UUID) -> None:
        super().__init__(f"advisor {advisor_id} is already active on project {project_id}")


class InvalidTransition(PreconditionFailed):
    """The match cannot go from its status to the one asked for."""

    reason = Reason.INVALID_TRANSITION

    def __init__(
        self,
        current: MatchStatus | None,
        target: MatchStatus,
        match_id: UUID | None = None,
        *,
        because: str | None = None,
    ) -> None:
        source = current.value if current else "none"
        refused = f"a match that is {source} cannot become {target.value}"
        super().__init__(
            f"{refused}: {because}" if because else refused,
            metadata={"from": source, "to": target.value},
        )
        if match_id is not None:
            self.metadata["match_id"] = str(match_id)


class MatchExpired(PreconditionFailed):
    """The match ran out before the decision came."""

    reason = Reason.MATCH_EXPIRED

    def __init__(self, match_id: UUID) -> None:
        super().__init__(f"match {match_id} has expired", metadata={"match_id": str(match_id)})


class EtagMismatch(DomainError):
    """The match changed since the caller read it."""

    reason = Reason.ETAG_MISMATCH

    def __init__(self, match_id: UUID) -> None:
        super().__init__(
            f"match {match_id} has changed since that etag was read; read it again",
            metadata={"match_id": str(match_id)},
        )


class TransactionConflict(DomainError):
    """Others held the rows for too long; the same call may go through."""

    reason = Reason.TRANSACTION_CONFLICT

    def __init__(self) -> None:
        super().__init__("the rows are held by concurrent calls; try again", retry_after=0.1)


class EventsCompacted(DomainError):
    """The events after that id are no longer all retained."""

    reason = Reason.EVENTS_COMPACTED

    def __init__(self, oldest_event_id: str) -> None:
        super().__init__(
            "events after that id have been pruned; start again from the oldest that is kept",
            metadata={"oldest_event_id": oldest_event_id},
        )


class EventIdUnknown(DomainError):
    """The id belongs to another log, or to an event that does not exist yet."""

    reason = Reason.EVENT_ID_UNKNOWN

    def __init__(self) -> None:
        super().__init__("that event id is not of this project's log")


class SlowConsumer(DomainError):
    """The watcher reads more slowly than events come; it can resume."""

    reason = Reason.SLOW_CONSUMER

    def __init__(self) -> None:
        super().__init__("the stream was not read fast enough; resume from the last event", retry_after=1.0)


class TooManyRequests(DomainError):
    """The server has more to do than it can, or the caller asks for more than they may."""

    reason = Reason.TOO_MANY_REQUESTS

    def __init__(self, message: str, *, retry_after: float) -> None:
        super().__init__(message, retry_after=retry_after)


class StreamEvicted(DomainError):
    """The user opened one stream too many, or one under the same name; this one had to make room."""

    reason = Reason.STREAM_EVICTED

    def __init__(self) -> None:
        super().__init__("a newer stream of the same user took this one's place")


class StorageUnavailable(DomainError):
    """The database is away, read-only or full."""

    reason = Reason.DATABASE_ERROR

    def __init__(self) -> None:
        super().__init__("storage is not available; try again", retry_after=1.0)


class Draining(DomainError):
    """This server is shutting down; another one serves."""

    reason = Reason.DRAINING

    def __init__(self) -> None:
        super().__init__("this server is shutting down; try again elsewhere", retry_after=0.5)


class NotImplementedYet(DomainError):
    """A method of the contract that this release does not serve."""

    reason = Reason.UNIMPLEMENTED

    def __init__(self, method: str) -> None:
        super().__init__(f"{method} is part of the contract but not served by this release")
