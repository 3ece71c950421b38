"""Embedded Postgres and Redis: real processes, started and ended in every way that occurs."""

import os
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from matching_server.embedded import (
    DataDirectoryInUse,
    EmbeddedError,
    EmbeddedPostgres,
    EmbeddedRedis,
    EmbeddedServices,
    postgres_program,
    process,
)

FAST = {"fsync": "off"}
WAIT_SECONDS = 20.0

PARENT = """
import sys, threading
from pathlib import Path
from matching_server.embedded import EmbeddedServices
services = EmbeddedServices(Path(sys.argv[1]))
services.start()
print(services.postgres.pid, services.redis.pid, flush=True)
threading.Event().wait()
"""


def connect(url: str, **parameters: Any) -> psycopg.Connection:
    return psycopg.connect(url.replace("+psycopg", ""), autocommit=True, **parameters)


def redis_client(url: str) -> redis.Redis:
    return redis.Redis.from_url(url, retry=Retry(NoBackoff(), 0))


def ask(url: str, query: str) -> list[tuple[Any, ...]]:
    with connect(url) as connection:
        return connection.execute(query.encode()).fetchall()


def tell(url: str, statement: str) -> None:
    with connect(url) as connection:
        connection.execute(statement.encode())


def is_running(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


@contextmanager
def parent_process(data_dir: Path) -> Iterator[tuple[subprocess.Popen[str], int, int]]:
    """Another process that runs both servers until it is killed, with their process ids."""
    command = [sys.executable, "-c", PARENT, str(data_dir)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        try:
            assert parent.stdout is not None
            postgres, redis_ = (int(word) for word in parent.stdout.readline().split())
            yield parent, postgres, redis_
        finally:
            parent.kill()


def test_serves_a_durable_utf8_database_in_utc(tmp_path: Path) -> None:
    with EmbeddedServices(tmp_path) as services:
        url = services.database_url
        names = ("fsync", "synchronous_commit", "server_encoding", "TimeZone", "max_connections")
        values = [ask(url, f"SHOW {name}")[0][0] for name in names]
        assert values == ["on", "on", "UTF8", "UTC", "200"]
        query = "SELECT datname, datcollate FROM pg_database WHERE datname = current_database()"
        assert ask(url, query) == [("matching", "C")]
        with redis_client(services.redis_url) as client:
            assert client.ping()


def test_settings_given_replace_the_defaults(tmp_path: Path) -> None:
    with EmbeddedPostgres(tmp_path, settings={"fsync": "off", "max_connections": "50"}) as postgres:
        assert ask(postgres.url, "SHOW fsync") == [("off",)]
        assert ask(postgres.url, "SHOW max_connections") == [("50",)]


def test_data_survive_a_stop_and_a_start(tmp_path: Path) -> None:
    with EmbeddedPostgres(tmp_path) as postgres:
        tell(postgres.url, "CREATE TABLE kept AS SELECT 42 AS answer")
        pid = postgres.pid
    assert not is_running(pid)
    with EmbeddedPostgres(tmp_path) as postgres:
        assert ask(postgres.url, "SELECT answer FROM kept") == [(42,)]


def test_stop_can_be_repeated_and_start_follows_it(tmp_path: Path) -> None:
    services = EmbeddedServices(tmp_path, postgres_settings=FAST)
    services.stop()
    services.start()
    services.stop()
    services.stop()
    services.start()
    try:
        assert ask(services.database_url, "SELECT 1") == [(1,)]
    finally:
        services.stop()


def test_a_second_start_in_the_same_directory_is_refused(tmp_path: Path) -> None:
    with EmbeddedServices(tmp_path, postgres_settings=FAST) as services:
        for second in (EmbeddedServices(tmp_path), EmbeddedPostgres(tmp_path), EmbeddedRedis(tmp_path)):
            with pytest.raises(DataDirectoryInUse, match=f"{tmp_path} is in use by another process"):
                second.start()
        assert ask(services.database_url, "SELECT 1") == [(1,)]


def test_a_second_process_is_refused_until_the_first_is_gone(tmp_path: Path) -> None:
    with parent_process(tmp_path) as (parent, _, _):
        with pytest.raises(DataDirectoryInUse):
            EmbeddedServices(tmp_path).start()
        parent.kill()
        parent.wait()
        with EmbeddedServices(tmp_path) as services:
            assert ask(services.database_url, "SELECT 1") == [(1,)]


def test_a_killed_postgres_restarts_on_its_port_with_what_was_committed(tmp_path: Path) -> None:
    with EmbeddedPostgres(tmp_path) as postgres, connect(postgres.url) as connection:
        url, first = postgres.url, psutil.Process(postgres.pid)
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
        family = [first, *first.children(recursive=True)]
        postgres.kill()
        wait_for(lambda: not any(is_running(member.pid) for member in family))
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")
        postgres.restart()
        assert postgres.url == url
        assert ask(url, "SELECT answer FROM kept") == [(42,)]


def test_a_killed_redis_restarts_empty_on_its_port(tmp_path: Path) -> None:
    with EmbeddedRedis(tmp_path) as server, redis_client(server.url) as client:
        url = server.url
        client.set("key", "value")
        server.kill()
        with pytest.raises(redis.ConnectionError):
            client.ping()
        server.restart()
        assert server.url == url
        assert client.get("key") is None


def test_a_killed_postgres_is_started_by_the_next_run(tmp_path: Path) -> None:
    with EmbeddedPostgres(tmp_path) as postgres:
        tell(postgres.url, "CREATE TABLE kept AS SELECT 42 AS answer")
        postgres.kill()
    assert (tmp_path / "postgres" / "data" / "postmaster.pid").exists()
    with EmbeddedPostgres(tmp_path) as postgres:
        assert ask(postgres.url, "SELECT answer FROM kept") == [(42,)]


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel of Linux tells the children")
def test_both_servers_end_with_a_killed_parent(tmp_path: Path) -> None:
    with parent_process(tmp_path) as (parent, *servers):
        assert all(is_running(pid) for pid in servers)
        parent.kill()
        parent.wait()
        wait_for(lambda: not any(is_running(pid) for pid in servers))


def test_a_postgres_that_outlives_its_parent_is_ended_by_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "_LEFTOVER_SECONDS", 0.1)
    with parent_process(tmp_path) as (parent, postmaster, redis_):
        for pid in (postmaster, redis_):
            os.kill(pid, signal.SIGSTOP)  # deaf to the kernel's signal
        parent.kill()
        parent.wait()
        assert is_running(postmaster)
        with EmbeddedServices(tmp_path) as services:
            assert not is_running(postmaster)
            assert not is_running(redis_)
            assert ask(services.database_url, "SELECT 1") == [(1,)]


def test_the_servers_outlive_the_thread_that_started_them(tmp_path: Path) -> None:
    services = EmbeddedServices(tmp_path, postgres_settings=FAST)
    starter = threading.Thread(target=services.start)
    starter.start()
    starter.join(WAIT_SECONDS)
    try:
        assert ask(services.database_url, "SELECT 1") == [(1,)]
        with redis_client(services.redis_url) as client:
            assert client.ping()
    finally:
        services.stop()


def test_an_interrupt_at_the_terminal_does_not_reach_the_servers(tmp_path: Path) -> None:
    with EmbeddedServices(tmp_path, postgres_settings=FAST) as services:
        for pid in (services.postgres.pid, services.redis.pid):
            assert os.getsid(pid) != os.getsid(0)


def test_nobody_gets_in_without_the_password(tmp_path: Path) -> None:
    with EmbeddedServices(tmp_path, postgres_settings=FAST) as services:
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            connect(services.database_url, password="guessed")
        with (
            redis_client(f"redis://127.0.0.1:{services.redis.port}") as client,
            pytest.raises(redis.AuthenticationError),
        ):
            client.ping()


def test_passwords_are_in_no_command_line_and_no_public_file(tmp_path: Path) -> None:
    with EmbeddedServices(tmp_path, postgres_settings=FAST) as services:
        home = tmp_path / "postgres"
        password = (home / "password").read_text()
        assert f":{password}@" in services.database_url
        assert stat.S_IMODE((home / "password").stat().st_mode) == 0o600
        assert stat.S_IMODE(home.stat().st_mode) == 0o700
        secrets = (password, services.redis_url.split(":")[2].split("@")[0])
        for pid in (services.postgres.pid, services.redis.pid):
            assert not any(secret in word for word in psutil.Process(pid).cmdline() for secret in secrets)


def test_a_start_that_fails_says_why_in_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(EmbeddedError, match='parameter "no_such_setting"') as failure:
        EmbeddedPostgres(tmp_path, settings={"no_such_setting": "1"}).start()
    assert "\n" not in str(failure.value)
    with EmbeddedPostgres(tmp_path, settings=FAST) as postgres:
        assert ask(postgres.url, "SELECT 1") == [(1,)]


def test_an_interrupted_first_start_is_made_good_by_the_next(tmp_path: Path) -> None:
    with EmbeddedPostgres(tmp_path, settings=FAST):
        pass
    home = tmp_path / "postgres"
    (home / "data").rename(home / "unfinished")
    with EmbeddedPostgres(tmp_path, settings=FAST) as postgres:
        assert ask(postgres.url, "SELECT 1") == [(1,)]
    assert not (home / "unfinished").exists()


def test_a_long_path_with_spaces_serves(tmp_path: Path) -> None:
    data_dir = tmp_path / ("a long name with spaces " * 6) / ("and more " * 6)
    with EmbeddedServices(data_dir, postgres_settings=FAST) as services:
        assert ask(services.database_url, "SELECT 1") == [(1,)]
        with redis_client(services.redis_url) as client:
            assert client.ping()


def test_the_wheels_bring_the_programs_that_tests_and_benchmarks_use() -> None:
    for name in ("initdb", "postgres", "psql", "pgbench", "pg_basebackup", "pg_ctl"):
        assert os.access(postgres_program(name), os.X_OK)
