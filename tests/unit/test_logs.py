"""How lines are written: in both forms, and where they cannot be, nobody's work stops."""

from __future__ import annotations

import json
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


TELLING = """
from datetime import UTC, datetime
from uuid import UUID
from matching_server import journal, logs
from matching_server.domain.effects import Effects, Selection
from matching_server.domain.events import EventType, MatchPayload, ProjectEvent
from matching_server.domain.model import MatchStatus
logs.configure({format!r}, "info")
one, now = UUID(int=1), datetime.now(UTC)
chosen = {{"advisor_id": str(one), "score_hundredths": 8123}}
record = {{"algorithm": "complex_scoring", "pool_size": 60, "candidates": 9, "chosen": chosen,
    "runners_up": [{{"advisor_id": "next", "score_hundredths": 8000}}], "exclusions": {{"busy": 3}}}}
payload = MatchPayload(one, MatchStatus.MATCHED, one, "Ada", None, "in their words", 81.23, now)
event = ProjectEvent(one, 1, EventType.MATCHED, payload, one, "the-call", now)
journal.tell(Effects(events=[event], selections=[Selection(one, one, record)]))
"""


def test_what_was_committed_is_told_in_both_forms() -> None:
    json_lines, console = (
        subprocess.run(
            [sys.executable, "-c", TELLING.format(format=log_format)],
            stderr=subprocess.PIPE,
            check=True,
            text=True,
            timeout=60,
        ).stderr.splitlines()
        for log_format in ("json", "console")
    )
    selection, transition = (json.loads(line) for line in json_lines)
    assert (selection["event"], selection["score"], selection["runner_up_score"]) == (
        "selection",
        81.23,
        80.0,
    )
    assert (selection["runner_up_id"], selection["exclusions"]) == ("next", {"busy": 3})
    assert (transition["event"], transition["status"], transition["previous_status"]) == (
        "transition",
        "matched",
        None,
    )
    assert transition["correlation_id"] == "the-call"
    assert "score=81.23" in console[0]
    assert "exclusions={'busy': 3}" in console[0]
    assert "status=matched" in console[1]
    assert not [line for line in (*json_lines, *console) if "their words" in line or "Ada" in line]
