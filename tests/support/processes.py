"""Real server processes: started, killed, frozen and started again as a test wants, with what they wrote."""

from __future__ import annotations

import json
import os
import random
import secrets
import signal
import socket
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Self

import psutil

from tests.support.spawning import CommandProcess, FreshProcess
from tests.support.wait import eventually

HOST = "127.0.0.1"
KEY_ID = "test"
_READY_SECONDS = 20.0
_END_SECONDS = 30.0
# Below the range of outgoing ports: a client that keeps trying one of those while the server is down can end
# up connected to itself, and the server never gets its port back.
_PORTS = range(12_000, 20_000)
_NOTHING: Mapping[str, str] = MappingProxyType({})


class ServerNotReady(Exception):
    """The process ended, or did not serve in time; the message holds what it wrote."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """How to reach a server that serves: from the file it writes."""

    address: str
    key_id: str
    secret: str


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """What a server is started with. ``environment`` adds to the test's own, ``arguments`` to ``serve``."""

    database_url: str
    redis_url: str
    keys_file: Path
    arguments: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)


def write_keys_file(path: Path) -> Path:
    """One key, good for everything, whose body signature may be left out."""
    key = {"id": KEY_ID, "secret": secrets.token_hex(32), "allow_unsigned_body": True}
    path.write_text(json.dumps({"keys": [key]}))
    path.chmod(0o600)
    return path


class ServerProcess:
    """One ``matching-server serve``. It keeps its address through restarts."""

    def __init__(self, directory: Path, name: str, settings: ServerSettings) -> None:
        self.name = name
        self._settings = settings
        self._log_file = directory / f"{name}.log"
        self._endpoint_file = directory / f"{name}.connection.json"
        self._listen = f"{HOST}:{free_port()}"
        self._process: CommandProcess | FreshProcess | None = None
        self._endpoint: Endpoint | None = None

    @property
    def endpoint(self) -> Endpoint:
        """How to reach it; known from the first start on."""
        assert self._endpoint is not None, f"{self.name} has not been started"
        return self._endpoint

    @property
    def address(self) -> str:
        """Host and port."""
        return self.endpoint.address

    @property
    def pid(self) -> int:
        """The id of the running process."""
        assert self._process is not None, f"{self.name} is not running"
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether there is a process that has not ended."""
        return self._process is not None and self._process.poll() is None

    def start(self, *, wait: bool = True) -> Self:
        """Starts the process, and waits until it serves unless told otherwise.

        Raises:
            ServerNotReady: it ended, or did not serve within 20 s.
        """
        assert not self.running, f"{self.name} is running already"
        self._endpoint_file.unlink(missing_ok=True)
        # What an interpreter reads at its own start needs one of its own.
        kind = FreshProcess if "PYTHONPATH" in self._settings.environment else CommandProcess
        self._process = kind(self._command(), log=self._log_file, environment=self._environment())
        if wait:
            self.wait_until_ready()
        return self

    def wait_until_ready(self) -> None:
        """Waits until it serves."""
        try:
            eventually(self._serves_or_ended, timeout=_READY_SECONDS)
        except AssertionError:
            self.kill()
            raise ServerNotReady(f"{self.name} does not serve:\n{self.log()}") from None
        if not self.running:
            raise ServerNotReady(f"{self.name} ended:\n{self.log()}")

    def kill(self) -> None:
        """Ends it at once (SIGKILL), as a crash would. Nothing happens where it has ended already."""
        self._signal(signal.SIGKILL)
        if self._process is not None:
            self._process.wait()

    def terminate(self, timeout: float = _END_SECONDS) -> int:
        """Asks it to end (SIGTERM), waits for that, and returns the exit status.

        Raises:
            AssertionError: it did not end in time; it has been killed then.
        """
        self.ask_to_end()
        assert self._process is not None, f"{self.name} is not running"
        try:
            return self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"{self.name} did not end within {timeout:g} s of SIGTERM") from None

    def ask_to_end(self) -> None:
        """Sends SIGTERM and does not wait."""
        self._signal(signal.SIGTERM)

    def restart(self) -> None:
        """Ends it in good order, if it still runs, and starts it again at the same address."""
        if self.running:
            self.terminate()
        self.start()

    def freeze(self) -> None:
        """Stops its time (SIGSTOP), and returns when no thread of it runs any more."""
        self._signal(signal.SIGSTOP)
        stopped = psutil.Process(self.pid)
        eventually(lambda: stopped.status() == psutil.STATUS_STOPPED, interval=0.001, what="it is frozen")

    def thaw(self) -> None:
        """Lets it go on (SIGCONT)."""
        self._signal(signal.SIGCONT)

    def log(self, last: int = 200) -> str:
        """The last lines that it wrote, over all its starts."""
        if not self._log_file.exists():
            return ""
        return "\n".join(self._log_file.read_text(errors="replace").splitlines()[-last:])

    def told(self, event: str) -> int:
        """How many lines it wrote about such an event, over all its starts."""
        return self.log(last=10_000).count(f'"event":"{event}"')

    @contextmanager
    def telling(self, event: str) -> Iterator[None]:
        """Waits, at the end of the block, until it has written of what was done there."""
        before = self.told(event)
        yield
        eventually(lambda: self.told(event) > before, timeout=20, what=f"{self.name} tells of {event}")

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)

    def _command(self) -> list[str]:
        return ["serve", "--connection-file", str(self._endpoint_file), *self._settings.arguments]

    def _serves_or_ended(self) -> bool:
        if not self.running:
            return True
        # Absent until it serves; a half-written one counts as absent.
        with suppress(FileNotFoundError, json.JSONDecodeError, KeyError):
            said = json.loads(self._endpoint_file.read_text())
            self._endpoint = Endpoint(said["address"], said["key_id"], said["secret"])
            return True
        return False

    def _environment(self) -> dict[str, str]:
        foreign = ("MATCHING_", "PG")
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
        return inherited | {
            "ADVISOR_AUTO_PROVISION": "true",
            "MATCHING_DATABASE_URL": self._settings.database_url,
            "MATCHING_REDIS_URL": self._settings.redis_url,
            "MATCHING_HMAC_KEYS_FILE": str(self._settings.keys_file),
            "MATCHING_LISTEN": self._listen,
            **self._settings.environment,
        }


class WorkerProcess(ServerProcess):
    """One ``matching-server worker``. It has no address."""

    _started = 0

    def start(self, *, wait: bool = True) -> Self:
        """As a server's; ready is who says that it works."""
        self._started += 1
        return super().start(wait=wait)

    def _command(self) -> list[str]:
        return ["worker", *self._settings.arguments]

    def _serves_or_ended(self) -> bool:
        return not self.running or self.told("working") == self._started


