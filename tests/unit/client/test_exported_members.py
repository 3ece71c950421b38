from __future__ import annotations

import subprocess
import sys
import types

import matching_client
from matching_client import errors

PUBLIC = {
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
}


def test_the_public_surface_is_pinned() -> None:
    assert set(matching_client.__all__) == PUBLIC
    visible = {
        name
        for name, value in vars(matching_client).items()
        if not name.startswith("_") and not isinstance(value, types.ModuleType)
    }
    assert visible == PUBLIC - {"__version__", "detect_stack"}
    assert matching_client.__version__.count(".") == 2


def test_every_error_is_public() -> None:
    kinds = {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, Exception) and not name.startswith("_")
    }
    assert kinds <= set(matching_client.__all__)


def test_the_tree_is_drawn_as_it_is() -> None:
    for kind in vars(errors).values():
        if isinstance(kind, type) and issubclass(kind, errors.MatchingError) and kind.__name__[0] != "_":
            assert f" {kind.__name__}" in (errors.__doc__ or "")


def test_the_import_is_light() -> None:
    listing = "import sys, matching_client; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", listing], capture_output=True, text=True, check=True
    ).stdout.split()
    assert not {"typer", "rich", "pydantic", "sqlalchemy", "matching_server"} & set(loaded)
