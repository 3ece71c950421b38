"""``matching-server seed``: filling a database, with progress to look at."""

from __future__ import annotations

from pathlib import Path

import typer
from rich.console import Console
from rich.progress import Progress, track

from matching_server.commands import CannotRun
from matching_server.commands.database import opened
from matching_server.seeding import (
    SeedError,
    add_synthetic_advisors,
    is_empty,
    load_directory,
    read_directory,
)

_APPLICATION = "matching-seed"


def load(url: str, redis_url: str | None, file: Path, *, unless_filled: bool = False) -> None:
    """Brings the directory to what the file says.

    Args:
        url: of the database.
        redis_url: where servers are told of it.
        file: JSON.
        unless_filled: leave a directory alone that has anybody in it.

    Raises:
        CannotRun: the file is no directory.
    """
    try:
        directory = read_directory(file)
    except SeedError as error:
        raise CannotRun(str(error)) from None
    with opened(url, _APPLICATION) as database:
        if unless_filled and not is_empty(database):
            return
        steps = load_directory(database, directory, redis_url)
        for _ in track(steps, "Loading the directory", total=directory.size, console=Console(stderr=True)):
            pass


def add_advisors(url: str, count: int, number: int) -> None:
    """Adds synthetic advisors, and says how many were new."""
    added = 0
    with opened(url, _APPLICATION) as database, Progress(console=Console(stderr=True)) as progress:
        task = progress.add_task("Adding advisors", total=count)
        for batch in add_synthetic_advisors(database, count, number):
            added += batch.added
            progress.advance(task, batch.size)
    there = f"{count - added:,} were there already" if added < count else "none was there before"
    typer.echo(f"{added:,} advisors added, {there}" if added else f"nothing changed: all {there}")
