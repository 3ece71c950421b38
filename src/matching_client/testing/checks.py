"""What is wrong with a request, field by field, within the bounds that the contract states."""

from __future__ import annotations

import math
import re
import zoneinfo
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from advisor_matching.v1.types_pb2 import PreferenceRule, RuleEffect, ScoringWeights
from matching_client.errors import FieldViolation

EVENT_TYPES = (
    "advisor.match_pending",
    "advisor.matched",
    "advisor.client_approved",
    "advisor.accepted",
    "advisor.match_declined",
    "advisor.match_expired",
    "advisor.finalized",
    "advisor.workspace_ready",
    "advisor.provisioning_failed",
    "advisor.released",
    "message.new",
    "heartbeat",
)
"""The names of the events."""

Check = Callable[[Any], str]
"""What is wrong with a value; empty: nothing."""

_MAX_LIST, _MAX_EXCLUSIONS = 50, 500
_NO_IDS = ("last_event_id", "after_event_id", "watch_id")
_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_CONTROL_IN_TEXT = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")


def _text(limit: int, control: re.Pattern[str] = _CONTROL) -> Check:
    def check(value: str) -> str:
        if len(value) > limit:
            return f"is longer than {limit} characters"
        return "contains control characters" if control.search(value) else ""

    return check


def _shape(pattern: str, wrong: str) -> Check:
    return lambda value: "" if re.fullmatch(pattern, value) else wrong


def _between(least: float, most: float) -> Check:
    def check(value: float) -> str:
        if not math.isfinite(value):
            return "must be a finite number"
        return "" if least <= value <= most else f"must be from {least:g} to {most:g}"

    return check


def _span(hours: int) -> Check:
    def check(value: Duration) -> str:
        seconds = value.seconds + value.nanos / 1e9
        return "" if 1 <= seconds <= hours * 3600 else f"must be from 1 s to {hours} h"

    return check


def _page_size(value: int) -> str:
    return "" if 0 <= value <= 200 else "must be from 1 to 200, or 0 for 50"


def _word(value: str) -> str:
    return _text(64)(value) if value else "is empty"


def _zone(value: str) -> str:
    known = _zones()
    return "" if not known or value in known else "is not an IANA time zone"


@cache
def _zones() -> set[str]:
    """Empty where the system has no zone database."""
    return zoneinfo.available_timezones()


def _is_id(value: str) -> str:
    return "" if _UUID.fullmatch(value) else "is not a UUID"


def _of_service(_: object) -> str:
    return "is set by the service"


_CHECKS: Mapping[str, Check] = {
    "reason": _text(1000, _CONTROL_IN_TEXT),
    "text": _text(10_000, _CONTROL_IN_TEXT),
    "name": _text(200),
    "display_name": _text(200),
    "email": _shape(r"[^@\s]{1,250}@[^@\s]{1,69}", "is not an e-mail address"),
    "avatar_url": _text(2048),
    "owner_locale": _shape(r"(?=.{1,35}$)[A-Za-z]{2,8}(?:-[A-Za-z0-9]{1,8})*", "is not a BCP 47 locale"),
    "owner_timezone": _zone,
    "framework": _text(64),
    "skill": _text(64),
    "type": _text(64),
    "intervention_type": _text(64),
    "etag": _text(64),
    "watch_id": _shape(r"[A-Za-z0-9._-]{1,64}", "is not 1 to 64 of A-Z, a-z, 0-9, '.', '_' and '-'"),
    "rating": _between(0, 5),
    "boost": _between(-100, 100),
    "max_concurrent_projects": _between(1, 100),
    "page_size": _page_size,
    "limit": _between(0, 1000),
    "expires_in": _span(168),
    "window": _span(366 * 24),
    "languages": _word,
    "frameworks": _word,
    "skills": _word,
    "specialties": _word,
    "complexity_factors": _word,
    "preferred_frameworks": _word,
    "exclude_advisor_ids": _is_id,
    "types": lambda value: "" if value in EVENT_TYPES else "is not the name of an event",
}
"""By the field's name, which means the same in every message of the contract."""

_IN_MESSAGE: Mapping[tuple[str, str], Check] = {
    ("Advisor", "timezone"): _zone,
    ("PreferenceRule", "id"): _of_service,
    ("PreferenceRule", "created_by"): _of_service,
    ("PreferenceRule", "created_at"): _of_service,
    **{("ScoringWeights", name): _between(0, math.inf) for name in ScoringWeights.DESCRIPTOR.fields_by_name},
}
"""Where it means something else."""

