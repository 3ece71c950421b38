"""The two ways in which files get another content."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

Put = Callable[[Path, bytes], None]


def replaced(path: Path, content: bytes) -> None:
    """By another file, at once."""
    new = path.with_suffix(".new")
    new.write_bytes(content)
    new.replace(path)


def written_over(path: Path, content: bytes) -> None:
    """In place."""
    path.write_bytes(content)
