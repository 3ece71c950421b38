"""The command `matching`: the client at a prompt."""

from __future__ import annotations

import csv
import io
import json
import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from matching_client.catalog import body_from_json, find_method, path_of
from matching_client.settings import ConnectionSettings, SettingsError, read_connection_file, read_environment
from matching_client.signing import CALL_LIFETIME, STREAM_LIFETIME, Claims, Credentials, Headers

USAGE_ERROR = 2

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


class Format(StrEnum):
    """How headers are printed."""

    BUF = "buf"
    GRPCURL = "grpcurl"
    JSON = "json"
    LINES = "lines"


@app.callback()
def _group() -> None:
    """Calls the advisor matching service.

    Settings come from options, then from MATCHING_ADDRESS, MATCHING_KEY_ID and MATCHING_SECRET, then from the
    connection file that an embedded server writes: the one named by MATCHING_CONNECTION_FILE, else
    ./.matching/connection.json.
    """


@app.command()
def sign(
    method: Annotated[str, typer.Argument(help="Such as MatchService/GetMatch.", metavar="METHOD")],
    body: Annotated[
        str | None, typer.Option(help="Sign this request, written as JSON.", metavar="JSON")
    ] = None,
    unsigned: Annotated[
        bool, typer.Option("--unsigned", help="Leave the body unsigned, as without --body.")
    ] = False,
    user_id: Annotated[str, typer.Option(envvar="MATCHING_USER_ID", help="Who calls: a UUID.")] = "",
    email: Annotated[str, typer.Option(envvar="MATCHING_EMAIL", help="Their e-mail address.")] = "",
    roles: Annotated[
        str, typer.Option(envvar="MATCHING_ROLES", help="Their roles, with commas between.")
    ] = "",
    connection_file: Annotated[
        Path | None, typer.Option(help="Take the key from this connection.json.")
    ] = None,
    format: Annotated[Format, typer.Option(help="For which tool, or plain.")] = Format.BUF,
) -> None:
    """Prints the two headers that a call of METHOD needs.

    Put it unquoted into the tool's own command line, where the server's key allows unsigned bodies, as an
    embedded server's does:

    buf curl $(matching sign MatchService/GetMatch --user-id ID --roles client) ...

    grpcurl $(matching sign MatchService/GetMatch --user-id ID --roles client --format grpcurl) ...
    """
    if body is not None and unsigned:
        raise ValueError("--body and --unsigned exclude each other")
    if not user_id:
        raise ValueError("say who calls: --user-id or MATCHING_USER_ID")
    found = find_method(method)
    settings = _settings(connection_file)
    names = tuple(name.strip() for name in roles.split(",") if name.strip())
    credentials = Credentials(settings.key_id, settings.secret, Claims(user_id, email, names))
    headers = credentials.headers(
        path_of(found),
        None if body is None else body_from_json(found, body),
        lifetime=STREAM_LIFETIME if found.server_streaming else CALL_LIFETIME,
    )
    typer.echo(render(headers, format))


def render(headers: Headers, format: Format) -> str:
    """The headers as text.

    `buf` and `grpcurl` are for an unquoted `$(…)`: no word has a space in it. buf reads the value of --header
    as a line of CSV, so its quotes are doubled and the whole is quoted once more; the shell hands all of them
    on.
    """
    match format:
        case Format.BUF:
            return " ".join(f"--header {_csv_field(f'{name}:{value}')}" for name, value in headers)
        case Format.GRPCURL:
            return " ".join(f"-H {name}:{value}" for name, value in headers)
        case Format.JSON:
            return json.dumps(dict(headers))
        case Format.LINES:
            return "\n".join(f"{name}: {value}" for name, value in headers)


def main() -> None:
    """Runs the command. What the user can put right is one line on stderr and exit code 2."""
    try:
        code = app(standalone_mode=False)
    except ValueError as error:
        code = _complain(str(error))
    except Exception as error:
        describe = getattr(error, "format_message", None)
        if describe is None:
            raise
        code = _complain(describe())
    sys.exit(code)


def _complain(message: str) -> int:
    typer.echo(f"matching: {' '.join(message.split())}", err=True)
    return USAGE_ERROR


def _settings(connection_file: Path | None) -> ConnectionSettings:
    """Options over the environment over the connection file; signing needs no address."""
    if connection_file is not None:
        return read_connection_file(connection_file)
    try:
        return read_environment({"MATCHING_ADDRESS": "unused", **os.environ})
    except SettingsError as error:
        raise ValueError(str(error)) from None


def _csv_field(text: str) -> str:
    if not set(text) & set('",\r\n'):
        return text
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow([text])
    return line.getvalue()


if __name__ == "__main__":
    main()
