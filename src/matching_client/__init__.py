"""The client of the advisor matching service.

    from matching_client import MatchingClient

    with MatchingClient("127.0.0.1:50051", key_id=…, secret=…, user_id=…, roles=["client"]) as client:
        match = client.create_match(project_id).match
        with client.watch(project_id) as events:
            for event in events:
                ...

Messages are the generated ones, in `advisor_matching.v1`.
"""

import typing

from matching_client.client import MatchingClient
from matching_client.errors import (
    Aborted,
    AdvisorAtCapacity,
    AdvisorInactive,
    AdvisorNotFound,
    AdvisorUnavailable,
    AllAdvisorsBusy,
    AlreadyAssigned,
    AlreadyExists,
    Cancelled,
    DatabaseError,
    DeadlineExceeded,
    Draining,
    DuplicateMatchRequest,
    EtagMismatch,
    EventIdInvalid,
    EventIdUnknown,
    EventsCompacted,
    FailedPrecondition,
    FieldViolation,
    IdempotencyMismatch,
    InternalError,
    InvalidArgument,
    InvalidTransition,
    JobNotFound,
    MalformedRequest,
    MatchExpired,
    MatchingError,
    MatchNotFound,
    NoAdvisorsAvailable,
    NotFound,
    NotificationNotFound,
    OutOfRange,
    PermissionDenied,
    ProjectNotFound,
    ResourceExhausted,
    RuleNotFound,
    SlowConsumer,
    StreamEvicted,
    TooManyRequests,
    TransactionConflict,
    Unauthenticated,
    Unavailable,
    Unimplemented,
    WatchPositionUnknown,
)
from matching_client.settings import ConnectionSettings, SettingsError
from matching_client.signing import Claims, Credentials
from matching_client.status_details import from_rpc_error
from matching_client.watch import Watch

if typing.TYPE_CHECKING:
    from matching_client.stack import detect_stack as detect_stack

__version__: str


def __getattr__(name: str) -> typing.Any:
    """What is slow to import, and seldom asked for."""
    if name == "__version__":
        from importlib.metadata import version  # noqa: PLC0415

        return version("advisor-matching")
    if name == "detect_stack":
        from matching_client.stack import detect_stack  # noqa: PLC0415

        return detect_stack
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [
    "Aborted",
    "AdvisorAtCapacity",
    "AdvisorInactive",
    "AdvisorNotFound",
    "AdvisorUnavailable",
    "AllAdvisorsBusy",
    "AlreadyAssigned",
    "AlreadyExists",
    "Cancelled",
    "Claims",
    "ConnectionSettings",
    "Credentials",
    "DatabaseError",
    "DeadlineExceeded",
    "Draining",
    "DuplicateMatchRequest",
    "EtagMismatch",
    "EventIdInvalid",
    "EventIdUnknown",
    "EventsCompacted",
    "FailedPrecondition",
    "FieldViolation",
    "IdempotencyMismatch",
    "InternalError",
    "InvalidArgument",
    "InvalidTransition",
    "JobNotFound",
    "MalformedRequest",
    "MatchExpired",
    "MatchNotFound",
    "MatchingClient",
    "MatchingError",
    "NoAdvisorsAvailable",
    "NotFound",
    "NotificationNotFound",
    "OutOfRange",
    "PermissionDenied",
    "ProjectNotFound",
    "ResourceExhausted",
    "RuleNotFound",
    "SettingsError",
    "SlowConsumer",
    "StreamEvicted",
    "TooManyRequests",
    "TransactionConflict",
    "Unauthenticated",
    "Unavailable",
    "Unimplemented",
    "Watch",
    "WatchPositionUnknown",
    "__version__",
    "detect_stack",
    "from_rpc_error",
]
