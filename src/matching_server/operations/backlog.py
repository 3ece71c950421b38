"""The backlog: pending matches, served oldest first whenever a slot is free.

One pass at a time for all servers, a transaction a match. In each transaction the oldest match that can be
served is looked for anew, so capacity that appears in mid-pass goes to whoever has waited longest for it.
"""

from __future__ import annotations

from uuid import UUID

from matching_server.domain.model import MatchStatus
from matching_server.domain.scoring import Ranking
from matching_server.operations import choosing, transitions
from matching_server.operations.policy import Policy
from matching_server.operations.runner import Runner
from matching_server.storage import matches, pool
from matching_server.storage.database import Transaction
from matching_server.storage.event_log import ProjectLog, lock_project


def run_pass(runner: Runner, *, until: UUID | None = None, wait: bool = True) -> int:
    """Serves pending matches until none can be served. Returns how many were.

    Args:
        runner: gives each match its transaction.
        until: stop after this match was served.
        wait: for a pass that another server has under way; without, leave the backlog to it.
    """
    served = 0
    tried: list[UUID] = []
    while True:
        match_id, was_served = runner.system(
            lambda tx: _serve_next(tx, runner.policy, tried, wait=wait), correlation_id=None
        )
        if match_id is None:
            return served
        if was_served:
            served += 1
        else:
            tried.append(match_id)
        if match_id == until:
            return served


def _serve_next(
    tx: Transaction, policy: Policy, tried: list[UUID], *, wait: bool
) -> tuple[UUID | None, bool]:
    """Serves the oldest match that can be; returns it, if there was one, and whether it was served."""
    if pool.next_servable(tx.conn, policy.decline_cooldown, tried) is None:
        return None, False
    if not pool.take_backlog_turn(tx.conn, wait=wait):
        return None, False
    # Whoever had the turn before may have served it by now.
    found = pool.next_servable(tx.conn, policy.decline_cooldown, tried)
    if found is None:
        return None, False
    project_id, match_id = found
    with lock_project(tx, project_id) as log:
        return match_id, log is not None and _serve(tx, log, match_id, policy)


def _serve(tx: Transaction, log: ProjectLog, match_id: UUID, policy: Policy) -> bool:
    match = matches.lock(tx, match_id)
    context = pool.project_context(tx.conn, log.project_id, policy.decline_cooldown)
    if match is None or context is None or match.status is not MatchStatus.PENDING or match.overdue:
        return False
    request = choosing.ranking_request(
        context, match.criteria, allow_previous=match.allow_previous, policy=policy
    )
    choice = choosing.choose(tx, request, log.now)
    if isinstance(choice, Ranking):
        return False
    transitions.serve_pending(tx, log, match, choice.record, policy, auto_accept=choice.auto_accept)
    return True
