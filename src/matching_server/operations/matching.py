"""Asking for an advisor, and reading what came of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from matching_server.domain import scoring
from matching_server.domain.calls import Call
from matching_server.domain.errors import (
    DuplicateMatchRequest,
    MatchNotFound,
    ProjectNotFound,
    TransactionConflict,
    nobody_free,
)
from matching_server.domain.model import ClosedReason, Match, MatchStatus, PendingReason
from matching_server.operations import backlog, choosing, offering, transitions
from matching_server.operations.commands import CreatedMatch, CreateMatch, ListProjectMatches, PageOf
from matching_server.operations.runner import Runner
from matching_server.storage import matches, reach
from matching_server.storage.database import Transaction, asking
from matching_server.storage.event_log import ProjectLog, lock_project
from matching_server.storage.project_context import ProjectContext

_TURNS = 5
"""How often a request lets others go first."""


def create_match(
    runner: Runner, call: Call, command: CreateMatch, encode: Callable[[CreatedMatch], bytes]
) -> CreatedMatch | bytes:
    """Finds the best free advisor for a project and offers them the project.

    The project's unsettled match, if it has one, is the answer instead. Where others wait, or nobody is free,
    the match is stored as pending and the backlog is served up to it before the answer.

    Returns:
        The match, or the bytes of the answer that the same request got before.

    Raises:
        ProjectNotFound: no such project for the caller.
        DuplicateMatchRequest: there is an unsettled match, and the caller wanted to be told.
        NoAdvisorsAvailable, AllAdvisorsBusy: nobody is free, and the caller would not wait.
    """
    context = offering.look(runner.database.ask, call, command, runner.policy)
    if context is not None:
        offered = offering.offer_at_once(runner, call, command, context, encode)
        if offered is not None:
            return offered
        if context.overdue is not None:
            # In a transaction of its own, so that its advisor is ranked with the others.
            expire_if_overdue(runner, command.project_id, context.overdue)
    created = _in_turn(runner, call, command, encode)
    if isinstance(created, bytes) or created.match.status is not MatchStatus.PENDING:
        return created
    backlog.run_pass(runner, until=created.match.id)
    return runner.run_again(_reread, call, encode, created)


def _in_turn(
    runner: Runner, call: Call, command: CreateMatch, encode: Callable[[CreatedMatch], bytes]
) -> CreatedMatch | bytes:
    """Comes after those who wait, which a request that would wait does by waiting.

    Before one that would not, they are served, and again where one waits for who was claimed.
    """
    for _ in range(_TURNS):
        if command.require_immediate:
            backlog.run_pass(runner)
        try:
            return runner.run_once(_create, call, encode, command, runner)
        except backlog.OlderWaits:
            continue
    raise nobody_free(PendingReason.ALL_ADVISORS_BUSY) if command.require_immediate else TransactionConflict()


def _create(tx: Transaction, call: Call, command: CreateMatch, runner: Runner) -> CreatedMatch:
    with lock_project(tx, command.project_id) as log:
        context = offering.look(asking(tx.conn), call, command, runner.policy)
        if log is None or context is None:
            raise ProjectNotFound(command.project_id)
        unsettled = matches.lock_unsettled(tx, command.project_id)
        if unsettled is not None and unsettled.overdue:
            transitions.expire(tx, log, unsettled, ClosedReason.EXPIRED)
            unsettled = None
        if unsettled is not None:
            if command.fail_if_open:
                raise DuplicateMatchRequest(command.project_id, unsettled.id)
            return CreatedMatch(unsettled, already_open=True)
        return CreatedMatch(_match_now(tx, log, call, command, context, runner), already_open=False)


def _match_now(
    tx: Transaction,
    log: ProjectLog,
    call: Call,
    command: CreateMatch,
    context: ProjectContext,
    runner: Runner,
) -> Match:
    new = offering.new_match(call, command, log.now)
    policy = runner.policy
    if context.others_wait and not command.require_immediate:
        # Who came first is served first: this match takes its place in the queue before anybody is claimed.
        request = choosing.ranking_request(
            context,
            command.criteria,
            allow_previous=command.allow_previous,
            policy=policy,
            assignment=choosing.assignment_of(tx.conn, context),
        )
        ranking = runner.picture.rank(request, log.now)
    else:
        choice = choosing.choose_for(tx, runner.picture, context, new, policy, log.now)
        if isinstance(choice, choosing.Choice):
            if choice.assignment is None:
                backlog.keep_order(tx, new, choice.record.advisor.id, policy)
            match = transitions.create_matched(
                tx,
                log,
                replace(new, assignment_type=choice.assignment_type),
                choice.record,
                policy,
                auto_accept=choice.auto_accept,
                actor=call.caller.user_id,
            )
            choice.link(tx, match)
            return match
        ranking = choice
    if command.require_immediate:
        raise nobody_free(ranking.pending_reason)
    return transitions.create_pending(tx, log, new.waiting(ranking.pending_reason), call.caller.user_id)


def _reread(tx: Transaction, call: Call, created: CreatedMatch) -> CreatedMatch:
    """The match as the backlog pass left it."""
    match = matches.get(tx.conn, created.match.id)
    return CreatedMatch(match or created.match, created.already_open)


def get_match(runner: Runner, call: Call, match_id: UUID) -> Match:
    """A match, for its project's owner, its advisor, and who acts for the platform.

    Raises:
        MatchNotFound: no such match for the caller.
    """

    def read(conn: Connection, call: Call) -> Match:
        found = matches.get_for(conn, match_id, call.caller)
        if found is None:
            raise MatchNotFound(match_id)
        return found

    match = runner.read(read, call)
    if match.overdue:
        expire_if_overdue(runner, match.project_id, match.id)
        match = runner.read(read, call)
    return match


def list_project_matches(runner: Runner, call: Call, command: ListProjectMatches) -> PageOf[Match]:
    """A page of a project's matches, newest first.

    Raises:
        ProjectNotFound: no such project for the caller.
    """

    def overdue(conn: Connection, call: Call) -> UUID | None:
        if not reach.owns(conn, call.caller, command.project_id):
            raise ProjectNotFound(command.project_id)
        return matches.overdue_of(conn, command.project_id)

    def read(conn: Connection, call: Call) -> list[Match]:
        return matches.list_of_project(
            conn,
            command.project_id,
            statuses=command.statuses,
            before=command.page.before,
            limit=command.page.size + 1,
        )

    # Settled first, so that a filter by status sees it as what it is.
    overdue_id = runner.read(overdue, call)
    if overdue_id is not None:
        expire_if_overdue(runner, command.project_id, overdue_id)
    return PageOf.cut(runner.read(read, call), command.page.size, lambda match: (match.created_at, match.id))


def explain_match(runner: Runner, call: Call, match_id: UUID) -> tuple[dict[str, Any], bool]:
    """The record of how a match got its advisor, and whether its scores come out the same again.

    Raises:
        MatchNotFound: no such match.
    """

    def read(conn: Connection, call: Call) -> tuple[Match | None, dict[str, Any] | None]:
        return matches.get(conn, match_id), matches.scoring_features(conn, match_id)

    match, record = runner.read(read, call)
    if match is None:
        raise MatchNotFound(match_id)
    if record is None:
        return {}, True
    return record, scoring.replay(record)


def expire_if_overdue(runner: Runner, project_id: UUID, match_id: UUID) -> bool:
    """Expires a match that is open past its time; whoever meets one does this first."""

    def expire(tx: Transaction) -> bool:
        with lock_project(tx, project_id) as log:
            match = matches.lock(tx, match_id)
            if log is None or match is None or not match.overdue:
                return False
            transitions.expire(tx, log, match, ClosedReason.EXPIRED)
            return True

    return runner.system(expire)
