"""The usual case of making a workspace, in two statements: look at the job, then write all of it at once.

Whatever is not usual (an admin's assignment, an advisor or a project out of reach, a job that is somebody else's,
others at work on the project) is left to the transaction of ``operations.provisioning``, which knows every case.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID, uuid4

from matching_server.domain.effects import Effects
from matching_server.domain.events import ChatMessage, EventType, ProjectEvent, WorkspaceReadyPayload
from matching_server.domain.model import ActorType, ChatMessageType, ChatMode, MatchStatus, WorkspaceRole
from matching_server.domain.provisioning import WELCOME_TEXT, LeasedJob
from matching_server.domain.trace import TRACEPARENT
from matching_server.operations.runner import Runner
from matching_server.operations.transitions import match_notification
from matching_server.storage import workspaces
from matching_server.storage.workspace import Workspace
from matching_server.storage.workspaces import UsualJob


@dataclass(frozen=True, slots=True)
class Unanswered:
    """A workspace that was asked for, and of which nobody has said whether it was made."""

    workspace: Workspace
    effects: Effects


def make_at_once(runner: Runner, job: LeasedJob) -> Unanswered | bool:
    """Makes a job's workspace and completes the job, or changes nothing and returns ``False``."""
    seen = workspaces.look(runner.database.ask, job)
    if seen is None:
        return False
    welcome = welcome_message(job.project_id, job.match_id, seen.advisor_id, seen.last_seq + 1, seen.now)
    made = _workspace(job, seen, welcome)
    welcomed, ready = _events(job, seen, welcome)
    done = workspaces.make(runner.database, job, made, welcomed, ready)
    effects = Effects(events=[welcomed, ready], notification_queued=True)
    if done:
        runner.committed(effects)
    return Unanswered(made, effects) if done is None else done


def made_after_all(runner: Runner, unanswered: Unanswered) -> bool:
    """Whether a workspace was made by the statement whose answer was lost; if so, watchers are told of it now."""
    made = workspaces.was_made(runner.database, unanswered.workspace)
    if made:
        runner.committed(unanswered.effects)
    return made


def welcome_message(
    project_id: UUID, match_id: UUID, advisor_id: UUID, seq: int, now: datetime
) -> ChatMessage:
    """What the chat says once the advisor is there; ``seq`` is the number of its event."""
    return ChatMessage(
        id=uuid4(),
        project_id=project_id,
        user_id=None,
        actor_type=ActorType.SYSTEM,
        message_type=ChatMessageType.SYSTEM,
        mode=ChatMode.PLAN,
        text=WELCOME_TEXT,
        client_msg_id=None,
        response_data={
            "event_code": "advisor_joined",
            "advisor_id": str(advisor_id),
            "match_id": str(match_id),
            "timestamp": now.isoformat(),
        },
        seq=seq,
        created_at=now,
    )


def _workspace(job: LeasedJob, seen: UsualJob, welcome: ChatMessage) -> Workspace:
    return Workspace(
        match_id=job.match_id,
        advisor_id=seen.advisor_id,
        role=WorkspaceRole.ADVISOR,
        owner_id=seen.owner_id,
        locale=seen.locale,
        welcome=welcome,
        notification=match_notification(
            match_id=job.match_id,
            project_id=job.project_id,
            status=MatchStatus.FINALIZED,
            advisor_id=seen.advisor_id,
            advisor_name=seen.advisor_name,
            expires_at=seen.expires_at,
            reason=None,
        ),
    )


def _events(job: LeasedJob, seen: UsualJob, welcome: ChatMessage) -> tuple[ProjectEvent, ProjectEvent]:
    payload = WorkspaceReadyPayload(job.match_id, seen.advisor_id, job.project_id, seen.now)
    return (
        _event(job, EventType.MESSAGE_NEW, welcome, welcome.seq, seen.now),
        _event(job, EventType.WORKSPACE_READY, payload, welcome.seq + 1, seen.now),
    )


def _event(
    job: LeasedJob, type_: EventType, payload: ChatMessage | WorkspaceReadyPayload, seq: int, now: datetime
) -> ProjectEvent:
    return ProjectEvent(job.project_id, seq, type_, payload, None, job.correlation_id, now, TRACEPARENT.get())
