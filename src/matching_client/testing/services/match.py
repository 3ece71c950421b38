"""MatchService."""

from __future__ import annotations

from google.protobuf.duration_pb2 import Duration

from advisor_matching.v1 import match_service_pb2 as pb
from advisor_matching.v1.types_pb2 import (
    ClosedReason,
    Match,
    MatchCriteria,
    MatchStatus,
    PendingReason,
)
from matching_client.errors import (
    AdvisorAtCapacity,
    AdvisorInactive,
    AllAdvisorsBusy,
    DuplicateMatchRequest,
    MatchExpired,
    MatchingError,
    NoAdvisorsAvailable,
)
from matching_client.testing import lifecycle
from matching_client.testing.caller import Caller
from matching_client.testing.choosing import NOT_FREE, exclusion, first_free, pending_reason
from matching_client.testing.entries import AdvisorEntry, MatchEntry, Scripted
from matching_client.testing.paging import page
from matching_client.testing.refusals import error_of, no_match, no_step
from matching_client.testing.values import new_id, now, word_of
from matching_client.testing.world import World

DEFAULT_EXPIRES_IN = 2 * 3600


def create_match(world: World, request: pb.CreateMatchRequest, caller: Caller) -> pb.CreateMatchResponse:
    """Offers the project to the scripted advisor, else to the first who is free."""
    project = world.own_project(caller, request.project_id)
    entry = world.unsettled(project.id)
    if entry is not None:
        if request.fail_if_open:
            told = f"project {project.id} already has the unsettled match {entry.match.id}"
            raise error_of(DuplicateMatchRequest, told, match_id=entry.match.id)
        return pb.CreateMatchResponse(match=entry.match, already_open=True)
    script = world.scripts[0] if world.scripts else None
    advisor = _advisor_for(world, request, script)
    why = _why_nobody(world, request, script) if advisor is None else None
    if script is not None:
        world.scripts.popleft()
    if why is not None and request.require_immediate:
        raise _nobody_free(why)
    entry = new_entry(world, request.project_id, caller, request.criteria, request.expires_in)
    entry.allow_previous = request.allow_previous
    if advisor is None:
        assert why is not None
        entry.held = script is not None
        lifecycle.begin_pending(world, entry, why, caller.user_id)
    else:
        score, reason = (script.score, script.reason) if script else (None, "")
        lifecycle.offer(world, entry, advisor, actor=caller.user_id, score=score, reason=reason)
    return pb.CreateMatchResponse(match=entry.match)


def _advisor_for(
    world: World, request: pb.CreateMatchRequest, script: Scripted | None
) -> AdvisorEntry | None:
    if script is not None:
        return world.advisor(script.advisor_id) if script.advisor_id else None
    project = world.project(request.project_id)
    return first_free(world, project, request.criteria, allow_previous=request.allow_previous)


def _why_nobody(world: World, request: pb.CreateMatchRequest, script: Scripted | None) -> PendingReason:
    if script is not None:
        return script.pending_reason
    project = world.project(request.project_id)
    return pending_reason(world, project, request.criteria, allow_previous=request.allow_previous)


def _nobody_free(why: PendingReason) -> MatchingError:
    if why == PendingReason.PENDING_REASON_ALL_ADVISORS_BUSY:
        return error_of(AllAdvisorsBusy, "every eligible advisor is busy")
    return error_of(NoAdvisorsAvailable, "no eligible advisor is available")


def new_entry(
    world: World,
    project_id: str,
    caller: Caller,
    criteria: MatchCriteria | None = None,
    expires_in: Duration | None = None,
) -> MatchEntry:
    """A match as it begins, without status and advisor."""
    moment = now()
    given = expires_in is not None and bool(expires_in.ToNanoseconds())
    lasting = expires_in if expires_in is not None and given else Duration(seconds=DEFAULT_EXPIRES_IN)
    match = Match(
        id=new_id(),
        project_id=project_id,
        requested_by=caller.user_id,
        criteria=criteria or MatchCriteria(),
        created_at=moment,
        updated_at=moment,
        etag="v1",
    )
    match.expires_at.FromNanoseconds(moment.ToNanoseconds() + lasting.ToNanoseconds())
    entry = MatchEntry(world.serial(), match, Duration(seconds=lasting.seconds, nanos=lasting.nanos))
    world.matches[match.id] = entry
    return entry


