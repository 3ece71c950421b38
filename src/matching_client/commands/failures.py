"""How a command ended: an exit code for each class of error, and what its user can do about it."""

from __future__ import annotations

from enum import IntEnum
from typing import TypeVar

from matching_client import errors
from matching_client.errors import MatchingError

_T = TypeVar("_T")


class ExitCode(IntEnum):
    """What the shell sees. Part of the command's promise."""

    OK = 0
    UNEXPECTED = 1
    USAGE = 2
    NOT_FOUND = 3
    NOT_ALLOWED = 4
    REFUSED = 5
    OUT_OF_REACH = 6
    DEFECT = 7
    INTERRUPTED = 130


MEANINGS: dict[ExitCode, str] = {
    ExitCode.OK: "done",
    ExitCode.UNEXPECTED: "a defect of the command itself; also: `admin audit` or `repair` left violations",
    ExitCode.USAGE: "the command line, a setting or an argument is wrong",
    ExitCode.NOT_FOUND: "it is not there, or the caller may not see it",
    ExitCode.NOT_ALLOWED: "not authenticated, or none of the caller's roles may",
    ExitCode.REFUSED: "the state of things does not allow it (now)",
    ExitCode.OUT_OF_REACH: "the service is out of reach, too slow, or has too much to do",
    ExitCode.DEFECT: "a defect of the service, or a release that does not know the method",
    ExitCode.INTERRUPTED: "interrupted (a watch ends with 0)",
}

_CODES: dict[type[MatchingError], ExitCode] = {
    MatchingError: ExitCode.DEFECT,
    errors.InvalidArgument: ExitCode.USAGE,
    errors.NotFound: ExitCode.NOT_FOUND,
    errors.Unauthenticated: ExitCode.NOT_ALLOWED,
    errors.PermissionDenied: ExitCode.NOT_ALLOWED,
    errors.AlreadyExists: ExitCode.REFUSED,
    errors.FailedPrecondition: ExitCode.REFUSED,
    errors.Aborted: ExitCode.REFUSED,
    errors.OutOfRange: ExitCode.REFUSED,
    errors.ResourceExhausted: ExitCode.OUT_OF_REACH,
    errors.Unavailable: ExitCode.OUT_OF_REACH,
    errors.DeadlineExceeded: ExitCode.OUT_OF_REACH,
    errors.Cancelled: ExitCode.OUT_OF_REACH,
    errors.WatchPositionUnknown: ExitCode.OUT_OF_REACH,
}

_ADVICE: dict[type[MatchingError], str] = {
    MatchingError: "run it again; if it stays, see the server's log",
    errors.InvalidArgument: "put the named field right; --help says what the command takes",
    errors.EventIdInvalid: "take the id from `matching events list` of this very project",
    errors.IdempotencyMismatch: "the id was used for another request: choose a new one, or none",
    errors.Unauthenticated: "check the key (MATCHING_KEY_ID, MATCHING_SECRET or the connection file) and --user-id",
    errors.PermissionDenied: "call as somebody who may (--user-id, --roles); the key may also be held to some roles",
    errors.NotFound: "check the id, and that the caller may see it; without --user-id an operator looks, who sees all",
    errors.AdvisorNotFound: "check the id: `matching advisors list`; an advisor who acts has to be in the directory",
    errors.RuleNotFound: "see `matching admin rules list`",
    errors.JobNotFound: "nothing was ever provisioned: see `matching matches get` for where the match stands",
    errors.NotificationNotFound: "see `matching admin notifications list`",
    errors.DuplicateMatchRequest: "look at it: matching matches get {match_id}",
    errors.FailedPrecondition: "look where things stand, and try another way",
    errors.NoAdvisorsAvailable: "leave out --require-immediate to wait for one; `matching admin pool` counts them",
    errors.AllAdvisorsBusy: "leave out --require-immediate to wait for one; `matching admin pool` counts them",
    errors.AdvisorAtCapacity: "give them a slot more (`matching availability set`), or choose another",
    errors.AdvisorUnavailable: "wait until they are available, choose another, or assign with --type emergency",
    errors.AdvisorInactive: "bring them back (`matching advisors add --active`), or choose another",
    errors.AlreadyAssigned: "they work there already: nothing is left to do",
    errors.InvalidTransition: "see where the match stands: matching matches get {match_id}",
    errors.MatchExpired: "ask for a new one: matching matches create PROJECT_ID",
    errors.Aborted: "run it again",
    errors.EtagMismatch: "it has changed: read it (matching matches get {match_id}) and decide anew",
    errors.StreamEvicted: "the user has too many streams: end one, or watch as another --user-id",
    errors.EventsCompacted: "what lies between is gone: go on with --since {oldest_event_id}, or --from-start",
    errors.EventIdUnknown: "the id is of another log: begin anew with --from-start",
    errors.ResourceExhausted: "wait{retry_after}, and run it again",
    errors.SlowConsumer: "read faster, and go on with --since",
    errors.Unavailable: "is the server running at {address}? `matching info` asks it",
    errors.DatabaseError: "the server is there, its database is not: see the server's log",
    errors.Draining: "the server is shutting down: run it again when it is back",
    errors.DeadlineExceeded: "is {address} right? Otherwise give it more --timeout; it is safe to run it again",
    errors.Cancelled: "run it again",
    errors.Unimplemented: "that server's release has no such method: compare `matching info` and --version",
    errors.InternalError: "report it with the correlation id",
    errors.WatchPositionUnknown: "look with `matching events list` at what was missed, and watch again with --since",
}

_ADVICE_BY_DETAIL = {
    "TIMESTAMP_SKEW": "set this machine's clock: it is more than 5 minutes off the server's",
    "CLAIMS_EXPIRED": "set this machine's clock: it is behind the server's",
    "SIGNATURE_INVALID": "the server at {address} does not know this key with this secret: check both",
    "CLAIMS_MALFORMED": "check --user-id (a UUID), --email and --roles",
}


def exit_code(error: MatchingError) -> ExitCode:
    """The exit code of an error's class."""
    return _nearest(_CODES, type(error))


def told(error: MatchingError, address: str) -> str:
    """One line: reason, message, fields at fault, correlation id, and what to do."""
    advice = _nearest(_ADVICE, type(error))
    if isinstance(error, errors.Unauthenticated):
        advice = _ADVICE_BY_DETAIL.get(error.detail, advice)
    facts = {
        "address": address or "the address given",
        "match_id": error.metadata.get("match_id", "MATCH_ID"),
        "oldest_event_id": error.metadata.get("oldest_event_id", "EVENT_ID"),
        "retry_after": "" if error.retry_after is None else f" {error.retry_after:g} s",
    }
    return f"{' '.join(str(error).split())} -- {advice.format_map(facts)}"


def _nearest(table: dict[type[MatchingError], _T], kind: type[MatchingError]) -> _T:
    """The entry of the class, or of the nearest one that it is a kind of."""
    return next(table[above] for above in kind.__mro__ if above in table)
