"""Releases to come: the migrations of this one, and those that a test makes up."""

from __future__ import annotations

import shutil
from importlib.resources import files
from pathlib import Path

import pytest

from matching_server.storage import migrate as migrations

NEWEST = "0010"
"""This release's own revision."""
_MIGRATION = '''
from alembic import op

revision = "{revision}"
down_revision = "{before}"
works_from = {works_from!r}


def upgrade() -> None:
    op.execute("""{sql}""")
'''


class LaterRelease:
    """What ``storage.migrate`` in this process takes for its own while the test runs; other processes do not."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._scripts = directory / "migrations"
        self._revision = int(NEWEST)
        shutil.copytree(
            str(files(migrations.__name__.rpartition(".")[0]) / "migrations"),
            self._scripts,
            ignore=shutil.ignore_patterns("__pycache__"),
        )
        monkeypatch.setattr(migrations, "SCRIPTS", str(self._scripts))

    def add(self, sql: str, *, works_from: str | None = None) -> str:
        """One more migration, of the kind contract where it works from a certain revision on; returns its revision."""
        before, revision = f"{self._revision:04}", f"{self._revision + 1:04}"
        source = _MIGRATION.format(revision=revision, before=before, works_from=works_from, sql=sql)
        (self._scripts / "versions" / f"{revision}_later.py").write_text(source)
        self._revision += 1
        return revision
