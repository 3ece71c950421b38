"""A log that cannot be written stops nobody's work."""

from __future__ import annotations

import subprocess
import sys

import pytest

SCRIPT = """
import structlog
from matching_server import logs
logs.configure({format!r}, "info")
log = structlog.get_logger("test")
for number in range(100):
    log.info("line", number=number)
try:
    raise ValueError("in the middle of something")
except ValueError:
    log.exception("failed")
print("done", flush=True)
"""


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_work_goes_on_where_no_line_can_be_written(log_format: str) -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT.format(format=log_format)],
            stdout=subprocess.PIPE,
            stderr=full,
            check=False,
            timeout=60,
        )
    assert done.stdout == b"done\n"
