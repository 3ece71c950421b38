"""The workspace of a finalized match: queued, made, or given up."""

from __future__ import annotations

from google.protobuf.timestamp_pb2 import Timestamp

from advisor_matching.v1.types_pb2 import (
    ActorType,
    ChatMessage,
    ChatMessageType,
    ChatMode,
    ChatResponseData,
    ClosedReason,
    MatchStatus,
    ProvisioningAttempt,
    ProvisioningFailedEvent,
    ProvisioningJob,
    ProvisioningJobStatus,
    WorkspaceProvisioning,
    WorkspaceReadyEvent,
)
from matching_client.testing.entries import OFFERED, JobEntry, MatchEntry, Side
from matching_client.testing.values import copy_of, new_id, now, word_of
from matching_client.testing.world import World

WELCOME = "Advisor has joined the workspace and is ready to help!"
ATTEMPTS = 3
OUT_OF_ATTEMPTS = "the workspace could not be set up"


def queue(world: World, entry: MatchEntry) -> JobEntry:
    """A job for the match."""
    entry.match.workspace_provisioning = WorkspaceProvisioning.WORKSPACE_PROVISIONING_QUEUED
    job = ProvisioningJob(
        id=new_id(),
        match_id=entry.match.id,
        status=ProvisioningJobStatus.PROVISIONING_JOB_STATUS_PENDING,
        next_retry_at=now(),
        created_at=now(),
        updated_at=now(),
    )
    world.jobs[job.id] = JobEntry(world.serial(), job)
    return world.jobs[job.id]


def newest_of(world: World, entry: MatchEntry) -> JobEntry | None:
    """The match's last job."""
    found = [job for job in world.jobs.values() if job.job.match_id == entry.match.id]
    return found[-1] if found else None


def run_queued(world: World) -> None:
    """Makes every workspace that is queued, unless the test does that itself."""
    if world.provisioning == "manual":
        return
    for entry in list(world.matches.values()):
        if entry.match.workspace_provisioning == WorkspaceProvisioning.WORKSPACE_PROVISIONING_QUEUED:
            settle(world, entry)


def settle(world: World, entry: MatchEntry) -> None:
    """Makes the workspace, unless its advisor has been deactivated meanwhile."""
    if world.advisor(entry.advisor_id).profile.active:
        make(world, entry)
    else:
        why = ClosedReason.CLOSED_REASON_ADVISOR_DEACTIVATED
        give_up(world, entry, "the advisor was deactivated", closed_reason=why, attempts=1)


def make(world: World, entry: MatchEntry) -> None:
    """The workspace is there: access, the welcome message, and the events."""
    match, moment = entry.match, now()
    _end_job(world, entry, ProvisioningJobStatus.PROVISIONING_JOB_STATUS_COMPLETED)
    match.workspace_provisioning = WorkspaceProvisioning.WORKSPACE_PROVISIONING_READY
    entry.touch()
    world.workspaces[match.project_id, entry.advisor_id] = match.id
    _welcome(world, entry, moment)
    ready = WorkspaceReadyEvent(
        match_id=match.id, advisor_id=entry.advisor_id, project_id=match.project_id, timestamp=moment
    )
    world.append(match.project_id, "advisor.workspace_ready", workspace_ready=ready)
    world.notify(world.project(match.project_id).owner_id, "workspace_ready", entry)


def _welcome(world: World, entry: MatchEntry, moment: Timestamp) -> None:
    about = ChatResponseData(
        event_code="advisor_joined", advisor_id=entry.advisor_id, match_id=entry.match.id, timestamp=moment
    )
    post(
        world,
        ChatMessage(
            id=new_id(),
            project_id=entry.match.project_id,
            actor_type=ActorType.ACTOR_TYPE_SYSTEM,
            message_type=ChatMessageType.CHAT_MESSAGE_TYPE_SYSTEM,
            mode=ChatMode.CHAT_MODE_PLAN,
            text=WELCOME,
            response_data=about,
            created_at=moment,
        ),
    )


def post(world: World, message: ChatMessage, actor: str = "") -> None:
    """Adds a message to its project's chat, and tells watchers."""
    event = world.append(message.project_id, "message.new", actor, message=message)
    message.seq = event.message.seq = event.seq
    world.messages.setdefault(message.project_id, []).append(message)


def give_up(
    world: World,
    entry: MatchEntry,
    reason: str,
    *,
    closed_reason: ClosedReason | None = None,
    attempts: int = ATTEMPTS,
) -> None:
    """The match returns to its status before; the side whose decision finalized it has to decide again.

    With `closed_reason` nobody can: the match closes.
    """
    match = entry.match
    status = ProvisioningJobStatus.PROVISIONING_JOB_STATUS_FAILED
    _end_job(world, entry, status, reason, attempts, permanent=closed_reason is not None)
    back = match.previous_status if match.previous_status in OFFERED else MatchStatus.MATCH_STATUS_MATCHED
    target = MatchStatus.MATCH_STATUS_EXPIRED if closed_reason else back
    match.previous_status, match.status = match.status, target
    match.workspace_provisioning = WorkspaceProvisioning.WORKSPACE_PROVISIONING_FAILED
    entry.touch()
    if closed_reason:
        match.closed_reason = closed_reason
        world.notify(entry.advisor_id, "offer_ended", entry, word_of(closed_reason, ClosedReason))
    else:
        match.expires_at.FromNanoseconds(now().ToNanoseconds() + entry.expires_in.ToNanoseconds())
        _withdraw(entry)
    failed = ProvisioningFailedEvent(
        match_id=match.id,
        reverted_to=match.status,
        reason=reason if closed_reason else OUT_OF_ATTEMPTS,
        attempts=attempts,
    )
    world.append(match.project_id, "advisor.provisioning_failed", provisioning_failed=failed)
    world.intervene(
        "workspace_provisioning_failure",
        reason,
        match_id=match.id,
        project_id=match.project_id,
        attempts=attempts,
    )


def _withdraw(entry: MatchEntry) -> None:
    kept: dict[Side, int] = {
        "client": MatchStatus.MATCH_STATUS_CLIENT_APPROVED,
        "advisor": MatchStatus.MATCH_STATUS_ADVISOR_ACCEPTED,
    }
    entry.withdrawn = {}
    for side, kept_at in kept.items():
        name = "client_decision" if side == "client" else "advisor_decision"
        if entry.match.status != kept_at and entry.match.HasField(name):
            entry.withdrawn[side] = copy_of(getattr(entry.match, name))
            entry.match.ClearField(name)


def cancel(world: World, entry: MatchEntry, why: str) -> None:
    """There will be no workspace."""
    if entry.match.workspace_provisioning == WorkspaceProvisioning.WORKSPACE_PROVISIONING_QUEUED:
        _end_job(world, entry, ProvisioningJobStatus.PROVISIONING_JOB_STATUS_FAILED, why, attempts=0)
        entry.match.workspace_provisioning = WorkspaceProvisioning.WORKSPACE_PROVISIONING_UNSPECIFIED


def _end_job(
    world: World,
    entry: MatchEntry,
    status: ProvisioningJobStatus,
    error: str = "",
    attempts: int = 1,
    *,
    permanent: bool = False,
) -> None:
    found = newest_of(world, entry)
    assert found is not None
    job, moment = found.job, now()
    job.status, job.attempt_count, job.last_error = status, attempts, error
    job.attempts.extend(
        ProvisioningAttempt(
            number=number, started_at=moment, ended_at=moment, error=error, permanent=permanent
        )
        for number in range(1, attempts + 1)
    )
    job.ClearField("next_retry_at")
    job.updated_at.CopyFrom(moment)
