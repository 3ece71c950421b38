"""One server process in a data directory: its lock, its start, and every way to its end."""

import fcntl
import os
import random
import signal
import socket
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, ClassVar, Self

import psutil

from matching_server.embedded.account import launched, make_data_directory, make_home, open_owned
from matching_server.embedded.errors import DataDirectoryInUse, EmbeddedError

HOST = "127.0.0.1"
_START_SECONDS = 30.0
_STOP_SECONDS = 15.0
# A server whose parent died has been told to stop by the kernel and needs a moment for its last checkpoint.
_LEFTOVER_SECONDS = 3.0
# Below the range that the kernel draws outgoing ports from: a client that keeps trying a port of that range
# while the server is down ends up connected to itself, and the server can't have its port back.
_PORTS = range(20_000, 32_000)
_PORTS_TO_TRY = 5
# The parent-death signal comes when the thread that made the child ends: so, one as lasting as the process.
_spawner = ThreadPoolExecutor(max_workers=1, thread_name_prefix="embedded-spawner")


@dataclass(frozen=True)
class Command:
    """A program with its arguments, and what it reads on standard input: the place for secrets."""

    words: Sequence[str]
    standard_input: str = ""


class ServerProcess(ABC):
    """A server that lives in `<data_dir>/<name>` and listens on a port of 127.0.0.1."""

    name: ClassVar[str]
    process_name: ClassVar[str]
    stop_signal: ClassVar[signal.Signals]

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir.absolute()
        self.home = self.data_dir / self.name
        self._lock: BinaryIO | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._port: int | None = None

    @property
    @abstractmethod
    def url(self) -> str:
        """Where clients connect, password included. Known once started, and the same after `restart`."""

    @property
    @abstractmethod
    def working_directory(self) -> Path:
        """Where the server's processes stay: by it they are found again."""

    @property
    def port(self) -> int:
        """The TCP port. RuntimeError before the first start."""
        if self._port is None:
            raise RuntimeError(f"embedded {self.name} has not been started")
        return self._port

    @property
    def pid(self) -> int:
        """The id of the server's first process. RuntimeError where it isn't running."""
        if self._process is None:
            raise RuntimeError(f"embedded {self.name} is not running")
        return self._process.pid

    def start(self) -> None:
        """Starts the server, and returns once it answers. DataDirectoryInUse or EmbeddedError otherwise."""
        if self._lock is not None:
            raise RuntimeError(f"embedded {self.name} has been started already")
        self._lock = _lock(self.data_dir, self.name)
        try:
            self._port = None
            make_home(self.home)
            self._end_processes(grace=_LEFTOVER_SECONDS)
            self._prepare()
            self._launch()
        except BaseException:
            self._kill_and_unlock()
            raise

    def stop(self) -> None:
        """Stops the server, by force after 15 seconds, and gives the data directory free. Repeatable."""
        self._stop_process()
        self._kill_and_unlock()

    def kill(self) -> None:
        """Kills the server and its children at once (SIGKILL). The data directory stays locked."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
        self._end_processes(grace=0)

    def restart(self) -> None:
        """Stops the server, if `kill` has not ended it, and starts it again on the same port and data."""
        if self._lock is None:
            raise RuntimeError(f"embedded {self.name} has not been started")
        self._stop_process()
        self.kill()
        self._prepare()
        self._launch()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @abstractmethod
    def _prepare(self) -> None:
        """Makes ready what the server needs on disk. None of its processes runs."""

    @abstractmethod
    def _command(self) -> Command:
        """What to run. The port is known by then."""

    @abstractmethod
    def _answers(self) -> bool:
        """Whether the server serves by now."""

    def _run_to_end(self, words: Sequence[str]) -> None:
        """Runs a program as the server's account. EmbeddedError with its last words where it fails."""
        command = launched(words, home=self.home, death_signal=signal.SIGTERM)
        done = _spawner.submit(
            subprocess.run, command, capture_output=True, text=True, cwd="/", env=_environment(), check=False
        ).result()
        if done.returncode != 0:
            raise EmbeddedError(f"{Path(words[0]).name} failed: {_complaint(done.stdout + done.stderr)}")

    def _launch(self) -> None:
        """Starts the process. A free port can be lost before the server has it, hence more than one."""
        log_end = self._log.stat().st_size if self._log.exists() else 0
        for port in [self._port] if self._port else _free_ports():
            self._port = port
            self._process = _spawner.submit(self._spawn).result()
            if self._wait_until_it_answers():
                return
            self._process = None
        said = self._log.read_bytes()[log_end:].decode(errors="replace")
        raise EmbeddedError(f"embedded {self.name} did not start: {_complaint(said)}")

    def _spawn(self) -> subprocess.Popen[bytes]:
        command = self._command()
        with open_owned(self._log, "ab") as log:
            process = subprocess.Popen(
                launched(command.words, home=self.home, death_signal=self.stop_signal),
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd="/",
                env=_environment(),
                start_new_session=True,
            )
        assert process.stdin is not None
        # A process that is gone already is noticed, with its reason, by who waits for its answer.
        with suppress(BrokenPipeError), process.stdin as standard_input:
            standard_input.write(command.standard_input.encode())
        return process

    def _wait_until_it_answers(self) -> bool:
        """False where the process has ended; EmbeddedError where it lives and stays silent."""
        assert self._process is not None
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                return False
            if self._answers():
                return True
            time.sleep(0.01)
        raise EmbeddedError(f"embedded {self.name} did not answer within {_START_SECONDS:.0f} seconds")

    def _stop_process(self) -> None:
        if self._process is None:
            return
        self._process.send_signal(self.stop_signal)
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
        self._process = None

    def _kill_and_unlock(self) -> None:
        if self._lock is not None:
            self.kill()
            self._lock.close()
            self._lock = None

    def _end_processes(self, *, grace: float) -> None:
        """Waits until none of this server's processes is left, of an earlier run either; kills after `grace`.

        In seconds. To kill is safe: Postgres recovers from its log, and Redis keeps nothing.
        """
        start = time.monotonic()
        while processes := self._find_processes():
            waited = time.monotonic() - start
            if waited > grace + _STOP_SECONDS:
                raise EmbeddedError(f"embedded {self.name} does not end: process {processes[0].pid}")
            if waited >= grace:
                for process in processes:
                    with suppress(psutil.NoSuchProcess):
                        process.kill()
            time.sleep(0.01)

    def _find_processes(self) -> list[psutil.Process]:
        # By directory, since a process id in a file may be another's by now; by name, to spare a shell there.
        directory = str(self.working_directory.resolve())
        running = psutil.process_iter(["name", "cwd"])
        return [p for p in running if p.info["name"] == self.process_name and p.info["cwd"] == directory]

    @property
    def _log(self) -> Path:
        return self.home / "log"


def _lock(data_dir: Path, name: str) -> BinaryIO:
    """Locks the data directory for this server until the file is closed, by whatever way."""
    try:
        make_data_directory(data_dir)
        file = open_owned(data_dir / f"{name}.lock", "ab")
    except PermissionError as error:
        raise EmbeddedError(f"the data directory {data_dir} belongs to another user") from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.close()
        raise DataDirectoryInUse(f"the data directory {data_dir} is in use by another process") from error
    return file


def _free_ports() -> Iterator[int]:
    """A few ports that nobody has at the moment."""
    for port in random.sample(_PORTS, _PORTS_TO_TRY):
        with socket.socket() as probe:
            if probe.connect_ex((HOST, port)) == 0:
                continue
        yield port


def _environment() -> dict[str, str]:
    """Without the user's settings for Postgres clients, and with messages in one language."""
    return {key: value for key, value in os.environ.items() if not key.startswith("PG")} | {"LC_ALL": "C"}


def _complaint(output: str) -> str:
    """The line of a server's output that says what was wrong: the last that sounds like it, or the last."""
    lines = output.strip().splitlines() or ["it said nothing"]
    complaints = [line for line in lines if "fatal" in line.lower() or "error" in line.lower()]
    return (complaints or lines)[-1]