class Servers:
    """The servers that one test starts, all against the same database and Redis."""

    def __init__(self, directory: Path, database_url: str, redis_url: str) -> None:
        self.all: list[ServerProcess] = []
        self._directory = directory
        self._database_url = database_url
        self._redis_url = redis_url
        self._keys_file = write_keys_file(directory / "keys.json")

    def start(
        self, *arguments: str, environment: Mapping[str, str] = _NOTHING, wait: bool = True
    ) -> ServerProcess:
        """One more server, with these arguments of ``serve`` and settings beside the usual ones."""
        return self._start(ServerProcess, arguments, environment, wait=wait)

    def start_worker(self, *, environment: Mapping[str, str] = _NOTHING, wait: bool = True) -> ServerProcess:
        """One more process that does the background work alone."""
        return self._start(WorkerProcess, (), environment, wait=wait)

    def _start(
        self,
        kind: type[ServerProcess],
        arguments: Sequence[str],
        environment: Mapping[str, str],
        *,
        wait: bool,
    ) -> ServerProcess:
        settings = ServerSettings(
            self._database_url, self._redis_url, self._keys_file, arguments, environment
        )
        process = kind(self._directory, f"server-{len(self.all) + 1}", settings)
        self.all.append(process)
        return process.start(wait=wait)

    def free_address(self) -> str:
        """Host and port where nobody listens at the moment."""
        return f"{HOST}:{free_port()}"

    def end_all(self) -> None:
        """Kills what still runs: a test that cares how a server ends has seen to it."""
        for server in self.all:
            server.kill()


def free_port() -> int:
    """A port on which nobody listens at the moment."""
    for port in random.sample(_PORTS, 50):
        with closing(socket.socket()) as probe, suppress(OSError):
            probe.bind((HOST, port))
            return port
    raise AssertionError("no free port")
