"""Both servers as one."""

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from matching_server.embedded.postgres import NO_SETTINGS, EmbeddedPostgres
from matching_server.embedded.redis_server import EmbeddedRedis


class EmbeddedServices:
    """Postgres and Redis in one data directory, started and stopped together.

    postgres_settings: as in EmbeddedPostgres.
    """

    def __init__(self, data_dir: Path, *, postgres_settings: Mapping[str, str] = NO_SETTINGS) -> None:
        self.postgres = EmbeddedPostgres(data_dir, settings=postgres_settings)
        self.redis = EmbeddedRedis(data_dir)
        self._running = ExitStack()

    @property
    def database_url(self) -> str:
        """SQLAlchemy's URL of the database `matching`."""
        return self.postgres.url

    @property
    def redis_url(self) -> str:
        """The URL of Redis."""
        return self.redis.url

    def start(self) -> None:
        """Starts both, or neither. DataDirectoryInUse or EmbeddedError where it can't."""
        with ExitStack() as starting:
            starting.enter_context(self.postgres)
            starting.enter_context(self.redis)
            self._running = starting.pop_all()

    def stop(self) -> None:
        """Stops both. Repeatable."""
        self._running.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
