"""The kinds of fields that requests are made of, as pydantic types, with errors in the contract's words."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Annotated, Any, NoReturn, TypeVar
from uuid import UUID
from zoneinfo import available_timezones

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from matching_server.domain.errors import FieldViolation, InvalidArgument
from matching_server.domain.events import EventType
from matching_server.domain.model import (
    ActorType,
    AssignmentType,
    AvailabilityStatus,
    ChatMode,
    Decision,
    JobStatus,
    MatchStatus,
    MessageOrder,
    ProjectComplexity,
    WorkspaceRole,
)
from matching_server.domain.notifications import NotificationStatus
from matching_server.domain.rules import RuleEffect
from matching_server.rpc import enums
from matching_server.rpc.paging import Position, decode_page_token

M = TypeVar("M", bound="RequestModel")
T = TypeVar("T")

MAX_LIST = 50
MAX_WORD = 64
MAX_NAME = 200
MAX_REASON = 1000
MAX_TEXT = 10_000
MAX_EXCLUSIONS = 500
MAX_PAGE = 200
DEFAULT_PAGE = 50
MAX_SIMULATED = 1000
DEFAULT_SIMULATED = 50
MAX_EXPIRES_IN = timedelta(hours=168)
MAX_WINDOW = timedelta(days=366)
DEFAULT_WINDOW = timedelta(hours=24)
MAX_POINTS = 100

_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_CONTROL_IN_TEXT = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
"""In texts that people write, newlines (with their carriage returns) and tabs are fine."""
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+")
_LOCALE = re.compile(r"[A-Za-z]{2,8}(?:-[A-Za-z0-9]{1,8})*")
_WATCH_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


class RequestModel(BaseModel):
    """The fields of a request that were set, checked. A field that was not set has its default."""

    model_config = ConfigDict(frozen=True, extra="ignore", arbitrary_types_allowed=True)


def read(model: type[M], message: Message) -> M:
    """Checks a request.

    Raises:
        InvalidArgument: with every field that is wrong, by its path in proto names.
    """
    try:
        return model.model_validate(set_fields(message))
    except ValidationError as error:
        raise InvalidArgument([_violation(details) for details in error.errors(include_url=False)]) from None


def set_fields(message: Message) -> dict[str, Any]:
    """The fields that are set, by name: messages as dicts again, repeated fields as lists."""
    return {field.name: _plain(field, value) for field, value in message.ListFields()}


def _plain(field: FieldDescriptor, value: Any) -> Any:
    if field.is_repeated:
        # One more than any list may have: a million entries are refused without being looked at.
        return list(value[: MAX_EXCLUSIONS + 1])
    if field.message_type is not None and not isinstance(value, Duration | Timestamp):
        return set_fields(value)
    return value


_MESSAGES: Mapping[str, str] = {
    "missing": "is required",
    "too_long": "has more than {max_length} entries",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "finite_number": "must be a finite number",
}
"""What is told instead of pydantic's words."""


def _violation(details: Any) -> FieldViolation:
    context = details.get("ctx", {})
    if details["type"] == "value_error":
        description = str(context["error"])
    else:
        description = _MESSAGES.get(details["type"], "is not valid").format(**context)
    return FieldViolation(_path(details["loc"]), description)


def _path(location: Sequence[str | int]) -> str:
    path = ""
    for step in location:
        if isinstance(step, int):
            path += f"[{step}]"
        else:
            path += f".{step}" if path else step
    return path


def parse_id(text: str) -> UUID:
    """The UUID of an id in its canonical form, 36 characters in either case.

    Raises:
        ValueError: it is something else.
    """
    if not _UUID.fullmatch(text):
        raise ValueError("is not a UUID")
    return UUID(text)


def _text(limit: int, forbidden: re.Pattern[str]) -> Callable[[str], str]:
    def check(value: str) -> str:
        if len(value) > limit:
            raise ValueError(f"is longer than {limit} characters")
        if forbidden.search(value):
            raise ValueError("contains control characters")
        return value

    return check


def _required(value: str) -> str:
    if not value:
        raise ValueError("is empty")
    return value


def _empty_is_unset(value: str) -> str | None:
    return value or None


def _shape(pattern: re.Pattern[str], description: str) -> Callable[[str | None], str | None]:
    def check(value: str | None) -> str | None:
        if value is not None and not pattern.fullmatch(value):
            raise ValueError(description)
        return value

    return check


@cache
def _zones() -> frozenset[str]:
    """The zone database is a directory tree: walked once."""
    return frozenset(available_timezones())


def _known_zone(value: str | None) -> str | None:
    if value is not None and value not in _zones():
        raise ValueError("is not an IANA time zone")
    return value


def _enum(table: enums.EnumMap[Any]) -> BeforeValidator:
    def check(number: int) -> Any:
        value = table.values.get(number)
        if value is None:
            raise ValueError(f"is not a {table.name}" if number else "must not be UNSPECIFIED")
        return value

    return BeforeValidator(check)


def _event_type(name: str) -> EventType:
    try:
        return EventType(name)
    except ValueError:
        raise ValueError("is not the name of an event") from None


