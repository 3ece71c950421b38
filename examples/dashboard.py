"""An admin's dashboard in the terminal: the pool, the queues, and what happened lately.

To see it work: `make run` in one shell, and in another `.venv/bin/python examples/dashboard.py`. `--once` prints it
and ends.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterable
from datetime import UTC, timedelta
from uuid import uuid4

from rich.columns import Columns
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table

from advisor_matching.v1 import types_pb2 as pb
from matching_client import MatchingClient, MatchingError, SettingsError, Unavailable

WINDOW = timedelta(hours=24)
RECENT = 8


def dashboard(admin: MatchingClient) -> RenderableType:
    """Everything, as it is now. Raises MatchingError."""
    return Group(Columns([pool(admin), provisioning(admin), backlog(admin)]), interventions(admin))


def pool(admin: MatchingClient) -> Panel:
    """Who is there, and who has room."""
    status = admin.get_pool_status()
    by_status, by_load = status.status_breakdown, status.workload_breakdown
    size = word(pb.PoolSize.Name(status.pool_size), "POOL_SIZE_")
    algorithm = word(pb.MatchingAlgorithm.Name(status.algorithm), "MATCHING_ALGORITHM_")
    rows = [
        ("available", by_status.available),
        ("  idle", by_load.idle),
        ("  some work, and room", by_load.available),
        ("  at capacity", by_load.at_capacity),
        ("busy", by_status.busy),
        ("offline", by_status.offline),
    ]
    return Panel(grid(rows), title=f"{status.total_advisors} advisors, {size}", subtitle=algorithm)


def provisioning(admin: MatchingClient) -> Panel:
    """How the workspaces of the window went."""
    stats = admin.get_provisioning_stats(window=WINDOW)
    names = [
        (word(pb.ProvisioningJobStatus.Name(one.status), "PROVISIONING_JOB_STATUS_"), one.count)
        for one in stats.counts
    ]
    success = f"{stats.success_rate:.1%}" if stats.HasField("success_rate") else "-"
    attempts = f"{stats.average_attempts:.1f}" if stats.HasField("average_attempts") else "-"
    failures = next((f"{one.count} x {one.reason}" for one in stats.failure_reasons), None)
    rows = [*names, ("success", success), ("mean attempts", attempts)]
    return Panel(grid(rows), title="workspaces, 24 h", subtitle=failures)


def backlog(admin: MatchingClient) -> Panel:
    """What waits, and what nobody will try again."""
    stats = admin.get_provisioning_stats(window=WINDOW)
    oldest = f"{stats.oldest_pending_age.ToSeconds()} s" if stats.HasField("oldest_pending_age") else "-"
    waiting = admin.list_notifications(statuses=["pending"], page_size=200)
    dead = admin.list_notifications(statuses=["dead"], page_size=200)
    rows = [
        ("oldest workspace to be made", oldest),
        ("notifications to be sent", counted(len(waiting.notifications), waiting.next_page_token)),
        ("notifications that are dead", counted(len(dead.notifications), dead.next_page_token)),
    ]
    return Panel(grid(rows), title="backlog")


def interventions(admin: MatchingClient) -> Panel:
    """What admins did, and what the service could not do, newest first."""
    table = Table(box=None, pad_edge=False, expand=True)
    for column in ("when (UTC)", "what", "project", "why"):
        table.add_column(column, overflow="fold")
    for one in admin.list_interventions(page_size=RECENT).interventions:
        when = one.created_at.ToDatetime(tzinfo=UTC)
        table.add_row(f"{when:%m-%d %H:%M:%S}", one.intervention_type, one.project_id[:8], one.reason)
    return Panel(table, title="interventions")


def grid(rows: Iterable[tuple[str, object]]) -> Table:
    """Names and figures."""
    table = Table.grid(padding=(0, 2))
    table.add_column()
    table.add_column(justify="right")
    for name, value in rows:
        table.add_row(name, str(value))
    return table


def counted(number: int, next_page: str) -> str:
    """A number of which a page is enough to know."""
    return f"{number}+" if next_page else str(number)


def word(name: str, prefix: str) -> str:
    """An enum's name for people."""
    return name.removeprefix(prefix).lower().replace("_", " ")


def watch(admin: MatchingClient, console: Console, seconds: float) -> None:
    """Shows it until Ctrl-C; what it was last stays while the service is away."""
    with Live(dashboard(admin), console=console, screen=console.is_terminal, auto_refresh=False) as live:
        while True:
            time.sleep(seconds)
            try:
                live.update(dashboard(admin), refresh=True)
            except Unavailable as error:
                live.console.log(str(error))


def main() -> int:
    """Reads the arguments; what goes wrong is one line, and status 2."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--once", action="store_true", help="print it and end")
    parser.add_argument("--interval", type=float, default=2.0, metavar="SECONDS", help="between two looks")
    arguments = parser.parse_args()
    console = Console()
    try:
        with MatchingClient.from_env(user_id=str(uuid4()), roles=["admin"]) as admin:
            if arguments.once:
                console.print(dashboard(admin))
            else:
                watch(admin, console, arguments.interval)
    except KeyboardInterrupt:
        return 0
    except (MatchingError, SettingsError) as error:
        print(f"dashboard: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
