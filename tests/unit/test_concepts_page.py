"""docs/concepts.md names every status and every event, and no others."""

from __future__ import annotations

import re
from pathlib import Path

from matching_server.domain.events import EventType
from matching_server.domain.model import OPEN_STATUSES, MatchStatus

PAGE = (Path(__file__).parents[2] / "docs" / "concepts.md").read_text()


def test_every_status_is_explained() -> None:
    explained = re.findall(r"^- (\*\*`.*?): ", PAGE, re.MULTILINE)
    assert set(re.findall(r"`(\w+)`", " ".join(explained))) == set(MatchStatus)


def test_the_open_ones_are_those_of_the_code() -> None:
    [told] = re.findall(r"^(`.*) are \*\*open\*\*", PAGE, re.MULTILINE)
    assert set(re.findall(r"`(\w+)`", told)) == set(OPEN_STATUSES)


def test_every_event_is_listed() -> None:
    rows = PAGE[PAGE.index("| event | when |") :].partition("\n\n")[0]
    assert set(re.findall(r"`(\w+\.\w+)`", rows)) == set(EventType) - {EventType.HEARTBEAT}
