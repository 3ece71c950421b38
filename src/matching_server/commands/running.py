"""``matching-server serve`` and ``worker``: processes that run until a signal ends them."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import structlog
import typer

from matching_server import config, logs, tracing
from matching_server.app import Application
from matching_server.commands import CannotRun, required, seeding
from matching_server.commands.database import migrate, require_usable_schema, require_usable_sessions
from matching_server.commands.files import write_private
from matching_server.config import Settings
from matching_server.domain.errors import StorageUnavailable
from matching_server.metrics import CannotServeMetrics
from matching_server.rpc.keys import KeyFile, new_key
from matching_server.rpc.server import CannotListen
from matching_server.seeding import read_directory
from matching_server.worker import Worker

_DRAIN_SLACK_SECONDS = 1.0

_log = structlog.get_logger(__name__)


def serve(settings: Settings, connection_file: Path | None, *, workers: bool, sample: Path | None) -> None:
    """Serves until SIGTERM or SIGINT, then drains.

    Args:
        settings: of the server.
        connection_file: where to say how to connect, while serving.
        workers: whether the background work runs here, too.
        sample: a directory to load into an empty database; a first call for it is printed.

    Raises:
        CannotRun: a setting is missing, or what it names cannot be used.
    """
    database_url, redis_url = _prepare(settings)
    if settings.hmac_keys_file is None:
        raise CannotRun("MATCHING_HMAC_KEYS_FILE is not set")
    keys = KeyFile(settings.hmac_keys_file)
    first = keys.ring.first
    stop = _hold_back_stop_signals()
    if sample is not None:
        seeding.load(database_url, redis_url, sample, unless_filled=True)
    with _start_errors():
        application = Application(settings, keys, workers=workers)
        address = application.start()
    try:
        with _connection_told(connection_file, settings, first.id, first.secret, address):
            if sample is not None:
                _print_first_call(sample, address, connection_file)
            _wait_for(stop)
    finally:
        with _in_time(settings.drain_seconds):
            application.stop()
            tracing.stop()


def work(settings: Settings) -> None:
    """Does the background work until SIGTERM or SIGINT, then drains. Raises as ``serve`` does."""
    _prepare(settings)
    stop = _hold_back_stop_signals()
    with _start_errors():
        worker = Worker(settings)
        worker.start()
    try:
        _wait_for(stop)
    finally:
        with _in_time(settings.drain_seconds):
            worker.stop()
            tracing.stop()


@contextmanager
def embedded_settings(data_dir: Path, listen: str | None) -> Iterator[Settings]:
    """Postgres and Redis while the block runs, migrated, with a key of their own."""
    try:
        from matching_server.embedded import (  # noqa: PLC0415 - an extra, not there in every installation
            EmbeddedError,
            EmbeddedServices,
        )
    except ModuleNotFoundError as error:
        raise CannotRun(f"--embedded needs {error.name}: pip install 'advisor-matching[embedded]'") from None
    config.load(listen=listen)  # A bad setting stops the start before anything has begun.
    os.environ.setdefault("ADVISOR_AUTO_PROVISION", "true")
    os.environ.setdefault("MATCHING_LOG_FORMAT", "console")
    services = EmbeddedServices(data_dir)
    try:
        services.start()
    except EmbeddedError as error:
        raise CannotRun(str(error)) from None
    try:
        migrate(services.database_url, stopped=True)
        yield config.load(
            listen=listen,
            database_url=services.database_url,
            redis_url=services.redis_url,
            hmac_keys_file=_embedded_keys_file(data_dir),
        )
    finally:
        services.stop()


def _prepare(settings: Settings) -> tuple[str, str]:
    logs.configure(settings.log_format, settings.log_level)
    _start_tracing(settings)
    database_url = required(settings.database_url, "MATCHING_DATABASE_URL")
    redis_url = required(settings.redis_url, "MATCHING_REDIS_URL")
    require_usable_schema(database_url)
    require_usable_sessions(database_url)
    return database_url, redis_url


def _start_tracing(settings: Settings) -> None:
    """Where it is asked for; the variable alone may be meant for others on this machine, and stops no start."""
    if settings.otel is False or not (settings.otel or os.environ.get(tracing.ENDPOINT_VARIABLE)):
        return
    try:
        tracing.start()
    except tracing.CannotTrace as error:
        if settings.otel:
            raise CannotRun(f"MATCHING_OTEL: {error}") from None
        _log.warning("not_traced", fault=str(error))


@contextmanager
def _start_errors() -> Iterator[None]:
    try:
        yield
    except (CannotListen, CannotServeMetrics) as error:
        raise CannotRun(str(error)) from None
    except StorageUnavailable:
        raise CannotRun("the database of MATCHING_DATABASE_URL does not answer") from None


@contextmanager
def _in_time(seconds: float) -> Iterator[None]:
    """Ends the process where the block takes longer: who waits for a database that hangs must not stay for ever."""
    timer = threading.Timer(seconds + _DRAIN_SLACK_SECONDS, _give_up)
    timer.daemon = True
    timer.start()
    yield
    timer.cancel()


def _give_up() -> None:
    _log.error("drain_out_of_time")
    os._exit(1)


def _hold_back_stop_signals() -> set[signal.Signals]:
    """Keeps SIGTERM and SIGINT for ``_wait_for``, in this thread and in all that it starts.

    Python's own handlers run when the main thread next wakes, which after a freeze may be never.
    """
    signals = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    return signals


def _wait_for(signals: set[signal.Signals]) -> None:
    """Returns at the first of the signals; a second one, while draining, ends the process at once."""
    signal.sigwait(signals)
    for number in signals:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, signals)


def _embedded_keys_file(data_dir: Path) -> Path:
    """One key, made at the first start, good for unsigned bodies: the file is as private as the data."""
    path = data_dir / "keys.json"
    if not path.exists():
        key = new_key("embedded", allow_unsigned_body=True)
        write_private(path, {"keys": [key.as_json()]})
    return path


@contextmanager
def _connection_told(
    path: Path | None, settings: Settings, key_id: str, secret: str, address: str
) -> Iterator[None]:
    """Tells clients on this machine how to connect, for as long as the block runs."""
    if path is None:
        yield
        return
    assert settings.database_url is not None
    assert settings.redis_url is not None
    write_private(
        path,
        {
            "address": address,
            "key_id": key_id,
            "secret": secret,
            "database_url": settings.database_url.get_secret_value(),
            "redis_url": settings.redis_url.get_secret_value(),
        },
    )
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def _print_first_call(sample: Path, address: str, connection_file: Path | None) -> None:
    """A call to paste: the headers are signed anew each time the line runs."""
    project = read_directory(sample).projects[0]
    binaries = Path(sys.executable).parent
    here = Path.cwd()
    buf, matching = (_shortest(binaries / name, here) for name in ("buf", "matching"))
    typer.echo(
        f"\nServing on {address}. Ask for an advisor for the sample project “{project.name}”, in another shell:\n\n"
        f"  {buf} curl --schema protos --protocol grpc --http2-prior-knowledge"
        f" $({matching} sign MatchService/CreateMatch --user-id {project.owner_id} --roles client"
        f" --connection-file {connection_file})"
        f' -d \'{{"project_id": "{project.id}"}}\''
        f" http://{address}/advisor_matching.v1.MatchService/CreateMatch\n\n"
        "Ctrl-C ends.\n"
    )


def _shortest(path: Path, here: Path) -> Path:
    return path.relative_to(here) if path.is_relative_to(here) else path
