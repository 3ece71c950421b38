"""Redis out of a wheel."""

import secrets
import signal
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from matching_server.embedded.process import HOST, Command, ServerProcess
from matching_server.embedded.programs import redis_program


class EmbeddedRedis(ServerProcess):
    """Redis in `<data_dir>/redis`, with nothing kept on disk.

    What Redis holds can be had from Postgres again; a cache that slept through changes would come back wrong.
    """

    name = "redis"
    process_name = "redis-server"
    stop_signal = signal.SIGTERM

    def __init__(self, data_dir: Path) -> None:
        super().__init__(data_dir)
        self._password = secrets.token_hex(24)

    @property
    def url(self) -> str:
        """redis://:password@127.0.0.1:port/0"""
        return f"redis://:{self._password}@{HOST}:{self.port}/0"

    def _prepare(self) -> None:
        """Nothing: Redis starts empty."""

    def _command(self) -> Command:
        configuration = (
            f"bind {HOST}\nport {self.port}\nrequirepass {self._password}\n"
            f'dir "{self.working_directory}"\nsave ""\nappendonly no\ndaemonize no\n'
        )
        return Command((str(redis_program("redis-server")), "-"), standard_input=configuration)

    def _answers(self) -> bool:
        # The client's own retries would wait for seconds on a server that needs milliseconds.
        with redis.Redis.from_url(self.url, socket_timeout=2, retry=Retry(NoBackoff(), 0)) as client:
            try:
                return bool(client.ping())
            except redis.RedisError:
                return False

    @property
    def working_directory(self) -> Path:
        return self.home
