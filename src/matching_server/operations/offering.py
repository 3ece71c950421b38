"""The usual case of asking for an advisor, in two statements: look at the project, then offer, all at once.

Whatever is not usual (an unsettled match, others who wait, nobody free, an advisor who accepts by themselves, a
repeated request) is left to the transaction of ``operations.matching``, which knows every case.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from uuid import uuid4

from matching_server.domain.calls import Call
from matching_server.domain.effects import Effects, Load, Selection
from matching_server.domain.events import EventType, MatchPayload, ProjectEvent
from matching_server.domain.model import Match, MatchStatus
from matching_server.domain.trace import TRACEPARENT
from matching_server.operations import choosing
from matching_server.operations.commands import CreatedMatch, CreateMatch
from matching_server.operations.picture import Proposal
from matching_server.operations.policy import DEFAULT_EXPIRES_IN, Policy
from matching_server.operations.runner import Runner
from matching_server.operations.transitions import notification_payload
from matching_server.storage import offers
from matching_server.storage.database import Ask
from matching_server.storage.offers import NotAsRanked, Offer
from matching_server.storage.project_context import ProjectContext, project_context

_PROPOSALS = 16
"""How many first choices are tried that turn out not to be as they were ranked: with as many servers and calls
under way each loses to some of the others, and the transaction that comes after would lose more often still."""


def offer_at_once(
    runner: Runner,
    call: Call,
    command: CreateMatch,
    context: ProjectContext,
    encode: Callable[[CreatedMatch], bytes],
) -> CreatedMatch | None:
    """Makes the offer, or changes nothing and returns ``None`` where the case is not the usual one."""
    seen: ProjectContext | None = context
    for attempt in range(_PROPOSALS):
        if attempt:
            # Others were at work: rules, owner and time may not be what they were, either.
            seen = look(runner.database.ask, call, command, runner.policy)
        if seen is None or not _is_usual(seen):
            return None
        context = seen
        request = choosing.ranking_request(
            context, command.criteria, allow_previous=command.allow_previous, policy=runner.policy
        )
        proposal = runner.picture.propose(request, context.now)
        load: Load | None = None
        try:
            if proposal.best is None or proposal.best.advisor.preferences.auto_accept:
                return None
            offer = _offer(call, command, context, proposal, encode)
            taken = offers.make(runner.database, offer)
            if isinstance(taken, Load):
                load = taken
                runner.committed(_effects(offer, load))
                return CreatedMatch(offer.match, already_open=False, answer=offer.answer)
        finally:
            proposal.end(load)
        if not isinstance(taken, NotAsRanked):
            # Or it went through all the same, and the transaction that follows finds it done.
            runner.committed(Effects(availability_changed={offer.ranked.advisor_id}))
            return None
        proposal.refused()
    return None


def look(ask: Ask, call: Call, command: CreateMatch, policy: Policy) -> ProjectContext | None:
    """The project as it is now; ``None`` where there is none for the caller."""
    return project_context(
        ask, command.project_id, command.criteria, policy.decline_cooldown, caller=call.caller
    )


def _is_usual(context: ProjectContext) -> bool:
    return not (context.unsettled or context.others_wait or context.assignment_id is not None)


def new_match(call: Call, command: CreateMatch, now: datetime) -> Match:
    """A match as it begins, its advisor aside."""
    expires_in = command.expires_in or DEFAULT_EXPIRES_IN
    return Match(
        id=uuid4(),
        project_id=command.project_id,
        requested_by=call.caller.user_id,
        status=MatchStatus.MATCHED,
        expires_at=now + expires_in,
        expires_in=expires_in,
        created_at=now,
        updated_at=now,
        version=1,
        criteria=command.criteria,
        allow_previous=command.allow_previous,
    )


def _offer(
    call: Call,
    command: CreateMatch,
    context: ProjectContext,
    proposal: Proposal,
    encode: Callable[[CreatedMatch], bytes],
) -> Offer:
    assert proposal.best is not None
    advisor = proposal.best.advisor
    record = choosing.claim_record(
        proposal.ranking, proposal.best, advisor.current_projects, advisor.max_concurrent_projects
    )
    match = replace(new_match(call, command, context.now), **record.fields())
    return Offer(
        call=call,
        match=match,
        owner_id=context.owner_id,
        ranked=choosing.as_ranked(proposal.best),
        record=record,
        event=ProjectEvent(
            match.project_id,
            (context.last_seq or 0) + 1,
            EventType.MATCHED,
            MatchPayload.of(match, MatchStatus.MATCHED, None),
            call.caller.user_id,
            call.correlation_id,
            context.now,
            TRACEPARENT.get(),
        ),
        has_log=context.last_seq is not None,
        notification=notification_payload(match, None),
        answer=encode(CreatedMatch(match, already_open=False)) if call.request_key else None,
    )


def _effects(offer: Offer, load: Load) -> Effects:
    return Effects(
        events=[offer.event],
        selections=[Selection(offer.match.project_id, offer.match.id, offer.record.features)],
        availability_changed={load.advisor_id},
        loads=[load],
        notification_queued=True,
    )
