"""What the service does by itself, again and again: expiry, orphans, retention."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from uuid import UUID

from matching_server.domain.model import ClosedReason, Match, MatchStatus
from matching_server.operations import matching, transitions
from matching_server.operations.runner import Runner
from matching_server.storage import directory, event_log, matches, retention
from matching_server.storage.database import Transaction
from matching_server.storage.event_log import lock_project

_BATCH = 200


def expire_overdue(runner: Runner) -> int:
    """Expires the open matches that are past their time, project by project. Returns how many."""
    overdue = runner.database.read(lambda conn: matches.overdue(conn, _BATCH))
    return sum(matching.expire_if_overdue(runner, project_id, match_id) for project_id, match_id in overdue)


def close_orphans(runner: Runner) -> int:
    """Closes what is still open for an advisor or a project that the platform has deleted."""
    orphans = runner.database.read(lambda conn: matches.orphaned(conn, _BATCH))
    return sum(_close_orphan(runner, project_id, match_id) for project_id, match_id in orphans)


def _close_orphan(runner: Runner, project_id: UUID, match_id: UUID) -> bool:
    def close(tx: Transaction) -> bool:
        with lock_project(tx, project_id) as log:
            match = matches.lock(tx, match_id)
            if log is None or match is None or not _can_be_orphaned(match):
                return False
            why = _why_orphaned(tx, match)
            if why is not None:
                transitions.expire(tx, log, match, why)
            return why is not None

    return runner.system(close)


def _can_be_orphaned(match: Match) -> bool:
    """Open, or finalized without a job: a job's own attempt finds out by itself."""
    return match.is_open or (match.status is MatchStatus.FINALIZED and match.provisioning_state is None)


def _why_orphaned(tx: Transaction, match: Match) -> ClosedReason | None:
    if directory.owner_of(tx.conn, match.project_id) is None:
        return ClosedReason.PROJECT_GONE
    advisor = match.matched_advisor_id
    if advisor is not None and directory.get_advisor(tx.conn, advisor) is None:
        return ClosedReason.ADVISOR_GONE
    return None


def forget(runner: Runner) -> int:
    """Drops what no longer has to be kept: old events, nonces, answers, sent notifications, completed jobs.

    A step that fails does not keep the others from theirs; it fails the whole once they have nothing left to do.
    """
    older_than = runner.policy.event_retention
    steps: list[Callable[[Transaction], int]] = [
        retention.forget_nonces,
        retention.forget_answers,
        partial(retention.forget_sent, older_than=older_than),
        partial(retention.forget_completed, older_than=older_than),
    ]
    prunable = runner.database.read(lambda conn: event_log.prunable(conn, older_than, _BATCH))
    steps += [partial(_prune, project_id=project_id, older_than=older_than) for project_id in prunable]
    dropped, failed = 0, None
    for step in steps:
        try:
            dropped += runner.system(step)
        except Exception as error:
            failed = failed or error
    if failed and not dropped:
        raise failed
    return dropped


def _prune(tx: Transaction, *, project_id: UUID, older_than: timedelta) -> int:
    with lock_project(tx, project_id, wait=False) as log:
        return event_log.prune(tx, project_id, older_than) if log is not None else 0
