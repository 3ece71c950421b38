"""docs/access.md tells who may what as the server decides it."""

from __future__ import annotations

from pathlib import Path

from scripts import access_table

PAGE = Path(__file__).parents[2] / "docs" / "access.md"


def test_the_page_is_up_to_date() -> None:
    made = access_table.page()
    assert PAGE.read_text() == made, "run: make docs"
