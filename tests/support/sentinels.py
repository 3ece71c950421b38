"""A Redis with a replica, and three Sentinels that put the one in the other's place."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import redis

from matching_server.embedded.programs import redis_program
from tests.support.processes import HOST, free_port
from tests.support.wait import eventually

SERVICE = "matching"
PASSWORD = "of-the-redis"  # pragma: allowlist secret
SENTINELS_PASSWORD = "of-the-sentinels"  # pragma: allowlist secret
_REDIS = """\
bind {host}
port {port}
dir {directory}
save ""
requirepass {password}
masterauth {password}
repl-diskless-sync-delay 0
"""
_SENTINEL = """\
bind {host}
port {port}
dir {directory}
requirepass {sentinels_password}
sentinel monitor {service} {host} {master} 2
sentinel auth-pass {service} {password}
sentinel sentinel-pass {sentinels_password}
sentinel down-after-milliseconds {service} 500
sentinel failover-timeout {service} 3000
"""


class Sentinels:
    """What runs, and who is the master."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._processes: dict[int, subprocess.Popen[bytes]] = {}
        self._redises = [free_port() for _ in range(2)]
        self._sentinels = [free_port() for _ in range(3)]

    @property
    def url(self) -> str:
        """Where the service finds them."""
        hosts = ",".join(f"{HOST}:{port}" for port in self._sentinels)
        return f"redis+sentinel://:{PASSWORD}@{hosts}/{SERVICE}/0?sentinel_password={SENTINELS_PASSWORD}"

    def start(self) -> None:
        """Starts all, and returns once every Sentinel knows the others and the replica."""
        first, second = self._redises
        self._start(first, _REDIS)
        self._start(second, _REDIS + f"replicaof {HOST} {first}\n")
        eventually(lambda: self._replicates(second), timeout=20, what="the replica has its copy")
        for port in self._sentinels:
            self._start(port, _SENTINEL, "--sentinel")
        eventually(lambda: all(map(self._knows_all, self._sentinels)), timeout=20, what="the Sentinels know")

    def kill_master(self) -> None:
        """Kills the master (SIGKILL); the Sentinels have to find that out."""
        self._kill(self._redises[0])

    def master(self) -> int:
        """The port of whom the Sentinels hold to be the master."""
        with self._client(self._sentinels[0], SENTINELS_PASSWORD) as client:
            return int(client.sentinel_get_master_addr_by_name(SERVICE)[1])

    @property
    def replica(self) -> int:
        """The port of who follows the master at first."""
        return self._redises[1]

    def end(self) -> None:
        """Kills what still runs."""
        for port in tuple(self._processes):
            self._kill(port)

    def _start(self, port: int, configuration: str, *arguments: str) -> None:
        home = self._directory / str(port)
        home.mkdir()
        file = home / "redis.conf"
        file.write_text(
            configuration.format(
                host=HOST,
                port=port,
                directory=home,
                master=self._redises[0],
                service=SERVICE,
                password=PASSWORD,
                sentinels_password=SENTINELS_PASSWORD,
            )
        )
        words = [str(redis_program("redis-server")), str(file), *arguments]
        self._processes[port] = subprocess.Popen(words, stdout=subprocess.DEVNULL)

    def _kill(self, port: int) -> None:
        process = self._processes.pop(port)
        process.kill()
        process.wait()

    def _client(self, port: int, password: str) -> redis.Redis:
        return redis.Redis(host=HOST, port=port, password=password, socket_timeout=2)

    def _replicates(self, port: int) -> bool:
        with self._client(port, PASSWORD) as client:
            try:
                return bool(client.info("replication")["master_link_status"] == "up")
            except redis.RedisError:
                return False

    def _knows_all(self, port: int) -> bool:
        with self._client(port, SENTINELS_PASSWORD) as client:
            try:
                state = client.sentinel_masters()[SERVICE]
            except redis.RedisError:
                return False
            return bool(state["num-slaves"] == 1 and state["num-other-sentinels"] == 2)


@contextmanager
def sentinels(directory: Path) -> Iterator[Sentinels]:
    """All of it while the block runs."""
    with ExitStack() as ending:
        running = Sentinels(directory)
        ending.callback(running.end)
        running.start()
        yield running
