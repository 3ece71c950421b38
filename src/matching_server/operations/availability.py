"""Advisors' availability."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from uuid import UUID

from matching_server.domain.calls import Call
from matching_server.domain.errors import AdvisorNotFound
from matching_server.domain.model import (
    Availability,
    Caller,
    ClosedReason,
    Decision,
    PoolStatus,
    RecordedDecision,
    Side,
)
from matching_server.operations import transitions
from matching_server.operations.commands import UpdateAvailability
from matching_server.operations.policy import Policy
from matching_server.operations.runner import Runner
from matching_server.storage import availability, matches
from matching_server.storage.availability_cache import AvailabilityCache
from matching_server.storage.database import Transaction
from matching_server.storage.event_log import lock_project


def update_availability(runner: Runner, call: Call, command: UpdateAvailability) -> Availability:
    """Changes status, slots or preferences, and then, where asked, withdraws from open offers.

    The offers are declined one by one, each in its project's own transaction, after the change has committed:
    the advisor is offered nothing new meanwhile.

    Raises:
        AdvisorNotFound: no such advisor for the caller.
    """
    _check_self(call.caller, command.advisor_id)
    changed = runner.run(_update, call, command)
    if not command.decline_open_offers:
        return changed
    for project_id, match_id in runner.database.read(
        lambda conn: matches.open_offers(conn, command.advisor_id)
    ):
        runner.continue_run(_decline_offer, call, project_id, match_id, runner.policy)
    return get_availability(runner, call, command.advisor_id)


def get_availability(runner: Runner, call: Call, advisor_id: UUID) -> Availability:
    """What an advisor takes and has.

    Raises:
        AdvisorNotFound: no such advisor for the caller.
    """
    _check_self(call.caller, advisor_id)
    found = availability.get(runner.database.ask, advisor_id)
    if found is None:
        raise AdvisorNotFound(advisor_id)
    return found


def get_answer(
    runner: Runner,
    cache: AvailabilityCache,
    call: Call,
    advisor_id: UUID,
    encode: Callable[[Availability], bytes],
) -> bytes:
    """The same as an answer's bytes, which may be kept: they are never older than a write that was acknowledged.

    Raises:
        AdvisorNotFound: no such advisor for the caller.
    """
    _check_self(call.caller, advisor_id)
    return cache.read(advisor_id, lambda: encode(get_availability(runner, call, advisor_id)))


def get_pool_status(runner: Runner, call: Call) -> PoolStatus:
    """The active advisors, counted by status and by load."""
    return runner.read(lambda conn, _: availability.pool_status(conn), call)


def _check_self(caller: Caller, advisor_id: UUID) -> None:
    """Advisors see and change their own availability; services and admins anybody's."""
    if not caller.acts_for_platform and caller.user_id != advisor_id:
        raise AdvisorNotFound(advisor_id)


def _update(tx: Transaction, call: Call, command: UpdateAvailability) -> Availability:
    current = availability.lock(tx, command.advisor_id)
    if current is None:
        raise AdvisorNotFound(command.advisor_id)
    wanted = replace(
        current,
        status=command.status or current.status,
        max_concurrent_projects=command.max_concurrent_projects or current.max_concurrent_projects,
        preferences=command.preferences or current.preferences,
    )
    return availability.change(tx, wanted, by_themselves=call.caller.user_id == command.advisor_id)


def _decline_offer(tx: Transaction, call: Call, project_id: UUID, match_id: UUID, policy: Policy) -> None:
    with lock_project(tx, project_id) as log:
        match = matches.lock(tx, match_id)
        if log is None or match is None or not match.is_open:
            return
        if match.overdue:
            transitions.expire(tx, log, match, ClosedReason.EXPIRED)
            return
        withdrawn = RecordedDecision(Decision.DECLINED, None, log.now)
        transitions.decide(tx, log, match, Side.ADVISOR, withdrawn, policy, actor=call.caller.user_id)
