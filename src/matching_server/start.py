"""Where the command `matching-server` begins: it says what to install where only the client is."""

from __future__ import annotations

import sys

_OWN = ("matching_server", "advisor_matching")


def main() -> None:
    """Runs the command. One line and status 1 where the packages of the server are missing."""
    try:
        from matching_server.cli import main as run  # noqa: PLC0415 - it imports what may be missing
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] in _OWN:
            raise
        sys.exit(f"matching-server needs {error.name}: pip install 'advisor-matching[server]'")
    run()
