"""A process of its own that does what it is asked, for what must not share an interpreter with the rest."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any, Self

from benchmarks.harness.results import BenchmarkError


class Remote:
    """The process, for as long as the block runs.

    Args:
        serve: its main loop, a function of a module: it ends when nobody is at the other end of the pipe any more.
        what: what it is, for people.
    """

    def __init__(self, serve: Callable[[Connection], None], what: str) -> None:
        self._serve = serve
        self._what = what

    def __enter__(self) -> Self:
        spawn = multiprocessing.get_context("spawn")
        self._pipe, theirs = spawn.Pipe()
        self._process = spawn.Process(target=_run, args=(self._serve, theirs), name=self._what, daemon=True)
        self._process.start()
        theirs.close()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._pipe.close()
        self._process.kill()
        self._process.join()

    def ask(self, request: object) -> Any:
        """Has it do something, and returns what came of it.

        Raises:
            BenchmarkError: it could not, or it died; a text is what it answers then.
        """
        try:
            self._pipe.send(request)
            answer = self._pipe.recv()
        except (EOFError, BrokenPipeError):
            raise BenchmarkError(f"the {self._what} died") from None
        if isinstance(answer, str):
            raise BenchmarkError(answer)
        return answer


def _run(serve: Callable[[Connection], None], pipe: Connection) -> None:
    # Ctrl-C is for the process that started it, which ends this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    serve(pipe)