_REQUIRED: Mapping[str, tuple[str, ...]] = {
    "CreateMatchRequest": ("project_id",),
    "GetMatchRequest": ("match_id",),
    "ListProjectMatchesRequest": ("project_id",),
    "ClaimMatchRequest": ("match_id",),
    "SubmitClientDecisionRequest": ("match_id", "decision"),
    "SubmitAdvisorDecisionRequest": ("match_id", "decision"),
    "AssignAdvisorRequest": ("project_id", "advisor_id"),
    "ReleaseAdvisorRequest": ("project_id", "advisor_id"),
    "SimulateMatchRequest": ("project_id",),
    "ExplainMatchRequest": ("match_id",),
    "CreatePreferenceRuleRequest": ("rule",),
    "PreferenceRule": ("advisor_id", "effect"),
    "DeletePreferenceRuleRequest": ("rule_id",),
    "RetryProvisioningRequest": ("match_id",),
    "ResendNotificationRequest": ("notification_id",),
    "WatchProjectEventsRequest": ("project_id",),
    "ListProjectEventsRequest": ("project_id",),
    "SendMessageRequest": ("project_id", "text", "client_msg_id"),
    "ListMessagesRequest": ("project_id",),
    "UpsertProjectRequest": ("project",),
    "Project": ("id", "owner_id", "name"),
    "GetProjectRequest": ("project_id",),
    "UpsertAdvisorRequest": ("advisor",),
    "Advisor": ("id", "display_name"),
    "GetAdvisorRequest": ("advisor_id",),
    "DeactivateAdvisorRequest": ("advisor_id",),
}


def violations(message: Message, path: str = "") -> Iterator[FieldViolation]:
    """What is wrong with a message, each with the path of its field."""
    given = {field.name: value for field, value in message.ListFields()}
    for name in _REQUIRED.get(message.DESCRIPTOR.name, ()):
        if name not in given:
            yield FieldViolation(path + name, "is required")
    for field, value in message.ListFields():
        yield from _of_field(field, value, path + field.name)
    wrong = _as_a_whole(message)
    if wrong:
        yield FieldViolation(f"{path}{wrong[0]}".rstrip("."), wrong[1])


def with_lower_case_ids(message: Message) -> None:
    """Ids may come in either case, and are the same."""
    for field, value in message.ListFields():
        if field.is_repeated:
            if field.name == "exclude_advisor_ids":
                value[:] = [id_.lower() for id_ in value]
        elif isinstance(value, Message):
            with_lower_case_ids(value)
        elif _names_an_id(field):
            setattr(message, field.name, value.lower())


def _of_field(field: FieldDescriptor, value: Any, path: str) -> Iterator[FieldViolation]:
    check = _check_of(field)
    if field.is_repeated:
        most = _MAX_EXCLUSIONS if field.name == "exclude_advisor_ids" else _MAX_LIST
        if len(value) > most:
            yield FieldViolation(path, f"has more than {most} entries")
            return
        wrong = [(f"{path}[{index}]", check(entry)) for index, entry in enumerate(value)]
        if field.name == "preferred_complexity" and len(set(value)) != len(value):
            wrong.append((path, "names a value more than once"))
    elif isinstance(value, Message) and not isinstance(value, Duration | Timestamp):
        yield from violations(value, f"{path}.")
        return
    else:
        wrong = [(path, check(value))]
    yield from (FieldViolation(where, description) for where, description in wrong if description)


def _check_of(field: FieldDescriptor) -> Check:
    special = _IN_MESSAGE.get((_message_of(field), field.name))
    if special is not None:
        return special
    enum = field.enum_type
    if enum is not None:
        known = set(enum.values_by_number) - {0}
        return lambda number: "" if number in known else f"is not a {enum.name}"
    if _names_an_id(field):
        return _is_id
    return _CHECKS.get(field.name, lambda _: "")


def _message_of(field: FieldDescriptor) -> str:
    return field.containing_type.name if field.containing_type is not None else ""


def _names_an_id(field: FieldDescriptor) -> bool:
    named = field.name == "id" or (field.name.endswith("_id") and field.name not in _NO_IDS)
    return named and field.type == FieldDescriptor.TYPE_STRING


def _as_a_whole(message: Message) -> tuple[str, str] | None:
    """What is wrong with fields that are right each by itself: (field, what)."""
    if isinstance(message, ScoringWeights) and not message.ListFields():
        return "", "has only zero weights"
    if isinstance(message, PreferenceRule):
        if message.effect == RuleEffect.RULE_EFFECT_BOOST and not message.boost:
            return "boost", "must not be 0 where the effect is BOOST"
        if message.effect > RuleEffect.RULE_EFFECT_BOOST and message.boost:
            return "boost", "must be 0 unless the effect is BOOST"
        both = message.HasField("active_from") and message.HasField("active_until")
        if both and message.active_until.ToNanoseconds() <= message.active_from.ToNanoseconds():
            return "active_until", "must be after active_from"
    return None
