"""Files that trust rests on, keys and certificates: taken in again when they change, without a restart."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Generic, TypeVar

import structlog

T = TypeVar("T")

_log = structlog.get_logger(__name__)


class TrustedFiles(Generic[T]):
    """Some files that belong together, and what they said when they were last in order.

    Args:
        subject: what they hold, for the log.
        paths: where they are.
        parse: makes the value out of their contents, in the order of the paths; ValueError where it cannot.

    Raises:
        ValueError: they cannot be read or parsed now.
    """

    def __init__(self, subject: str, paths: Sequence[Path], parse: Callable[[list[bytes]], T]) -> None:
        self._subject = subject
        self._paths = tuple(paths)
        self._parse = parse
        self._fault: str | None = None
        self._contents = self.read()
        self.value = parse(self._contents)
        """Of the newest contents that were in order."""

    def read(self) -> list[bytes]:
        """What is in them now. Raises ValueError."""
        return [_content(path) for path in self._paths]

    def look(self) -> bool:
        """Takes in what has changed, and returns whether anything has.

        Contents are compared rather than times: two writes can share one. Files that are not in order, perhaps
        because they are just being written, leave the value as it is; that is logged when it begins, and tried again
        with the next look.
        """
        try:
            contents = self.read()
            if contents == self._contents:
                changed = False
            else:
                self.value, self._contents, changed = self._parse(contents), contents, True
        except ValueError as error:
            self._complain(str(error))
            return False
        if changed or self._fault is not None:
            _log.info("trusted_files_in_use", subject=self._subject, changed=changed)
        self._fault = None
        return changed

    def _complain(self, fault: str) -> None:
        if fault != self._fault:
            _log.warning(
                "trusted_files_not_in_order", subject=self._subject, fault=fault, kept="the former ones"
            )
        self._fault = fault


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from None
