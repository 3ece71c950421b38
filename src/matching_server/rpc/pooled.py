"""A behaviour that runs on threads of its own instead of the server's."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any


class Pooled:
    """Wraps a behaviour; gRPC reads the two attributes, whose names are its own."""

    def __init__(
        self, behaviour: Callable[..., Any], pool: ThreadPoolExecutor, *, non_blocking: bool = False
    ) -> None:
        self._behaviour = behaviour
        self.experimental_thread_pool = pool
        self.experimental_non_blocking = non_blocking

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Calls the behaviour as it is; gRPC chose the thread."""
        return self._behaviour(*args, **kwargs)
