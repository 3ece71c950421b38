"""The oldest Postgres that is supported: what both services promise, and the migrations, on that."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.rounds import FULL_SCALE, SCALE

ROOT = Path(__file__).parents[2]
SUITES = ("tests/contract", "tests/integration/test_migrations.py")


@pytest.mark.robustness
@pytest.mark.timeout(300)
@pytest.mark.skipif(SCALE < FULL_SCALE, reason="the suites run on the newest one already")
def test_the_contract_and_the_migrations_hold_on_postgres_16() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-n", "0", "-k", "not fake", *SUITES],
        cwd=ROOT,
        env={**os.environ, "MATCHING_TEST_POSTGRES": "16"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
