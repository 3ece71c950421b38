"""Prints docs/settings.md: `python scripts/settings_table.py > docs/settings.md` brings the page up to date."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import AliasChoices, SecretStr
from pydantic.fields import FieldInfo

from matching_server.config import Settings

HEAD = """\
# Settings

Made from `src/matching_server/config.py` by `scripts/settings_table.py`; not edited by hand. `matching-server` reads
them from the environment at its start; a value that is wrong stops it with one line. `serve --embedded` sets the
database, Redis and the keys by itself, and, unless they are set, `ADVISOR_AUTO_PROVISION` to true and
`MATCHING_LOG_FORMAT` to console.

| variable | default | values | meaning |
|---|---|---|---|
"""


KINDS: dict[Any, str] = {
    bool: "true or false",
    int: "whole number",
    float: "number",
    str: "text",
    SecretStr: "text, secret",
    Path: "path",
}


def page() -> str:
    """The whole page."""
    return HEAD + "".join(row(name, field) for name, field in Settings.model_fields.items())


def row(name: str, field: FieldInfo) -> str:
    """The line of one setting."""
    cells = (f"`{variable(name, field)}`", default(field.default), values(field), field.description or "")
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |\n"


def variable(name: str, field: FieldInfo) -> str:
    """The environment variable that it is read from."""
    if isinstance(field.validation_alias, AliasChoices):
        return str(field.validation_alias.choices[0])
    return f"{Settings.model_config.get('env_prefix')}{name}".upper()


def default(value: Any) -> str:
    """What holds where nothing is set."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


def values(field: FieldInfo) -> str:
    """What may be set: the kind of value, and its bounds."""
    kind: Any = field.annotation
    if get_origin(kind) in (Union, UnionType):
        (kind,) = (part for part in get_args(kind) if part is not NoneType)
    if get_origin(kind) is Literal:
        return ", ".join(f"`{choice}`" for choice in get_args(kind))
    return " ".join([KINDS[kind], *bounds(field)])


def bounds(field: FieldInfo) -> Iterator[str]:
    """The least and the greatest value, in words."""
    for name, words in (("gt", "over"), ("ge", "from"), ("lt", "under"), ("le", "to")):
        for limit in field.metadata:
            bound = getattr(limit, name, None)
            if bound is not None:
                yield f"{words} {bound:,.0f}"


if __name__ == "__main__":
    print(page(), end="")
