"""`matching-server audit`: what does not hold, and what was repaired, in lines to read."""

from __future__ import annotations

import typer

from matching_server import logs
from matching_server.commands import required
from matching_server.commands.database import opened, require_usable_schema
from matching_server.config import Settings
from matching_server.offline import offline_runner
from matching_server.operations.auditing import RepairedInvariants, audit_patiently, repair_patiently
from matching_server.storage.invariants import INVARIANTS, MAX_ROWS


def audit(settings: Settings, *, repair: bool) -> bool:
    """Prints what does not hold, after repairing what can be where that is wanted. Returns whether all holds.

    Raises:
        CannotRun: the database cannot be asked.
    """
    logs.configure(settings.log_format, settings.log_level)
    url, redis_url = required(settings.database_url, "MATCHING_DATABASE_URL"), settings.redis_url
    require_usable_schema(url)
    with (
        opened(url, "matching-audit") as database,
        offline_runner(
            database, settings.policy(), redis_url.get_secret_value() if redis_url else None
        ) as runner,
    ):
        found = repair_patiently(runner) if repair else RepairedInvariants({}, tuple(audit_patiently(runner)))
    typer.echo("\n".join(_lines(found)))
    return not found.violations


def _lines(found: RepairedInvariants) -> list[str]:
    lines = [f"repaired {name}: {count:,}" for name, count in found.repaired.items()]
    for violation in found.violations:
        lines.append(str(violation))
        if len(violation.rows) == MAX_ROWS:
            lines.append("  and perhaps more")
    if not found.violations:
        lines.append(f"all {len(INVARIANTS)} invariants hold")
    return lines
