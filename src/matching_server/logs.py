"""How log lines are written: structlog to standard error, as JSON or for a terminal."""

from __future__ import annotations

import logging
import sys
from typing import IO, Any, BinaryIO, Literal, TextIO, cast

import orjson
import structlog


class _Lenient:
    """A stream whose reader may be gone, or its disk full: a line that cannot be written stops nobody's work."""

    def __init__(self, stream: IO[Any]) -> None:
        self._stream = stream

    def write(self, line: str | bytes) -> None:
        """Writes, if it can."""
        # Every line passes here: a context manager would cost as much as the writing.
        try:  # noqa: SIM105
            self._stream.write(line)
        except OSError:
            pass

    def flush(self) -> None:
        """Flushes, if it can."""
        try:  # noqa: SIM105
            self._stream.flush()
        except OSError:
            pass


def configure(log_format: Literal["console", "json"], level: str) -> None:
    """Sets logging up for this process; lines below ``level`` cost next to nothing."""
    renderer: structlog.typing.Processor
    factory: structlog.PrintLoggerFactory | structlog.BytesLoggerFactory
    if log_format == "json":
        renderer = structlog.processors.JSONRenderer(serializer=orjson.dumps)
        factory = structlog.BytesLoggerFactory(cast("BinaryIO", _Lenient(sys.stderr.buffer)))
    else:
        renderer = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
        factory = structlog.PrintLoggerFactory(cast("TextIO", _Lenient(sys.stderr)))
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=factory,
        cache_logger_on_first_use=True,
    )