def get_match(world: World, request: pb.GetMatchRequest, caller: Caller) -> pb.GetMatchResponse:
    """A match."""
    return pb.GetMatchResponse(match=world.readable_match(caller, request.match_id).match)


def list_project_matches(
    world: World, request: pb.ListProjectMatchesRequest, caller: Caller
) -> pb.ListProjectMatchesResponse:
    """A project's matches, newest first."""
    project = world.own_project(caller, request.project_id)
    rows = [
        (entry.serial, entry.match)
        for entry in world.matches_of(project.id)
        if not request.statuses or entry.match.status in request.statuses
    ]
    matches, token = page(rows, request)
    return pb.ListProjectMatchesResponse(matches=matches, next_page_token=token)


def list_claimable_matches(
    world: World, request: pb.ListClaimableMatchesRequest, caller: Caller
) -> pb.ListClaimableMatchesResponse:
    """The pending matches that the calling advisor is eligible for, oldest first."""
    advisor = world.advisor(caller.user_id)
    rows = [
        (entry.serial, entry.match)
        for entry in world.matches.values()
        if entry.match.status == MatchStatus.MATCH_STATUS_PENDING and is_eligible(world, entry, advisor)
    ]
    matches, token = page(rows, request, oldest_first=True)
    return pb.ListClaimableMatchesResponse(matches=matches, next_page_token=token)


def is_eligible(world: World, entry: MatchEntry, advisor: AdvisorEntry) -> bool:
    """Whether the advisor could take the match, whatever their status and load."""
    project = world.project(entry.match.project_id)
    criteria, allow_previous = entry.match.criteria, entry.allow_previous
    why = exclusion(world, project, criteria, advisor, allow_previous=allow_previous)
    return why is None or why in NOT_FREE


def claim_match(world: World, request: pb.ClaimMatchRequest, caller: Caller) -> pb.ClaimMatchResponse:
    """Takes a pending match for the calling advisor, who thereby accepts it."""
    advisor = world.advisor(caller.user_id)
    entry = world.match(request.match_id)
    theirs = entry.advisor_id == advisor.id
    if theirs and entry.claimed:
        return pb.ClaimMatchResponse(match=entry.match)
    if not theirs and not (entry.was_pending and is_eligible(world, entry, advisor)):
        raise no_match(request.match_id)
    refuse_expired(entry)
    if entry.match.status != MatchStatus.MATCH_STATUS_PENDING:
        raise no_step(word_of(entry.match.status, MatchStatus), "matched", entry.match.id)
    if not advisor.profile.active:
        raise error_of(AdvisorInactive, f"advisor {advisor.id} is deactivated")
    load = world.load(advisor.id)
    if load >= advisor.slots:
        raise at_capacity(advisor)
    entry.claimed = True
    lifecycle.offer(
        world,
        entry,
        advisor,
        actor=advisor.id,
        reason=f"Claimed by the advisor ({load} of {advisor.slots} slots taken).",
        accepts=True,
    )
    return pb.ClaimMatchResponse(match=entry.match)


def refuse_expired(entry: MatchEntry) -> None:
    """Raises MatchExpired where the match was closed by its time."""
    if entry.match.closed_reason == ClosedReason.CLOSED_REASON_EXPIRED:
        raise error_of(MatchExpired, f"match {entry.match.id} has expired", match_id=entry.match.id)


def at_capacity(advisor: AdvisorEntry) -> MatchingError:
    """The advisor has no free slot."""
    return error_of(AdvisorAtCapacity, f"advisor {advisor.id} has no free slot of {advisor.slots}")
