"""Postgres out of a wheel."""

import secrets
import shutil
import signal
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import psycopg
from psycopg import sql

from matching_server.embedded.account import open_owned
from matching_server.embedded.process import HOST, Command, ServerProcess
from matching_server.embedded.programs import postgres_program

DATABASE = "matching"
NO_SETTINGS: Mapping[str, str] = MappingProxyType({})
_USER = "postgres"
_SETTINGS = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "128MB",
    "timezone": "UTC",
    "log_timezone": "UTC",
}


class EmbeddedPostgres(ServerProcess):
    """Postgres 18 in `<data_dir>/postgres`, with an empty database `matching`, UTF-8 and the C locale.

    settings: server settings over the defaults, such as {"fsync": "off"} for tests; a commit is durable
    unless they say otherwise. They hold for this run and are not written into the data.
    """

    name = "postgres"
    process_name = "postgres"
    stop_signal = signal.SIGINT  # "fast": ends sessions, rolls back, writes a checkpoint

    def __init__(self, data_dir: Path, *, settings: Mapping[str, str] = NO_SETTINGS) -> None:
        super().__init__(data_dir)
        self._settings = {**_SETTINGS, **settings}

    @property
    def url(self) -> str:
        """postgresql+psycopg://postgres:password@127.0.0.1:port/matching"""
        return f"postgresql+psycopg://{_USER}:{self._password}@{HOST}:{self.port}/{DATABASE}"

    def start(self) -> None:
        """As every server's, and makes the database where it is missing."""
        super().start()
        try:
            self._create_database()
        except BaseException:
            self.stop()
            raise

    @property
    def working_directory(self) -> Path:
        return self.home / "data"

    @property
    def _password(self) -> str:
        return (self.home / "password").read_text()

    def _prepare(self) -> None:
        if not self.working_directory.exists():
            self._initialize()
        # None of its processes is left by now: the id in the file is nobody's, or that of a stranger on whose
        # account Postgres would refuse to start.
        (self.working_directory / "postmaster.pid").unlink(missing_ok=True)

    def _initialize(self) -> None:
        """Makes a cluster aside and moves it into place: an interrupted one is never taken for whole."""
        unfinished = self.home / "unfinished"
        if unfinished.exists():
            shutil.rmtree(unfinished)
        with open_owned(self.home / "password", "wb") as file:
            # 192 random bits need no stretching, which would cost milliseconds at every connection.
            file.write(secrets.token_hex(24).encode())
        self._run_to_end(
            [
                str(postgres_program("initdb")),
                *("-D", str(unfinished), "-U", _USER, "--pwfile", str(self.home / "password")),
                *("--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions"),
                *("--set", "scram_iterations=1"),
            ]
        )
        unfinished.rename(self.working_directory)

    def _command(self) -> Command:
        settings = {**self._settings, "port": str(self.port)}
        words = [word for key, value in settings.items() for word in ("-c", f"{key}={value}")]
        return Command((str(postgres_program("postgres")), "-D", str(self.working_directory), *words))

    def _answers(self) -> bool:
        try:
            self._connect().close()
        except psycopg.OperationalError:
            return False
        return True

    def _connect(self) -> psycopg.Connection:
        return psycopg.connect(
            host=HOST,
            port=self.port,
            user=_USER,
            password=self._password,
            dbname="postgres",
            connect_timeout=2,
            autocommit=True,
        )

    def _create_database(self) -> None:
        with self._connect() as connection:
            if not connection.execute("SELECT FROM pg_database WHERE datname = %s", [DATABASE]).fetchall():
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))
