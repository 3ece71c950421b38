"""pgbench: how fast the database alone does what a script says."""

from __future__ import annotations

import os
import re
import statistics
import subprocess
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from sqlalchemy import make_url

from benchmarks.harness.results import BenchmarkError
from matching_server.embedded import postgres_program

_SECONDS = 300.0
_TPS = re.compile(r"^tps = ([0-9.]+) \(without initial connection time\)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Transactions:
    """What a run of pgbench found."""

    rate: float
    """Transactions a second."""
    p50: float
    """The median latency in milliseconds."""


def run(database_url: str, script: Path, *, clients: int, transactions: int, first: int) -> Transactions:
    """Runs the script with prepared statements, so many transactions in each client.

    The script has ``:first`` and, to count on from there, ``:client_id``, ``:turn``, which begins at 0, and
    ``:turns``, how many there are for each client.

    Raises:
        BenchmarkError: it failed, or a transaction did.
    """
    url = make_url(database_url)
    with TemporaryDirectory(prefix="matching-pgbench-") as directory:
        command = [str(postgres_program("pgbench")), "--no-vacuum", "--protocol=prepared"]
        command += [f"--client={clients}", f"--transactions={transactions}", f"--file={script}"]
        command += [f"--define=first={first}", "--define=turn=0", f"--define=turns={transactions}"]
        command += ["--log", "--log-prefix=latencies"]
        command += [f"--host={url.host}", f"--port={url.port}", f"--username={url.username}"]
        done = subprocess.run(
            [*command, str(url.database)],
            cwd=directory,
            env=os.environ | {"PGPASSWORD": str(url.password), "LC_ALL": "C"},
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
        found = _TPS.search(done.stdout)
        if done.returncode != 0 or found is None or done.stderr:
            raise BenchmarkError(f"pgbench failed:\n{(done.stdout + done.stderr)[-2000:]}")
        return Transactions(float(found[1]), _median_latency(Path(directory)))


def _median_latency(directory: Path) -> float:
    """From the lines of the log: client, transaction, microseconds, …"""
    lines = (line for log in directory.glob("latencies.*") for line in log.read_text().splitlines())
    return statistics.median(int(line.split()[2]) for line in lines) / 1000
