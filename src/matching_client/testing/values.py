"""Small things that every part of the fake uses."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any, TypeVar

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

_M = TypeVar("_M", bound=Message)


def now() -> Timestamp:
    """The time."""
    stamp = Timestamp()
    stamp.FromDatetime(datetime.now(UTC))
    return stamp


def new_id() -> str:
    """An id that nothing has yet."""
    return str(uuid.uuid4())


def word_of(value: int, enum: Any) -> str:
    """An enum's value as the service's lower-case word: MATCH_STATUS_CLIENT_APPROVED is "client_approved"."""
    return str(enum.Name(value)).removeprefix(_prefix(enum)).lower()


def name_of(word: int | str, enum: Any) -> str:
    """The name of an enum's value, which may be given as a number, a name or a word. ValueError."""
    if isinstance(word, int):
        return str(enum.Name(word))
    name = word if word.startswith(_prefix(enum)) else _prefix(enum) + word.upper()
    enum.Value(name)
    return name


def _prefix(enum: Any) -> str:
    return str(enum.Name(0)).removesuffix("UNSPECIFIED")


def copy_of(message: _M) -> _M:
    """A copy, which later changes leave alone."""
    copy = type(message)()
    copy.CopyFrom(message)
    return copy
