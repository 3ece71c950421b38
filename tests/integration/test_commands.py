"""Commands that cannot run say in one line what the user has to put right."""

from __future__ import annotations

import subprocess
import sys

from tests.support.spawning import run_command

AWAY = "postgresql+psycopg://nobody@127.0.0.1:1/nothing"


def refusal(command: str, **settings: str) -> str:
    """The one line of a command that is told these settings and no others."""
    refused = run_command(command, **settings)
    assert (refused.returncode, refused.stdout) == (2, "")
    [line] = refused.stderr.splitlines()
    return line.removeprefix("matching-server: ")


def test_a_server_that_cannot_start_says_why(empty_database_url: str, redis_url: str) -> None:
    assert refusal("serve", database_url=empty_database_url) == "MATCHING_REDIS_URL is not set"
    assert "run 'matching-server migrate'" in refusal(
        "serve", database_url=empty_database_url, redis_url=redis_url
    )
    assert refusal("serve", metrics_listen="nowhere") == "MATCHING_METRICS_LISTEN: must be host:port"


def test_a_worker_that_cannot_start_says_why(redis_url: str) -> None:
    assert refusal("worker") == "MATCHING_DATABASE_URL is not set"
    assert refusal("worker", database_url=AWAY, redis_url=redis_url).startswith(
        "the database of MATCHING_DATABASE_URL cannot be used"
    )


def test_a_sender_that_is_stuck_does_not_keep_the_process() -> None:
    program = (
        "import threading; from concurrent.futures import ThreadPoolExecutor; from matching_server import cli;"
        " begun = threading.Event();"
        " ThreadPoolExecutor(1).submit(lambda: (begun.set(), threading.Event().wait()));"
        " begun.wait(); cli._leave(3)"
    )
    assert subprocess.run([sys.executable, "-c", program], timeout=20, check=False).returncode == 3
