"""The command ``matching``, run in this process."""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from typing import Any

from matching_client import cli


@dataclass(frozen=True)
class Done:
    """How a command ended, and what it printed."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The document on stdout."""
        return json.loads(self.out)

    @property
    def lines(self) -> list[Any]:
        """The documents on stdout, one a line."""
        return [json.loads(line) for line in self.out.splitlines()]


def matching(*arguments: object) -> Done:
    """Runs ``matching`` with these arguments; what it changes about the process is put back."""
    out, err = io.StringIO(), io.StringIO()
    with _arguments(list(map(str, arguments))), redirect_stdout(out), redirect_stderr(err):
        try:
            cli.main()
            code = 0
        except SystemExit as ended:
            code = int(ended.code or 0)
    return Done(code, out.getvalue(), err.getvalue())


def ok(*arguments: object) -> Done:
    """The same, for a command that has to succeed."""
    done = matching(*arguments)
    assert done.code == 0, done
    return done


@contextmanager
def _arguments(arguments: list[str]) -> Iterator[None]:
    argv, environment = sys.argv, dict(os.environ)
    sys.argv = ["matching", *arguments]
    try:
        yield
    finally:
        sys.argv = argv
        os.environ.clear()
        os.environ.update(environment)
