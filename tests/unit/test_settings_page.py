"""docs/settings.md tells every setting as it is."""

from __future__ import annotations

from pathlib import Path

from scripts import settings_table

PAGE = Path(__file__).parents[2] / "docs" / "settings.md"


def test_the_page_is_up_to_date() -> None:
    made = settings_table.page()
    assert PAGE.read_text() == made, "run: .venv/bin/python scripts/settings_table.py > docs/settings.md"
