"""The command `matching-server`."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from pydantic import SecretStr

from matching_server import config, logs
from matching_server.config import Settings, SettingsError

if TYPE_CHECKING:
    from rich.console import Console

    from matching_server.storage.database import Database

USAGE_ERROR = 2
DEFAULT_DATA_DIR = Path(".matching")

app = typer.Typer(
    help="Runs the advisor matching service.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


class CannotRun(Exception):
    """What the user has to put right, in one line."""


@app.callback()
def _group() -> None:
    """Runs the advisor matching service. Settings come from MATCHING_… variables; options take precedence."""


@app.command()
def serve(
    listen: Annotated[str | None, typer.Option(help="host:port; port 0 takes a free one.")] = None,
    embedded: Annotated[
        bool, typer.Option("--embedded", help="Bring Postgres and Redis along, in the data directory.")
    ] = False,
    data_dir: Annotated[Path, typer.Option(help="Where --embedded keeps its data.")] = DEFAULT_DATA_DIR,
    no_workers: Annotated[
        bool, typer.Option("--no-workers", help="Answer calls only; the background work runs elsewhere.")
    ] = False,
    connection_file: Annotated[
        Path | None,
        typer.Option(help="Write how to connect to this file while serving; --embedded always does."),
    ] = None,
    sample: Annotated[
        Path | None, typer.Option(help="With --embedded: load this directory file, and print a first call.")
    ] = None,
) -> None:
    """Serves until SIGTERM or SIGINT, then drains."""
    if embedded:
        with _embedded_settings(data_dir, listen) as settings:
            _serve(settings, data_dir / "connection.json", workers=not no_workers, sample=sample)
    else:
        settings = config.load(listen=listen)
        _serve(settings, connection_file, workers=not no_workers, sample=None)


@app.command()
def migrate() -> None:
    """Brings the database of MATCHING_DATABASE_URL to the newest schema."""
    from matching_server.storage import migrate as migrations

    url = _required(config.load().database_url, "MATCHING_DATABASE_URL")
    _migrate(url)
    typer.echo(f"schema at revision {migrations.current_revision(url)}")


@app.command()
def seed(
    file: Annotated[
        Path | None, typer.Argument(help="Load this JSON file, such as examples/directory.json.")
    ] = None,
    advisors: Annotated[
        int | None, typer.Option(min=1, help="Add so many synthetic advisors, all of them available.")
    ] = None,
    number: Annotated[int, typer.Option("--seed", help="Another number makes other synthetic advisors.")] = 1,
) -> None:
    """Fills the database of MATCHING_DATABASE_URL: with a file's projects and advisors, synthetic advisors, or both.

    Can be repeated. Entries of the file are brought to what it says; a synthetic advisor who is there already
    stays as they are, so the same number changes nothing and a larger one adds the rest.
    """
    if file is None and advisors is None:
        raise CannotRun("seed: name a FILE, or say with --advisors how many to make")
    settings = config.load()
    url, redis_url = _required(settings.database_url, "MATCHING_DATABASE_URL"), settings.redis_url
    _require_current_schema(url)
    if file is not None:
        _seed(url, redis_url.get_secret_value() if redis_url else None, file)
    if advisors is not None:
        _add_advisors(url, advisors, number)


def _serve(settings: Settings, connection_file: Path | None, *, workers: bool, sample: Path | None) -> None:
    from matching_server.app import Application
    from matching_server.domain.errors import StorageUnavailable
    from matching_server.rpc.keys import KeyRing, read_keys
    from matching_server.rpc.server import CannotListen

    logs.configure(settings.log_format, settings.log_level)
    database_url = _required(settings.database_url, "MATCHING_DATABASE_URL")
    redis_url = _required(settings.redis_url, "MATCHING_REDIS_URL")
    if settings.hmac_keys_file is None:
        raise CannotRun("MATCHING_HMAC_KEYS_FILE is not set")
    first, *others = read_keys(settings.hmac_keys_file)
    keys = KeyRing((first, *others))
    _require_current_schema(database_url)
    stop = _hold_back_stop_signals()
    if sample is not None:
        _seed(database_url, redis_url, sample, unless_filled=True)
    try:
        application = Application(settings, keys, workers=workers)
        address = application.start()
    except CannotListen as error:
        raise CannotRun(str(error)) from None
    except StorageUnavailable:
        raise CannotRun("the database of MATCHING_DATABASE_URL does not answer") from None
    try:
        with _connection_file(connection_file, settings, first.id, first.secret, address):
            if sample is not None:
                _print_first_call(sample, address, connection_file)
            _wait_for(stop)
    finally:
        application.stop()


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


@contextmanager
def _embedded_settings(data_dir: Path, listen: str | None) -> Iterator[Settings]:
    """Postgres and Redis while the block runs, migrated, with a key of their own."""
    try:
        from matching_server.embedded import EmbeddedError, EmbeddedServices
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
        _migrate(services.database_url)
        yield config.load(
            listen=listen,
            database_url=services.database_url,
            redis_url=services.redis_url,
            hmac_keys_file=_embedded_keys_file(data_dir),
        )
    finally:
        services.stop()


def _embedded_keys_file(data_dir: Path) -> Path:
    """One key, made at the first start, good for unsigned bodies: the file is as private as the data."""
    from matching_server.rpc.keys import new_key

    path = data_dir / "keys.json"
    if not path.exists():
        key = new_key("embedded", allow_unsigned_body=True)
        _write_private(path, {"keys": [key.as_json()]})
    return path


@contextmanager
def _connection_file(
    path: Path | None, settings: Settings, key_id: str, secret: str, address: str
) -> Iterator[None]:
    """Tells clients on this machine how to connect, for as long as the block runs."""
    if path is None:
        yield
        return
    assert settings.database_url is not None
    assert settings.redis_url is not None
    _write_private(
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


def _write_private(path: Path, content: dict[str, object]) -> None:
    """Whole or not at all, and for nobody else to read at any moment."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(content, file, indent=2)
    temporary.replace(path)


