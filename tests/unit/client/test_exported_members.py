from __future__ import annotations

import subprocess
import sys

import pytest

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
}
OF_ERRORS = {"matching_client", "matching_client.errors", "matching_client.failure"}
OF_A_CLIENT = OF_ERRORS | {
    "matching_client.arguments",
    "matching_client.caller",
    "matching_client.channel",
    "matching_client.client",
    "matching_client.connection",
    "matching_client.contract",
    "matching_client.defaults",
    "matching_client.methods",
    "matching_client.methods.admin",
    "matching_client.methods.availability",
    "matching_client.methods.chat",
    "matching_client.methods.decision",
    "matching_client.methods.directory",
    "matching_client.methods.event",
    "matching_client.methods.match",
    "matching_client.methods.system",
    "matching_client.options",
    "matching_client.retry",
    "matching_client.signer",
    "matching_client.signing",
    "matching_client.stubs",
    "matching_client.words",
}


def imported(statement: str) -> set[str]:
    """The modules that there are after the statement in an interpreter of its own."""
    listing = f"import sys\n{statement}\nprint(*sys.modules)"
    return set(
        subprocess.run(
            [sys.executable, "-c", listing], capture_output=True, text=True, check=True
        ).stdout.split()
    )


def test_the_public_surface_is_pinned() -> None:
    assert set(matching_client.__all__) == PUBLIC
    assert {name for name in dir(matching_client) if not name.startswith("_")} - PUBLIC <= {
        # What `from __future__` and the imports of its modules leave.
        name.removeprefix("matching_client.").split(".")[0]
        for name in sys.modules
        if name.startswith("matching_client.")
    } | {"Any", "TYPE_CHECKING"}
    assert matching_client.__version__.count(".") == 2


def test_every_public_name_is_there_whenever_it_is_imported() -> None:
    for name in PUBLIC:
        assert getattr(matching_client, name) is not None
        assert name in dir(matching_client)


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


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("import matching_client", OF_ERRORS),
        ("from matching_client import MatchingClient, MatchingError", OF_A_CLIENT),
    ],
)
def test_an_import_loads_what_it_is_asked_for_and_nothing_more(statement: str, expected: set[str]) -> None:
    """`import matching_client` may take 1.5 times as long as `import grpc`: it loads little beside."""
    loaded = imported(statement)
    beside_grpc = loaded - imported("import grpc")
    assert {name for name in loaded if name.split(".")[0] == "matching_client"} == expected
    packages = {name.split(".")[0] for name in beside_grpc} - {"matching_client"}
    assert packages <= sys.stdlib_module_names, "protobuf, tenacity and google.rpc come with the first call"
    assert not {"pathlib", "uuid", "unittest", "importlib.metadata"} & beside_grpc


def test_a_client_loads_no_messages_before_it_calls() -> None:
    loaded = imported(
        "from matching_client import AsyncMatchingClient, MatchingClient, Tls, RenewingClaims\n"
        "MatchingClient('a:1', key_id='k', secret='s' * 32, user_id='u').close()\n"
        "AsyncMatchingClient('a:1', key_id='k', secret='s' * 32, user_id='u')"
    )
    assert not {name for name in loaded if name.startswith("advisor_matching")}
    assert not {"tenacity", "typer", "rich", "pydantic", "sqlalchemy", "matching_server"} & loaded
