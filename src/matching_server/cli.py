"""The command `matching-server`."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from matching_server import config
from matching_server.commands import CannotRun, required
from matching_server.config import SettingsError
from matching_server.domain.model import Role

VIOLATED = 1
NOT_SERVING = 1
USAGE_ERROR = 2
DEFAULT_DATA_DIR = Path(".matching")

app = typer.Typer(
    help="Runs the advisor matching service.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

keys = typer.Typer(no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False)
app.add_typer(keys, name="keys")


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
    from matching_server.commands import running

    if embedded:
        with running.embedded_settings(data_dir, listen) as settings:
            running.serve(settings, data_dir / "connection.json", workers=not no_workers, sample=sample)
    else:
        settings = config.load(listen=listen)
        running.serve(settings, connection_file, workers=not no_workers, sample=None)


@app.command()
def worker() -> None:
    """Does the background work alone, until SIGTERM or SIGINT: beside servers that run with --no-workers, or any."""
    from matching_server.commands import running

    running.work(config.load())


@app.command()
def migrate(
    stopped: Annotated[
        bool,
        typer.Option(
            "--stopped", help="No server or worker runs: what those of earlier releases use may go."
        ),
    ] = False,
) -> None:
    """Brings the database of MATCHING_MIGRATE_URL, or else MATCHING_DATABASE_URL, to the newest schema.

    Servers and workers of the release before may run meanwhile.
    """
    from matching_server.commands import database

    settings = config.load()
    variable = "MATCHING_DATABASE_URL" if settings.migrate_url is None else "MATCHING_MIGRATE_URL"
    url = required(settings.migrate_url or settings.database_url, variable)
    typer.echo(f"schema at revision {database.migrate(url, stopped=stopped, variable=variable)}")


@app.command()
def probe(
    address: Annotated[
        str | None, typer.Option(help="host:port; left out: MATCHING_LISTEN, on this machine.")
    ] = None,
    service: Annotated[
        str, typer.Option(help="Full name of one service; left out: the server as a whole.")
    ] = "",
    timeout: Annotated[float, typer.Option(min=0.1, max=60, help="Seconds to wait for an answer.")] = 3.0,
) -> None:
    """Asks a server on this machine for its health (grpc.health.v1), for container health checks.

    Prints what it says. The status is 0 where it serves, 1 where it does not or nobody answers. With
    MATCHING_TLS_CERT and MATCHING_TLS_KEY set, it asks by TLS, and the server has to show that certificate.
    """
    from matching_server.commands import probing

    serving, said = probing.probe(config.load(), address, service, timeout)
    typer.echo(said, err=not serving)
    if not serving:
        raise typer.Exit(NOT_SERVING)


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
    from matching_server.commands import database, seeding

    settings = config.load()
    url, redis_url = required(settings.database_url, "MATCHING_DATABASE_URL"), settings.redis_url
    database.require_usable_schema(url)
    if file is not None:
        seeding.load(url, redis_url.get_secret_value() if redis_url else None, file)
    if advisors is not None:
        seeding.add_advisors(url, advisors, number)


@app.command()
def audit(
    repair: Annotated[
        bool, typer.Option("--repair", help="First repair what follows from other rows, and log each repair.")
    ] = False,
) -> None:
    """Checks the invariants of the database of MATCHING_DATABASE_URL, all at one moment, while servers may run.

    Prints each violation with its rows. The status is 1 if there is any (with --repair: if any is left), else 0.
    """
    from matching_server.commands import auditing

    if not auditing.audit(config.load(), repair=repair):
        raise typer.Exit(VIOLATED)


@keys.callback()
def _keys() -> None:
    """Keys that callers sign with."""


@keys.command("new")
def new_key(
    file: Annotated[
        Path | None,
        typer.Option(
            help="Add it to this key file, made where there is none; servers take it up within seconds."
        ),
    ] = None,
    kid: Annotated[str | None, typer.Option("--id", help="Its id; made up where left out.")] = None,
    not_before: Annotated[
        str | None, typer.Option(help="When it begins to be valid, such as 2026-01-31T12:00:00Z.")
    ] = None,
    not_after: Annotated[str | None, typer.Option(help="When it is no longer valid.")] = None,
    max_role: Annotated[
        list[Role] | None,
        typer.Option(help="Its callers can have this role; may be repeated. Left out: every role."),
    ] = None,
    allow_unsigned_body: Annotated[
        bool, typer.Option("--allow-unsigned-body", help="For buf curl and grpcurl.")
    ] = False,
) -> None:
    """Makes a key. Prints its id where it is added to a file, and all of it, the secret included, where it is not."""
    from matching_server.commands import keys as command

    command.new(
        file,
        kid,
        not_before=not_before,
        not_after=not_after,
        max_roles=max_role or [],
        allow_unsigned_body=allow_unsigned_body,
    )


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
    _leave(code if isinstance(code, int) else 0)


def _leave(code: int) -> NoReturn:
    """Ends the process, though a thread may still be at work: draining has waited for it as long as it may."""
    if threading.active_count() > 1:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def _complain(message: str) -> int:
    typer.echo(f"matching-server: {message}", err=True)
    return USAGE_ERROR


if __name__ == "__main__":
    main()
