"""Calls that are under way at the same time, without the client's retries, and how each ended."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Protocol, TypeVar

import grpc

from matching_client import MatchingError
from matching_client.status_details import from_rpc_error

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
_ANSWER_SECONDS = 60.0


class Begun(Protocol[T_co]):
    """What a stub's ``future`` returns."""

    def result(self, timeout: float | None = None) -> T_co:
        """The answer, as soon as it is there."""


def outcomes(begun: Iterable[Begun[T]]) -> list[T | MatchingError]:
    """How calls that have been begun end, in their order."""
    return [_outcome(call) for call in list(begun)]


def answers(begun: Iterable[Begun[T]]) -> list[T]:
    """The same where none may fail.

    Raises:
        MatchingError: the first that did.
    """
    found = []
    for ended in outcomes(begun):
        if isinstance(ended, MatchingError):
            raise ended
        found.append(ended)
    return found


def _outcome(call: Begun[T]) -> T | MatchingError:
    try:
        return call.result(_ANSWER_SECONDS)
    except grpc.RpcError as error:
        return from_rpc_error(error)


def together(actions: Sequence[Callable[[], T]]) -> list[T | MatchingError]:
    """Runs the actions in threads that start at the same moment."""
    barrier = Barrier(len(actions))

    def run(action: Callable[[], T]) -> T | MatchingError:
        barrier.wait(_ANSWER_SECONDS)
        try:
            return action()
        except MatchingError as error:
            return error
        except grpc.RpcError as error:
            return from_rpc_error(error)

    with ThreadPoolExecutor(len(actions)) as pool:
        return list(pool.map(run, actions))
