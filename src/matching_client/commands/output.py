"""Prints answers: as JSON, or as records and tables with a little colour where that is a terminal."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import typer
from google.protobuf import json_format
from google.protobuf.message import Message

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

_WIDTH_OF_FILES = 200
"""Columns of what is not read on a terminal, so that ids and tables stay whole."""
_STYLES = {
    "green": "finalized ready approved available completed sent healthy yes",
    "yellow": "pending matched client_approved advisor_accepted queued busy at_capacity processing degraded",
    "red": "expired client_declined advisor_declined declined failed dead offline inactive draining no"
    " rollback_needed",
}
_ID = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_STYLE_OF = {word: style for style, words in _STYLES.items() for word in words.split()}


@dataclass(frozen=True)
class Record:
    """One thing: labels and values. What has no value is left out."""

    pairs: Sequence[tuple[str, str]]
    title: str = ""


@dataclass(frozen=True)
class Listing:
    """Many things: a heading for each column, and rows. `empty` is said where there are none."""

    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    empty: str = "nothing"
    title: str = ""


Block = Record | Listing | str
"""What is printed one below the other; a string is a sentence."""


class Output:
    """Writes to stdout."""

    def __init__(self, *, json: bool) -> None:
        """`json`: whether answers are printed as JSON."""
        self.json = json

    def document(self, answer: Message | dict[str, Any]) -> None:
        """One JSON document, indented."""
        typer.echo(json.dumps(_plain(answer), indent=2, ensure_ascii=False))

    def line(self, answer: Message) -> None:
        """One JSON object on a line of its own, at once."""
        typer.echo(json.dumps(_plain(answer), ensure_ascii=False))

    def blocks(self, blocks: Iterable[Block]) -> None:
        """Records, tables and sentences."""
        console = self._console()
        for number, block in enumerate(blocks):
            if number:
                console.print()
            console.print(_rendered(block))
        self._write(console)

    def cells(self, cells: Sequence[str], widths: Sequence[int]) -> None:
        """A line of a table that grows as things happen, at once."""
        console = self._console()
        padded = [cell.ljust(width) for cell, width in zip(cells, (*widths, 0), strict=True)]
        console.print(*map(_styled, padded), sep="  ", soft_wrap=True)
        self._write(console)

    def _console(self) -> Console:
        from rich.console import Console  # noqa: PLC0415 - slow to import, and not needed for JSON

        width = None if sys.stdout.isatty() else _WIDTH_OF_FILES
        console = Console(width=width, highlight=False, emoji=False, markup=False)
        console.begin_capture()
        return console

    def _write(self, console: Console) -> None:
        """By way of `echo`, which is where a reader that has gone is noticed."""
        text = console.end_capture()
        if not console.is_terminal:
            text = "".join(f"{line.rstrip()}\n" for line in text.splitlines())
        typer.echo(text, nl=False, color=True)


def drop_output() -> None:
    """What is still buffered must not fail when the process ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _plain(answer: Message | dict[str, Any]) -> Any:
    return json_format.MessageToDict(answer) if isinstance(answer, Message) else answer


def _rendered(block: Block) -> RenderableType:
    from rich import box  # noqa: PLC0415
    from rich.console import Group  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    if isinstance(block, str):
        return Text(block)
    if isinstance(block, Listing) and not block.rows:
        return Text(f"{block.title}: {block.empty}" if block.title else block.empty)
    if isinstance(block, Record):
        table = Table.grid(padding=(0, 2))
        table.add_column(style="dim", no_wrap=True)
        table.add_column(overflow="fold")
        for label, value in block.pairs:
            if value:
                table.add_row(label, _styled(value))
    else:
        table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="bold")
        for heading, column in zip(block.headings, zip(*block.rows, strict=True), strict=True):
            # An id that is broken over lines cannot be copied.
            table.add_column(heading, overflow="fold", no_wrap=any(map(_ID.fullmatch, column)))
        for row in block.rows:
            table.add_row(*map(_styled, row))
    return Group(Text(block.title, style="bold"), table) if block.title else table


def _styled(value: str) -> RenderableType:
    """A word that stands for a state in its colour; anything else as it is, control characters excepted."""
    from rich.text import Text  # noqa: PLC0415

    return Text(_printable(value), style=_STYLE_OF.get(value.strip(), ""))


def _printable(value: str) -> str:
    """Without what could steer a terminal: texts come from anybody."""
    return "".join(
        letter if letter.isprintable() or letter == "\n" else "\N{REPLACEMENT CHARACTER}" for letter in value
    )
