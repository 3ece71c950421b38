"""Arguments and options that several commands have, and how people write spans and moments."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from copy import copy
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from inspect import Parameter
from pathlib import Path
from typing import Annotated, Any, get_args
from uuid import UUID

import typer

from matching_client.commands.words import completing

_UNITS = {"d": 86400, "h": 3600, "m": 60, "s": 1}


def span(text: str) -> timedelta:
    """A span such as 90s, 30m, 2h, 1h30m or 7d. BadParameter where it is none."""
    parts = re.findall(r"(\d+)([dhms])", text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise typer.BadParameter(f"{text!r} is no span; write it like 90s, 30m, 2h or 1h30m")
    try:
        return timedelta(seconds=sum(int(number) * _UNITS[unit] for number, unit in parts))
    except OverflowError:
        raise typer.BadParameter(f"{text!r} is too long a span") from None


def moment(text: str) -> datetime:
    """A time in ISO 8601, local unless it names a zone. BadParameter where it is none."""
    try:
        return datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError):
        raise typer.BadParameter(
            f"{text!r} is no time; write it like 2026-01-31, 2026-01-31T12:00 or 2026-01-31T12:00:00Z"
        ) from None


MatchId = Annotated[UUID, typer.Argument(help="The match.", metavar="MATCH_ID")]
ProjectId = Annotated[UUID, typer.Argument(help="The project.", metavar="PROJECT_ID")]
AdvisorId = Annotated[UUID, typer.Argument(help="The advisor.", metavar="ADVISOR_ID")]

ProjectFilter = Annotated[UUID | None, typer.Option(help="Only of this project.", metavar="PROJECT_ID")]
MatchFilter = Annotated[UUID | None, typer.Option(help="Only of this match.", metavar="MATCH_ID")]

Reason = Annotated[str, typer.Option(help="Why, for people to read; at most 1,000 characters.")]
RequestId = Annotated[
    UUID | None,
    typer.Option(help="Makes a repeat answer as the first time, for 24 h; made up where left out."),
]
PageSize = Annotated[int, typer.Option(min=0, max=200, help="Entries a page; 0 means 50.")]
PageToken = Annotated[str, typer.Option(help="Go on where the page before ended.")]
All = Annotated[bool, typer.Option("--all", help="All pages; with --json one line an entry.")]


def text_of(value: UUID | None) -> str:
    """An id as the contract writes it; empty where there is none."""
    return "" if value is None else str(value)


@dataclass(frozen=True)
class Common:
    """The options that every command has: where the service is, who calls, and how the answer is printed."""

    address: str | None = None
    connection_file: Path | None = None
    user_id: UUID | None = None
    email: str | None = None
    roles: str | None = None
    timeout: float | None = None
    json: bool | None = None

    def over(self, other: Common) -> Common:
        """What is given here, and for the rest what the other says."""
        return replace(other, **{name: value for name, value in vars(self).items() if value is not None})


ENVIRONMENT = {"user_id": "MATCHING_USER_ID", "email": "MATCHING_EMAIL", "roles": "MATCHING_ROLES"}
"""Common options that the environment can give as well. Where the service is, `settings` reads itself."""

COMMON: dict[str, Any] = {
    "json": Annotated[
        bool | None, typer.Option("--json", help="Print the answer as JSON, as protobuf writes it.")
    ],
    "user_id": Annotated[
        UUID | None, typer.Option(help="Who calls, else MATCHING_USER_ID. Left out: an operator.")
    ],
    "email": Annotated[str | None, typer.Option(help="Their e-mail address, else MATCHING_EMAIL.")],
    "roles": Annotated[
        str | None,
        typer.Option(
            help="Their roles with commas between, else MATCHING_ROLES. Left out: client,advisor; of an"
            " operator: admin,service.",
            autocompletion=completing(["client", "advisor", "service", "admin"]),
        ),
    ],
    "address": Annotated[str | None, typer.Option(help="Host and port, else MATCHING_ADDRESS.")],
    "connection_file": Annotated[
        Path | None, typer.Option(help="Take address and key from this connection.json.")
    ],
    "timeout": Annotated[
        float | None, typer.Option(min=0.001, help="Seconds for all attempts of a call; 10 unless said.")
    ],
}
"""The names of `Common` with the options that fill them."""


def with_common_options(*, from_environment: bool) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Gives a function of (context, given, …) the common options, which it gets together as `given`.

    Its other parameters stay options and arguments of its own. `from_environment`: whether the options can
    come from there as well.
    """

    def give(function: Callable[..., None]) -> Callable[..., None]:
        context, _, *own = inspect.signature(function, eval_str=True).parameters.values()
        common = [_parameter(name, from_environment) for name in COMMON]

        def run(context: typer.Context, **arguments: Any) -> None:
            function(context, Common(**{name: arguments.pop(name) for name in COMMON}), **arguments)

        run.__name__, run.__doc__ = function.__name__, function.__doc__
        parameters = [context, *own, *common]
        # Typer reads it off the function, whose type does not know it.
        run.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
            [parameter.replace(kind=Parameter.KEYWORD_ONLY) for parameter in parameters]
        )
        run.__annotations__ = {}
        return run

    return give


def _parameter(name: str, from_environment: bool) -> Parameter:
    kind, option = get_args(COMMON[name])
    option = copy(option)
    option.envvar = ENVIRONMENT.get(name) if from_environment else None
    option.show_envvar = False
    return Parameter(name, Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[kind, option])
