"""The client of the advisor matching service.

    from matching_client import MatchingClient

    with MatchingClient("127.0.0.1:50051", key_id=…, secret=…, user_id=…, roles=["client"]) as client:
        match = client.create_match(project_id).match
        with client.watch(project_id) as events:
            for event in events:
                ...

AsyncMatchingClient has the same methods, to be awaited. Messages are the generated ones, in
`advisor_matching.v1`.
"""

from typing import TYPE_CHECKING, Any

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

if TYPE_CHECKING:
    from matching_client.aio.client import AsyncMatchingClient
    from matching_client.aio.watch import AsyncWatch
    from matching_client.client import MatchingClient
    from matching_client.renewal import AsyncRenewingClaims, RenewingClaims
    from matching_client.settings import ConnectionSettings, SettingsError, Tls
    from matching_client.signing import Claims, Credentials
    from matching_client.stack import detect_stack
    from matching_client.status_details import from_rpc_error
    from matching_client.watch import Watch

__version__: str

_LATER = {
    "AsyncMatchingClient": "matching_client.aio.client",
    "AsyncRenewingClaims": "matching_client.renewal",
    "AsyncWatch": "matching_client.aio.watch",
    "Claims": "matching_client.signing",
    "ConnectionSettings": "matching_client.settings",
    "Credentials": "matching_client.signing",
    "MatchingClient": "matching_client.client",
    "RenewingClaims": "matching_client.renewal",
    "SettingsError": "matching_client.settings",
    "Tls": "matching_client.settings",
    "Watch": "matching_client.watch",
    "detect_stack": "matching_client.stack",
    "from_rpc_error": "matching_client.status_details",
}
"""Where the names are that are imported when they are first asked for: a program pays for those that it uses."""


def __getattr__(name: str) -> Any:
    """A name of _LATER, or the version."""
    if name in _LATER:
        from importlib import import_module  # noqa: PLC0415 - for names that are not loaded yet

        value = getattr(import_module(_LATER[name]), name)
    elif name == "__version__":
        from importlib.metadata import version  # noqa: PLC0415 - slow to import, and seldom asked for

        value = version("advisor-matching")
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """All that is public, also what has not been imported yet."""
    return sorted({*globals(), *__all__})


__all__ = [
    "Aborted",
    "AdvisorAtCapacity",
    "AdvisorInactive",
    "AdvisorNotFound",
    "AdvisorUnavailable",
    "AllAdvisorsBusy",
    "AlreadyAssigned",
    "AlreadyExists",
    "AsyncMatchingClient",
    "AsyncRenewingClaims",
    "AsyncWatch",
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
    "RenewingClaims",
    "ResourceExhausted",
    "RuleNotFound",
    "SettingsError",
    "SlowConsumer",
    "StreamEvicted",
    "Tls",
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
