"""Where a row takes place: a Postgres and a Redis of its own, on disk, and the programs that it measures."""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any, Self

import psycopg
from psycopg import sql
from sqlalchemy import make_url

from benchmarks.harness.load import LoadGenerator
from benchmarks.harness.programs import HOST, Program, free_port, listens, surroundings
from benchmarks.harness.results import BenchmarkError
from benchmarks.harness.watchers import Watchers
from matching_server import config
from matching_server.backend import Backend
from matching_server.domain.events import ProjectEvent
from matching_server.embedded import EmbeddedServices
from matching_server.storage.migrate import migrate

Connection = psycopg.Connection[tuple[Any, ...]]

POSTGRES_SETTINGS = {
    # Commits are durable (fsync stays on). No checkpoint begins by itself in the middle of somebody's turn.
    "max_wal_size": "8GB",
    "checkpoint_timeout": "1h",
}


@dataclass(frozen=True, slots=True)
class Server:
    """A `matching-server` that serves."""

    pid: int
    address: str
    key_id: str
    secret: str


class Stage:
    """Postgres and Redis while the block runs, and whatever is started on them; nothing is left afterwards."""

    def __init__(self) -> None:
        self._running = ExitStack()
        self._databases = 0
        self._programs: dict[int, Program] = {}

    def __enter__(self) -> Self:
        with ExitStack() as starting:
            directory = starting.enter_context(
                TemporaryDirectory(prefix="matching-bench-", ignore_cleanup_errors=True)
            )
            self.directory = Path(directory)
            self.services = starting.enter_context(
                EmbeddedServices(self.directory, postgres_settings=POSTGRES_SETTINGS)
            )
            self._running = starting.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._running.close()

    def database(self) -> str:
        """The SQLAlchemy URL of a new database with the newest schema."""
        self._databases += 1
        name = f"bench_{self._databases}"
        with self.connect(self.services.database_url) as conn:
            conn.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        url = make_url(self.services.database_url).set(database=name).render_as_string(hide_password=False)
        migrate(url)
        return url

    def connect(self, url: str) -> Connection:
        """A connection for the row's own SQL; each statement is a transaction. Closed with the stage."""
        conn = psycopg.connect(url.replace("+psycopg", "", 1), autocommit=True)
        return self._running.enter_context(conn)

    def seed(self, database_url: str, advisors: int) -> None:
        """Adds so many synthetic advisors, by `matching-server seed`.

        Raises:
            BenchmarkError: the command failed.
        """
        command = [sys.executable, "-m", "matching_server.cli", "seed", "--advisors", str(advisors)]
        environment = surroundings({"MATCHING_DATABASE_URL": database_url})
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise BenchmarkError(f"matching-server seed failed:\n{done.stderr[-2000:]}")

    def load(self) -> LoadGenerator:
        """A process that makes calls."""
        return self._running.enter_context(LoadGenerator())

    def watchers(self) -> Watchers:
        """A process that holds streams."""
        return self._running.enter_context(Watchers())

    def server(self, database_url: str) -> Server:
        """One server process as in production: signatures checked, JSON log lines in a file, workers running."""
        name = f"server-{secrets.token_hex(3)}"
        connection_file = self.directory / f"{name}.json"
        program = self._start(
            name,
            [sys.executable, "-m", "matching_server.cli", "serve", "--connection-file", str(connection_file)],
            {
                "ADVISOR_AUTO_PROVISION": "true",
                # One user makes all calls of a row. They are counted as anybody's, and never too many.
                "MATCHING_CALLS_PER_USER": "1000000000",
                "MATCHING_DATABASE_URL": database_url,
                "MATCHING_REDIS_URL": self.services.redis_url,
                "MATCHING_HMAC_KEYS_FILE": str(self._keys_file()),
                "MATCHING_LISTEN": f"{HOST}:0",
                "MATCHING_LOG_FORMAT": "json",
            },
        )

        def written() -> dict[str, str] | None:
            return json.loads(connection_file.read_text()) if connection_file.exists() else None

        said = program.wait_for(written)
        return Server(program.pid, said["address"], said["key_id"], said["secret"])

    def worker(self, database_url: str, *, threads: int) -> int:
        """One worker process as in production, its log lines in a file; returns its process id."""
        program = self._start(
            "worker",
            [sys.executable, "-m", "matching_server.cli", "worker"],
            {
                "MATCHING_DATABASE_URL": database_url,
                "MATCHING_REDIS_URL": self.services.redis_url,
                "MATCHING_PROVISION_WORKERS": str(threads),
                "MATCHING_LOG_FORMAT": "json",
            },
        )
        program.wait_for(lambda: program.says("working"))
        return program.pid

    def job_twin(self, library: str, database_url: str) -> int:
        """The worker that one would write with that library instead; returns its process id."""
        program = self._start(
            library,
            [sys.executable, "-m", "benchmarks.job_twins", library],
            {"DATABASE_URL": database_url.replace("+psycopg", "", 1)},
        )
        program.wait_for(lambda: program.says("working"))
        return program.pid

    def twin(self, database_url: str) -> tuple[int, int]:
        """The FastAPI twin, as uvicorn runs it best; returns its process id and its port."""
        port = free_port()
        options = ["--host", HOST, "--port", str(port), "--loop", "uvloop", "--http", "httptools"]
        program = self._start(
            "twin",
            [sys.executable, "-m", "uvicorn", "benchmarks.fastapi_twin:app", *options, "--no-access-log"],
            {"DATABASE_URL": database_url.replace("+psycopg", "+asyncpg", 1)},
        )
        program.wait_for(lambda: listens(port))
        return program.pid, port

    def echo(self, *, threads: int, answer_bytes: int) -> str:
        """A bare grpcio server that answers anything with so many bytes; returns its address."""
        port = free_port()
        words = [str(port), str(threads), str(answer_bytes)]
        program = self._start("echo", [sys.executable, "-m", "benchmarks.grpc_echo", *words], {})
        program.wait_for(lambda: listens(port))
        return f"{HOST}:{port}"

    def fanout(self, *, threads: int, senders: int) -> tuple[int, str]:
        """A bare grpcio server that fans out; returns its process id and its address."""
        port = free_port()
        words = [str(port), str(threads), str(senders)]
        program = self._start("fanout", [sys.executable, "-m", "benchmarks.grpc_fanout", *words], {})
        program.wait_for(lambda: listens(port))
        return program.pid, f"{HOST}:{port}"

    def replica(self, database_url: str, *, show: Callable[[list[ProjectEvent]], None]) -> Backend:
        """What another server does behind its calls, in this process: it commits, and tells the servers.

        Runs until the stage ends. ``show`` is called right after each commit, in the thread that committed.
        """
        settings = config.load(database_url=database_url, redis_url=self.services.redis_url)
        backend = Backend(
            settings, workers=False, show=show, look_at=lambda _: None, look_at_streams=lambda: None
        )
        backend.start()
        self._running.callback(backend.stop)
        return backend

    def end(self, pid: int) -> None:
        """Ends a program before its time."""
        self._programs[pid].end()

    def _start(self, name: str, command: list[str], environment: dict[str, str]) -> Program:
        program = Program(name, command, directory=self.directory, environment=environment)
        self._running.callback(program.end)
        self._programs[program.pid] = program
        return program

    def _keys_file(self) -> Path:
        path = self.directory / "keys.json"
        if not path.exists():
            path.write_text(json.dumps({"keys": [{"id": "bench", "secret": secrets.token_hex(32)}]}))
            path.chmod(0o600)
        return path