def _span(longest: timedelta, bounds: str) -> BeforeValidator:
    """A duration from a second to ``longest``; ``bounds`` says so."""
    limit = int(longest.total_seconds()) * 1_000_000_000

    def check(value: Duration) -> timedelta:
        # Compared before it becomes a timedelta, which a Duration can overflow.
        seconds, nanos = value.seconds, value.nanos
        if not -1_000_000_000 < nanos < 1_000_000_000 or seconds * nanos < 0:
            raise ValueError("is not a valid duration")
        nanoseconds = seconds * 1_000_000_000 + nanos
        if not 1_000_000_000 <= nanoseconds <= limit:
            raise ValueError(f"must be {bounds}")
        return timedelta(microseconds=nanoseconds // 1000)

    return BeforeValidator(check)


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_YEARS_1_TO_9999 = range(-62_135_596_800, 253_402_300_800)
"""In Unix seconds: what a Timestamp may hold."""


def _moment(value: Timestamp) -> datetime:
    if value.seconds not in _YEARS_1_TO_9999 or not 0 <= value.nanos < 1_000_000_000:
        raise ValueError("is not a valid time")
    return _EPOCH + timedelta(seconds=value.seconds, microseconds=value.nanos // 1000)


def _of_service(value: object) -> NoReturn:
    raise ValueError("is set by the service")


def _page_size(value: int) -> int:
    if not 0 <= value <= MAX_PAGE:
        raise ValueError(f"must be from 1 to {MAX_PAGE}, or 0 for {DEFAULT_PAGE}")
    return value or DEFAULT_PAGE


def no_repeats(values: tuple[T, ...]) -> tuple[T, ...]:
    """Refuses a list that names something twice."""
    if len(set(values)) != len(values):
        raise ValueError("names a value more than once")
    return values


def bounded(limit: int) -> AfterValidator:
    """A short text of at most ``limit`` characters, without control characters; empty is unset."""
    check = _text(limit, _CONTROL)
    return AfterValidator(lambda value: check(value) or None)


Id = Annotated[UUID, BeforeValidator(parse_id)]
Word = Annotated[str, AfterValidator(_text(MAX_WORD, _CONTROL)), AfterValidator(_required)]
Few = Annotated[tuple[T, ...], Field(max_length=MAX_LIST)]
Words = Few[Word]
OptionalWord = Annotated[str | None, bounded(MAX_WORD)]
Name = Annotated[str, AfterValidator(_text(MAX_NAME, _CONTROL)), AfterValidator(_required)]
ReasonText = Annotated[
    str | None, AfterValidator(_text(MAX_REASON, _CONTROL_IN_TEXT)), AfterValidator(_empty_is_unset)
]
MessageText = Annotated[str, AfterValidator(_text(MAX_TEXT, _CONTROL_IN_TEXT)), AfterValidator(_required)]
Email = Annotated[str | None, bounded(320), AfterValidator(_shape(_EMAIL, "is not an e-mail address"))]
Address = Annotated[str | None, bounded(2048)]
Zone = Annotated[str | None, bounded(MAX_WORD), AfterValidator(_known_zone)]
Locale = Annotated[str | None, bounded(35), AfterValidator(_shape(_LOCALE, "is not a BCP 47 locale"))]
WatchId = Annotated[
    str | None,
    AfterValidator(_empty_is_unset),
    AfterValidator(_shape(_WATCH_ID, "is not 1 to 64 of A-Z, a-z, 0-9, '.', '_' and '-'")),
]
Etag = Annotated[str | None, bounded(MAX_WORD)]
Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Points = Annotated[float, Field(ge=-MAX_POINTS, le=MAX_POINTS, allow_inf_nan=False)]
Moment = Annotated[datetime, BeforeValidator(_moment)]
OfService = Annotated[None, BeforeValidator(_of_service)]
"""A field that the service fills: callers leave it out."""
ExpiresIn = Annotated[timedelta, _span(MAX_EXPIRES_IN, "from 1 s to 168 h")]
Window = Annotated[timedelta, _span(MAX_WINDOW, "from 1 s to 366 days")]
PageSize = Annotated[int, AfterValidator(_page_size)]
PageToken = Annotated[Position | None, BeforeValidator(decode_page_token)]
StatusIn = Annotated[MatchStatus, _enum(enums.MATCH_STATUS)]
DecisionIn = Annotated[Decision, _enum(enums.DECISION)]
AvailabilityStatusIn = Annotated[AvailabilityStatus, _enum(enums.AVAILABILITY_STATUS)]
EventTypeIn = Annotated[EventType, BeforeValidator(_event_type)]
JobStatusIn = Annotated[JobStatus, _enum(enums.JOB_STATUS)]
RuleEffectIn = Annotated[RuleEffect, _enum(enums.RULE_EFFECT)]
ComplexityIn = Annotated[ProjectComplexity, _enum(enums.PROJECT_COMPLEXITY)]
AssignmentTypeIn = Annotated[AssignmentType, _enum(enums.ASSIGNMENT_TYPE)]
WorkspaceRoleIn = Annotated[WorkspaceRole, _enum(enums.WORKSPACE_ROLE)]
NotificationStatusIn = Annotated[NotificationStatus, _enum(enums.NOTIFICATION_STATUS)]
ActorTypeIn = Annotated[ActorType, _enum(enums.ACTOR_TYPE)]
ChatModeIn = Annotated[ChatMode, _enum(enums.CHAT_MODE)]
MessageOrderIn = Annotated[MessageOrder, _enum(enums.MESSAGE_ORDER)]
