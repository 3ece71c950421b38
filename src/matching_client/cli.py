"""The command `matching`: the client at a prompt."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from functools import cache
from typing import Annotated

import typer

from matching_client.commands import (
    admin,
    advisors,
    availability,
    chat,
    decide,
    events,
    matches,
    projects,
    sign,
    system,
)
from matching_client.commands.call import command
from matching_client.commands.failures import MEANINGS, ExitCode
from matching_client.commands.options import Common, with_common_options
from matching_client.commands.output import drop_output

_HELP = """Calls the advisor matching service.

Settings come from options, then from MATCHING_ADDRESS, MATCHING_KEY_ID and MATCHING_SECRET, then from the
connection file that an embedded server writes: the one named by MATCHING_CONNECTION_FILE, else
./.matching/connection.json.

Without --user-id an operator calls, with the roles admin and service. The options below may also follow the
command.

\b
Exit codes:
"""
_EXIT_CODES = "\n".join(f"{code:5}  {meaning}" for code, meaning in MEANINGS.items())

app = typer.Typer(help=_HELP + _EXIT_CODES, rich_markup_mode=None, pretty_exceptions_enable=False)
for _module in (matches, decide, availability, projects, advisors, chat, events, admin):
    app.add_typer(_module.group)
command(app, "watch", method="EventService/WatchProjectEvents")(events.watch)
command(app, "info", method="SystemService/GetServiceInfo")(system.info)
command(app, "sign")(sign.sign)


def _print_version(wanted: bool) -> None:
    if wanted:
        from matching_client import __version__

        typer.echo(f"matching {__version__}")
        raise typer.Exit


@with_common_options(from_environment=True)
def _given(
    context: typer.Context,
    given: Common,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    context.obj = given


app.callback()(_given)


@cache
def _command() -> Callable[..., int | None]:
    """The command, put together once."""
    return typer.main.get_command(app)


def main() -> None:
    """Runs the command. What the user can put right is one line on stderr, and an exit code of 2 or more."""
    if sys.stdout is None:
        # Closed by the shell. The first connection would get its number.
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - for as long as the process lasts
    try:
        code = _command()(prog_name="matching", standalone_mode=False)
    except typer.Abort:
        code = ExitCode.INTERRUPTED
    except OSError as error:
        typer.echo(f"matching: {error.filename or 'standard output'}: {error.strerror}", err=True)
        drop_output()
        code = ExitCode.USAGE
    except Exception as error:
        describe = getattr(error, "format_message", None)
        if describe is None:
            raise
        context = getattr(error, "ctx", None)
        where = f" -- see {context.command_path} --help" if context else ""
        typer.echo(f"matching: {' '.join(describe().split())}{where}", err=True)
        code = ExitCode.USAGE
    sys.exit(code)


if __name__ == "__main__":
    main()
