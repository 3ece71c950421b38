"""The page of the command `matching`: every command with its help."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import typer.main

from matching_client.cli import app

WIDTH = 100
HEAD = """\
# The command

Made from `src/matching_client/cli.py` by `scripts/reference.py`; not edited by hand. Each command prints this with
`--help`.
"""


def page() -> str:
    """The whole page."""
    return HEAD + "".join(sections(typer.main.get_command(app), ["matching"], None))


def sections(command: Any, path: list[str], parent: Any) -> Iterator[str]:
    """A command, then those below it."""
    context = command.make_context(
        path[-1], [], parent, resilient_parsing=True, terminal_width=WIDTH, max_content_width=WIDTH
    )
    yield f"\n## {' '.join(path)}\n\n```text\n{command.get_help(context).rstrip()}\n```\n"
    for name, below in getattr(command, "commands", {}).items():
        yield from sections(below, [*path, name], context)
