"""What is tried again, when, and under which ids. No I/O."""

from __future__ import annotations

import random
import uuid
from typing import Any, TypeVar

from google.protobuf.message import Message
from tenacity import RetryCallState, retry_if_exception, stop_before_delay

from matching_client.errors import Cancelled, MatchingError, TransactionConflict, Unavailable

FIRST_BACKOFF = 0.05
"""Upper bound of the first wait, in seconds; doubled with each attempt."""
CALL_BACKOFF_CAP = 2.0
"""Largest upper bound of a wait between the attempts of a call, in seconds."""

_OWN_IDS = ("request_id", "client_msg_id")
_Request = TypeVar("_Request", bound=Message)


def is_retryable(error: BaseException) -> bool:
    """Whether a call may be made again: the service was out of reach, went away, or changed nothing.

    A call that this side did not cancel ends as CANCELLED where its server is told to end meanwhile.
    """
    return isinstance(error, Unavailable | TransactionConflict | Cancelled)


def backoff(attempt: int, cap: float, retry_after: float | None = None) -> float:
    """Seconds to wait after attempt 1, 2, …: full jitter, on top of what the service asked for."""
    bound = min(cap, FIRST_BACKOFF * 2 ** min(attempt - 1, 16))
    return (retry_after or 0.0) + random.uniform(0, bound)


def rules(timeout: float) -> dict[str, Any]:
    """Arguments for `tenacity.Retrying` or `AsyncRetrying`: as often as `timeout` seconds in all allow.

    An attempt that would begin after the timeout is not waited for; the error of the last one is raised.
    """
    return {
        "retry": retry_if_exception(is_retryable),
        "wait": _wait,
        "stop": stop_before_delay(timeout),
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
    copy = type(request)()
    copy.CopyFrom(request)
    for name in missing:
        setattr(copy, name, str(uuid.uuid4()))
    return copy
