"""What a command does not need, it does not wait for."""

from __future__ import annotations

import subprocess
import sys

import pytest

SLOW = ("rich", "defusedxml", "matching_client.stack", "tomllib")


@pytest.mark.parametrize("arguments", [("--help",), ("sign", "MatchService/GetMatch", "--user-id")])
def test_tables_and_parsers_are_imported_only_where_they_are_used(arguments: tuple[str, ...]) -> None:
    program = f"""
import sys
sys.argv = ["matching", *{arguments!r}]
from matching_client.cli import main
try:
    main()
except SystemExit:
    print(*sorted(set({SLOW!r}) & set(sys.modules)), file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stderr.splitlines()[-1] == ""
