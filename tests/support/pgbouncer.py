"""PgBouncer in transaction mode, where the machine has one."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg
from sqlalchemy import make_url

from tests.support.processes import HOST, free_port
from tests.support.wait import eventually

OLDEST = (1, 21)
"""The first that keeps prepared statements apart."""
_CONFIGURATION = """\
[databases]
* = host={host} port={port} user={user} password={password} connect_query='{connect_query}'

[pgbouncer]
listen_addr = {listen}
listen_port = {listen_port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
max_prepared_statements = {prepared}
ignore_startup_parameters = options
default_pool_size = {pool}
max_client_conn = 500
logfile = {directory}/pgbouncer.log
"""
BOUNDS = (
    "SET statement_timeout = 10000; SET lock_timeout = 2000;"
    " SET idle_in_transaction_session_timeout = 5000; SET timezone = UTC"
)


def program() -> str | None:
    """The program, where there is one of a version that will do; else ``None``."""
    path = os.environ.get("MATCHING_TEST_PGBOUNCER") or shutil.which("pgbouncer")
    if path is None:
        return None
    said = subprocess.run([path, "--version"], capture_output=True, text=True, check=True).stdout
    version = re.search(r"(\d+)\.(\d+)", said)
    assert version is not None
    return path if (int(version[1]), int(version[2])) >= OLDEST else None


@contextmanager
def pooled(url: str, *, pool: int = 5, prepared: int = 200, connect_query: str = BOUNDS) -> Iterator[str]:
    """The URL of the database through a PgBouncer of its own, with so many connections to Postgres."""
    to, port, path = make_url(url), free_port(), program()
    assert path is not None
    with TemporaryDirectory(prefix="pgbouncer-") as directory:
        # It does not run as root, nor as whom the tests run.
        Path(directory).chmod(0o777)
        file = Path(directory) / "pgbouncer.ini"
        file.write_text(
            _CONFIGURATION.format(
                host=to.host,
                port=to.port,
                user=to.username,
                password=to.password,
                listen=HOST,
                listen_port=port,
                directory=directory,
                pool=pool,
                prepared=prepared,
                connect_query=connect_query,
            )
        )
        words = [path, *(["--user", "nobody"] if os.geteuid() == 0 else []), str(file)]
        process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            through = to.set(host=HOST, port=port)
            eventually(lambda: _answers(port, str(to.database), str(to.username)), what="PgBouncer answers")
            yield through.render_as_string(hide_password=False)
        finally:
            process.kill()
            process.wait()


def _answers(port: int, database: str, user: str) -> bool:
    try:
        psycopg.connect(host=HOST, port=port, dbname=database, user=user, connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True
