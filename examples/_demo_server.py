"""The service for the demo: the command `matching-server` in a process of its own."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

LOG_LINES = 20
_READY_SECONDS = 120.0
_END_SECONDS = 60.0
_REMOVE_SECONDS = 10.0


class DemoError(Exception):
    """What went wrong, in one line."""


class DemoServer:
    """`matching-server serve --embedded`, from the start of the block to its end.

    It brings its own Postgres and Redis and keeps everything in `data_dir`.
    """

    def __init__(self, data_dir: Path) -> None:
        self.connection_file = data_dir / "connection.json"
        self._data_dir = data_dir
        self._log_file = data_dir.with_suffix(".log")
        self._process: subprocess.Popen[bytes] | None = None
        self.exit_status: int | None = None
        """How the process ended; None before."""

    @property
    def address(self) -> str:
        """Where it serves."""
        return self._connection()["address"]

    @property
    def database_url(self) -> str:
        """Its database, for psycopg."""
        return self._connection()["database_url"].replace("postgresql+psycopg://", "postgresql://")

    def start(self) -> None:
        """Starts the process and waits, two minutes at most, until it serves."""
        command = [str(Path(sys.executable).with_name("matching-server")), "serve", "--embedded"]
        command += ["--data-dir", str(self._data_dir), "--listen", "127.0.0.1:0"]
        with self._log_file.open("wb") as log, _signals_held():
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=_without_settings(os.environ),
                start_new_session=True,  # Ctrl-C is the demo's; it ends the server in good order.
            )
        deadline = time.monotonic() + _READY_SECONDS
        while not self.connection_file.exists():
            if self._process.poll() is not None:
                raise DemoError("the server did not start")
            if time.monotonic() > deadline:
                raise DemoError(f"the server did not serve within {_READY_SECONDS:.0f} s")
            time.sleep(0.05)

    def stop(self) -> None:
        """Asks it to end (SIGTERM); DemoError unless it does, with exit status 0, within a minute."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self.exit_status = self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise DemoError(f"the server did not end within {_END_SECONDS:.0f} s of SIGTERM") from None
        finally:
            self._process = None
        if self.exit_status != 0:
            raise DemoError(f"the server ended with exit status {self.exit_status}")

    def log_tail(self) -> str:
        """The last lines that it wrote."""
        if not self._log_file.exists():
            return ""
        return "\n".join(self._log_file.read_text(errors="replace").splitlines()[-LOG_LINES:])

    def _connection(self) -> dict[str, str]:
        values: dict[str, str] = json.loads(self.connection_file.read_text())
        return values

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            self.stop()
        except DemoError:
            if error is None:
                raise


@contextmanager
def scratch_directory() -> Iterator[Path]:
    """A directory that is gone after the block, also where a Postgres cut short still tidies up in it."""
    path = Path(tempfile.mkdtemp(prefix="matching-demo-"))
    try:
        yield path
    finally:
        deadline = time.monotonic() + _REMOVE_SECONDS
        shutil.rmtree(path, ignore_errors=True)
        while path.exists() and time.monotonic() < deadline:
            time.sleep(0.1)
            shutil.rmtree(path, ignore_errors=True)


@contextmanager
def _signals_held() -> Iterator[None]:
    """Whoever tells the demo to end is heard after the block: not between a process's start and knowing of it."""
    heard: list[int] = []
    before = {
        number: signal.signal(number, lambda number, _: heard.append(number))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for number in heard:
            signal.raise_signal(number)


def _without_settings(environment: os._Environ[str]) -> dict[str, str]:
    """The demo shows the service as it is set up by itself, whatever is set around it."""
    ours = ("MATCHING_", "ADVISOR_")
    return {name: value for name, value in environment.items() if not name.startswith(ours)}
