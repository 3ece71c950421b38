"""What is tried again, when, and under which ids. No I/O."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from matching_client.arguments import settled
from matching_client.errors import Cancelled, MatchingError, TransactionConflict, Unavailable
from matching_client.options import CallOptions

if TYPE_CHECKING:
    from google.protobuf.message import Message
    from tenacity import RetryCallState

FIRST_BACKOFF = 0.05
"""Upper bound of the first wait, in seconds; doubled with each attempt."""
CALL_BACKOFF_CAP = 2.0
"""Largest upper bound of a wait between the attempts of a call, in seconds."""
SHORTEST_ATTEMPT = 0.05
"""With less time left, in seconds, a call is not attempted again: why it failed says more than the deadline."""

_OWN_IDS = ("request_id", "client_msg_id")
_Request = TypeVar("_Request", bound="Message")


def is_retryable(error: BaseException) -> bool:
    """Whether a call may be made again: the service was out of reach, went away, or changed nothing.

    A call that this side did not cancel ends as CANCELLED where its server is told to end meanwhile.
    """
    return isinstance(error, Unavailable | TransactionConflict | Cancelled)


def backoff(attempt: int, cap: float, retry_after: float | None = None) -> float:
    """Seconds to wait after attempt 1, 2, …: full jitter, on top of what the service asked for."""
    bound = min(cap, FIRST_BACKOFF * 2 ** min(attempt - 1, 16))
    return (retry_after or 0.0) + random.uniform(0, bound)


@dataclass(frozen=True)
class Attempts(Generic[_Request]):
    """What all attempts of a call share."""

    request: _Request
    metadata: tuple[tuple[str, str], ...]
    timeout: float
    deadline: float

    @classmethod
    def of(cls, request: _Request, options: CallOptions, timeout: float) -> Attempts[_Request]:
        """Those of a call that begins now; `timeout` is the client's.

        TypeError for an option that there is not, ValueError for a bad correlation id, or a time-out that no
        clock can count.
        """
        timeout, metadata = settled(options, timeout)
        return cls(with_own_ids(request), metadata, timeout, time.monotonic() + timeout)

    def time_left(self) -> float:
        """Seconds that an attempt has that begins now."""
        return max(self.deadline - time.monotonic(), 0.0)


def rules(timeout: float, is_open: Callable[[], bool]) -> dict[str, Any]:
    """Arguments for `tenacity.Retrying` or `AsyncRetrying`: as often as `timeout` seconds in all allow.

    An attempt that would begin after the timeout, or so shortly before that it could only be cut off, is not
    waited for, and none is made by a client that is no longer open; the error of the last one is raised.
    """
    from tenacity import retry_if_exception, stop_before_delay  # noqa: PLC0415 - not before the first call

    return {
        "retry": retry_if_exception(lambda error: is_retryable(error) and is_open()),
        "wait": _wait,
        "stop": stop_before_delay(timeout - SHORTEST_ATTEMPT),
        "reraise": True,
    }


def _wait(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    retry_after = error.retry_after if isinstance(error, MatchingError) else None
    return backoff(state.attempt_number, CALL_BACKOFF_CAP, retry_after)


def with_own_ids(request: _Request) -> _Request:
    """The request, its `request_id` or `client_msg_id` filled in where it has one that is unset.

    That makes all attempts of a call the same request to the service. The caller's message is never changed.
    """
    missing = [
        name for name in _OWN_IDS if name in request.DESCRIPTOR.fields_by_name and not getattr(request, name)
    ]
    if not missing:
        return request
    from uuid import uuid4  # noqa: PLC0415 - slow to import, and not needed before the first call

    copy = type(request)()
    copy.CopyFrom(request)
    for name in missing:
        setattr(copy, name, str(uuid4()))
    return copy
