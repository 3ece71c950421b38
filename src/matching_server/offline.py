"""Use cases run by a command, outside of any server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from matching_server.domain.effects import Effects
from matching_server.operations.picture import Picture
from matching_server.operations.policy import Policy
from matching_server.operations.runner import Runner
from matching_server.storage.availability_cache import AvailabilityCache
from matching_server.storage.database import Database


@contextmanager
def offline_runner(
    database: Database, policy: Policy | None = None, redis_url: str | None = None
) -> Iterator[Runner]:
    """Gives use cases their transaction.

    Servers that run with the Redis of ``redis_url`` forget at once what was cached of whom the commits changed;
    the rest, like others, they find by themselves within 2 s.
    """
    policy, picture = policy or Policy(), Picture(database)
    if redis_url is None:
        yield Runner(database, policy, picture, _nobody_to_tell)
        return
    cache = AvailabilityCache(redis_url)
    cache.start()
    try:
        yield Runner(database, policy, picture, lambda effects: cache.forget(effects.availability_changed))
    finally:
        cache.stop()


def _nobody_to_tell(_effects: Effects) -> None:
    """Running servers find by themselves what has changed."""
