"""The backlog: pending matches, served oldest first whenever a slot is free.

One pass at a time for all servers, a transaction a match. In each transaction the oldest match that can be
served is looked for anew, and none takes an advisor for whom an older one waits: capacity that appears in
mid-pass, even in the middle of a transaction, goes to whoever has waited longest for it.
"""

from __future__ import annotations

import random
import time
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from uuid import UUID

from matching_server.domain.errors import TransactionConflict
from matching_server.domain.model import Match, MatchStatus
from matching_server.domain.scoring import Ranking
from matching_server.operations import choosing, transitions
from matching_server.operations.policy import Policy
from matching_server.operations.runner import Runner
from matching_server.storage import backlog as stored
from matching_server.storage import matches
from matching_server.storage.database import Transaction, asking
from matching_server.storage.event_log import ProjectLog, lock_project
from matching_server.storage.project_context import project_context

_WAIT_SECONDS = 5.0
"""How long a call waits for its turn; each turn of another is a few milliseconds."""
_LOOK_AGAIN_SECONDS = 0.02
_PATIENCE = "100ms"
"""How long a pass waits for a project's turn."""


@dataclass(frozen=True, slots=True)
class _Step:
    """What one transaction of a pass came to. ``match_id`` is ``None`` where nothing can be served."""

    match_id: UUID | None = None
    served: bool = False
    busy: bool = False
    """Another pass is under way."""


@dataclass(slots=True)
class _Tried:
    """The matches that a pass leaves aside, since nobody could be had for them when it was their turn."""

    aside: set[UUID] = field(default_factory=set)
    again: set[UUID] = field(default_factory=set)
    """Those that were given a second turn. There is no third: a pass has an end."""

    def give_second_turn(self, match_id: UUID) -> None:
        self.aside.discard(match_id)
        self.again.add(match_id)


class OlderWaits(Exception):
    """The advisor who was claimed has just become free for an older match: the transaction has to be undone."""

    def __init__(self, match_id: UUID) -> None:
        super().__init__(match_id)
        self.match_id = match_id


def keep_order(
    tx: Transaction, match: Match, advisor_id: UUID, policy: Policy, but: Collection[UUID] = ()
) -> None:
    """Raises OlderWaits where an older match, those in ``but`` aside, waits for the claimed advisor too."""
    older = stored.older_for(tx.conn, match, advisor_id, policy.decline_cooldown, but)
    if older is not None:
        raise OlderWaits(older)


def run_pass(runner: Runner, *, until: UUID | None = None, wait: bool = True) -> int:
    """Serves pending matches until none can be served. Returns how many were.

    Args:
        runner: gives each match its transaction.
        until: stop after this match was tried.
        wait: for a pass that is under way elsewhere; without, leave the backlog to it. A waiting call looks
            again and again, so that it leaves at once where the other pass has served all there was to serve.

    Raises:
        TransactionConflict: others had the turn for too long.
    """
    served = 0
    tried = _Tried()
    deadline = time.monotonic() + _WAIT_SECONDS
    while True:
        try:
            step = runner.system(lambda tx: _serve_next(tx, runner, tried))
        except OlderWaits as older:
            tried.give_second_turn(older.match_id)
            continue
        if step.busy:
            if not wait:
                return served
            if time.monotonic() > deadline:
                raise TransactionConflict
            time.sleep(random.uniform(0, _LOOK_AGAIN_SECONDS))
            continue
        if step.match_id is None:
            return served
        if step.served:
            served += 1
        else:
            tried.aside.add(step.match_id)
        if step.match_id == until:
            return served


def _serve_next(tx: Transaction, runner: Runner, tried: _Tried) -> _Step:
    """Serves the oldest match that can be, if it is this pass's turn."""
    policy = runner.policy
    if stored.next_servable(tx.conn, policy.decline_cooldown, tried.aside) is None:
        return _Step()
    if not stored.take_backlog_turn(tx.conn):
        return _Step(busy=True)
    # Whoever had the turn before may have served it by now.
    found = stored.next_servable(tx.conn, policy.decline_cooldown, tried.aside)
    if found is None:
        return _Step()
    project_id, match_id = found
    # A project that another transaction keeps is left aside: the others shall not wait for it.
    with lock_project(tx, project_id, patience=_PATIENCE) as log:
        return _Step(match_id, served=log is not None and _serve(tx, log, match_id, runner, tried))


def _serve(tx: Transaction, log: ProjectLog, match_id: UUID, runner: Runner, tried: _Tried) -> bool:
    policy = runner.policy
    match = matches.lock(tx, match_id)
    if match is None:
        return False
    context = project_context(asking(tx.conn), log.project_id, match.criteria, policy.decline_cooldown)
    if context is None or match.status is not MatchStatus.PENDING or match.overdue:
        return False
    choice = choosing.choose_for(tx, runner.picture, context, match, policy, log.now)
    if isinstance(choice, Ranking):
        return False
    if choice.assignment is None:
        keep_order(tx, match, choice.record.advisor.id, policy, but=tried.again)
    assigned = replace(match, assignment_type=choice.assignment_type)
    transitions.serve_pending(tx, log, assigned, choice.record, policy, auto_accept=choice.auto_accept)
    choice.link(tx, match)
    return True
