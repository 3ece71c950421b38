"""The words that people write and read for the contract's enums: "approved" for DECISION_APPROVED."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import typer

_UNSPECIFIED = "UNSPECIFIED"


def words(enum: Any) -> list[str]:
    """The words of an enum of the contract, without that for "not stated"."""
    return [word(enum, value) for value in enum.values() if value]


def word(enum: Any, value: int) -> str:
    """A value's name without the enum's own, in lower case; empty for "not stated".

    A number that this release has no name for is shown as the number.
    """
    if value not in enum.values():
        return str(value)
    name: str = enum.Name(value)
    return name.removeprefix(_prefix(enum)).lower() if value else ""


def words_option(enum: Any, help: str, *names: str) -> Any:
    """An option that takes one of the enum's words and hands over the value's name in the contract."""
    return typer.Option(*names, help=help, parser=_parser(enum), metavar=_metavar(enum), **_completion(enum))


def words_argument(enum: Any, metavar: str, help: str) -> Any:
    """An argument that takes one of the enum's words and hands over the value's name in the contract."""
    help = f"{help}: {', '.join(words(enum))}."
    return typer.Argument(help=help, parser=_parser(enum), metavar=metavar, **_completion(enum))


def completing(choices: list[str]) -> Callable[[str], list[str]]:
    """What the shell offers: those of the words that go on as the user has begun."""
    return lambda incomplete: [choice for choice in choices if choice.startswith(incomplete.lower())]


def _prefix(enum: Any) -> str:
    zero: str = enum.Name(0)
    return zero.removesuffix(_UNSPECIFIED)


def _metavar(enum: Any) -> str:
    return f"[{'|'.join(words(enum))}]"


def _completion(enum: Any) -> dict[str, Any]:
    return {"autocompletion": completing(words(enum))}


def _parser(enum: Any) -> Callable[[str], str]:
    def parse(text: str) -> str:
        wanted = text.lower().replace("-", "_").removeprefix(_prefix(enum).lower())
        if wanted not in words(enum):
            raise typer.BadParameter(f"{text!r} is not one of {', '.join(words(enum))}")
        return _prefix(enum) + wanted.upper()

    return parse