@contextmanager
def _database_errors() -> Iterator[None]:
    from sqlalchemy.exc import ArgumentError, OperationalError

    from matching_server.domain.errors import StorageUnavailable

    try:
        yield
    except ArgumentError:
        raise CannotRun("MATCHING_DATABASE_URL is not a database URL") from None
    except OperationalError as error:
        reason = str(error.orig).strip().partition("\n")[0]
        raise CannotRun(f"the database of MATCHING_DATABASE_URL cannot be used: {reason}") from None
    except StorageUnavailable:
        raise CannotRun("the database of MATCHING_DATABASE_URL does not answer") from None


def _require_current_schema(url: str) -> None:
    from matching_server.storage.migrate import is_current

    with _database_errors():
        current = is_current(url)
    if not current:
        raise CannotRun("the database's schema is not current: run 'matching-server migrate'")


def _migrate(url: str) -> None:
    from matching_server.storage import migrate as migrations

    with _database_errors():
        migrations.migrate(url)


def _seed(url: str, redis_url: str | None, file: Path, *, unless_filled: bool = False) -> None:
    from rich.progress import track

    from matching_server.seeding import SeedError, is_empty, load_directory, read_directory

    try:
        directory = read_directory(file)
    except SeedError as error:
        raise CannotRun(str(error)) from None
    with _seeding_database(url) as database:
        if unless_filled and not is_empty(database):
            return
        steps = load_directory(database, directory, redis_url)
        for _ in track(steps, "Loading the directory", total=directory.size, console=_console()):
            pass


def _add_advisors(url: str, count: int, number: int) -> None:
    from rich.progress import Progress

    from matching_server.seeding import add_synthetic_advisors

    added = 0
    with _seeding_database(url) as database, Progress(console=_console()) as progress:
        task = progress.add_task("Adding advisors", total=count)
        for batch in add_synthetic_advisors(database, count, number):
            added += batch.added
            progress.advance(task, batch.size)
    there = f"{count - added:,} were there already" if added < count else "none was there before"
    typer.echo(f"{added:,} advisors added, {there}" if added else f"nothing changed: all {there}")


def _console() -> Console:
    from rich.console import Console

    return Console(stderr=True)


@contextmanager
def _seeding_database(url: str) -> Iterator[Database]:
    from matching_server.storage.database import Database

    with _database_errors():
        database = Database(url, pool_size=1, application_name="matching-seed")
        try:
            yield database
        finally:
            database.close()


def _print_first_call(sample: Path, address: str, connection_file: Path | None) -> None:
    """A call to paste: the headers are signed anew each time the line runs."""
    from matching_server.seeding import read_directory

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


def _required(value: SecretStr | None, name: str) -> str:
    if value is None:
        raise CannotRun(f"{name} is not set")
    return value.get_secret_value()


def main() -> None:
    """Runs the command. What the user can put right is one line on stderr and a non-zero status."""
    try:
        code = app(standalone_mode=False)
    except (CannotRun, SettingsError, ValueError) as error:
        code = _complain(str(error))
    except Exception as error:
        describe = getattr(error, "format_message", None)
        if describe is None:
            raise
        code = _complain(describe())
    sys.exit(code if isinstance(code, int) else 0)


def _complain(message: str) -> int:
    typer.echo(f"matching-server: {message}", err=True)
    return USAGE_ERROR


if __name__ == "__main__":
    main()
