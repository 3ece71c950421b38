"""`matching sign`: the two headers of a call, for `buf curl` and `grpcurl`."""

from __future__ import annotations

import csv
import io
import json
from enum import StrEnum
from typing import Annotated

import typer

from matching_client.catalog import body_from_json, find_method, methods, path_of
from matching_client.commands.call import Call
from matching_client.signing import CALL_LIFETIME, STREAM_LIFETIME, Claims, Credentials, Headers

_METHODS = sorted(f"{method.containing_service.name}/{method.name}" for method in methods())


class Format(StrEnum):
    """How headers are printed."""

    BUF = "buf"
    GRPCURL = "grpcurl"
    JSON = "json"
    LINES = "lines"


def sign(
    call: Call,
    method: Annotated[
        str,
        typer.Argument(
            help="Such as MatchService/GetMatch.",
            metavar="METHOD",
            autocompletion=lambda incomplete: [name for name in _METHODS if name.startswith(incomplete)],
        ),
    ],
    body: Annotated[
        str | None, typer.Option(help="Sign this request, written as JSON.", metavar="JSON")
    ] = None,
    unsigned: Annotated[
        bool, typer.Option("--unsigned", help="Leave the body unsigned, as without --body.")
    ] = False,
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
    if not call.named:
        raise ValueError("say who calls: --user-id or MATCHING_USER_ID")
    found = find_method(method)
    settings = call.settings()
    who = Claims(call.user_id, call.given.email or "", call.roles)
    headers = Credentials(settings.key_id, settings.secret, who).headers(
        path_of(found),
        None if body is None else body_from_json(found, body),
        lifetime=STREAM_LIFETIME if found.server_streaming else CALL_LIFETIME,
    )
    typer.echo(render(headers, Format.JSON if call.output.json else format))


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


def _csv_field(text: str) -> str:
    if not set(text) & set('",\r\n'):
        return text
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow([text])
    return line.getvalue()
