"""How log lines are written: structlog to standard error, as JSON or for a terminal."""

from __future__ import annotations

import logging
import sys
from typing import Literal

import orjson
import structlog


def configure(log_format: Literal["console", "json"], level: str) -> None:
    """Sets logging up for this process; lines below ``level`` cost next to nothing."""
    renderer: structlog.typing.Processor
    factory: structlog.PrintLoggerFactory | structlog.BytesLoggerFactory
    if log_format == "json":
        renderer = structlog.processors.JSONRenderer(serializer=orjson.dumps)
        factory = structlog.BytesLoggerFactory(sys.stderr.buffer)
    else:
        renderer = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
        factory = structlog.PrintLoggerFactory(sys.stderr)
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
