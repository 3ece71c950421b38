"""The workspace: access rows, chat sessions and messages."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import text, update

from matching_server.domain.events import ChatMessage
from matching_server.domain.model import ActorType, ProvisioningState, WorkspaceRole
from matching_server.domain.notifications import NotificationType
from matching_server.domain.trace import TRACEPARENT
from matching_server.storage.database import Transaction
from matching_server.storage.tables import (
    project_advisors,
    unified_chat_sessions,
)

ACCESS_AGAIN = """
    ON CONFLICT (project_id, advisor_id) DO UPDATE
    SET status = excluded.status, role = excluded.role, assigned_at = excluded.assigned_at
"""
SESSION_AGAIN = """
    ON CONFLICT (project_id, user_id) DO UPDATE
    SET session_state = excluded.session_state, last_active = clock_timestamp(),
        preferred_locale = excluded.preferred_locale
"""
_OPEN_SESSION = f"""
    INSERT INTO unified_chat_sessions (project_id, user_id, actor_type, session_state, preferred_locale)
    VALUES (:project_id, :advisor_id, '{ActorType.ADVISOR}', 'active', :locale) {SESSION_AGAIN}
"""
_ADD_MESSAGE = """
    INSERT INTO unified_chat_messages (id, project_id, user_id, actor_type, message_type, mode, text, client_msg_id,
        response_data, seq, created_at)
    VALUES (:message_id, :project_id, :user_id, :actor_type, :message_type, :mode, :text, :client_msg_id,
        CAST(:response_data AS jsonb), :seq, :created_at)
"""
# None of its parts depends on what another one writes.
_MAKE = f"""
    WITH access AS (
        INSERT INTO project_advisors (project_id, advisor_id, status, role, assigned_at)
        VALUES (:project_id, :advisor_id, 'active', :role, :created_at) {ACCESS_AGAIN}
    ), session AS ({_OPEN_SESSION}), welcome AS ({_ADD_MESSAGE}), told AS (
        INSERT INTO notification_outbox (type, recipient_id, payload, correlation_id, traceparent)
        VALUES ('{NotificationType.WORKSPACE_READY}', :owner_id, CAST(:notification AS jsonb), :correlation_id,
            :traceparent)
    )
    UPDATE advisor_match_requests SET provisioning_state = '{ProvisioningState.READY}' WHERE id = :match_id
"""
_open_session, _add_message, _make = text(_OPEN_SESSION), text(_ADD_MESSAGE), text(_MAKE)


@dataclass(frozen=True, slots=True)
class Workspace:
    """What an advisor finds on a project, and what its owner is told."""

    match_id: UUID
    advisor_id: UUID
    role: WorkspaceRole
    owner_id: UUID
    locale: str | None
    """Of the chat session: the owner's."""
    welcome: ChatMessage
    """It says on which project, and since when."""
    notification: dict[str, Any]


def make(tx: Transaction, workspace: Workspace) -> None:
    """Access row, chat session, welcome message and notification, and the match is ready, in one statement.

    An access row and a session that there are already become active again. The message's event is the log's business.
    """
    trace = {"correlation_id": tx.correlation_id, "traceparent": TRACEPARENT.get()}
    tx.conn.execute(_make, parameters(workspace) | trace)
    tx.effects.notification_queued = True


def parameters(workspace: Workspace) -> dict[str, Any]:
    """What a statement that makes it has to know."""
    return _message(workspace.welcome) | {
        "match_id": workspace.match_id,
        "advisor_id": workspace.advisor_id,
        "role": workspace.role.value,
        "owner_id": workspace.owner_id,
        "locale": workspace.locale,
        "notification": json.dumps(workspace.notification),
    }


def open_session(tx: Transaction, project_id: UUID, advisor_id: UUID, locale: str | None) -> None:
    """Opens the advisor's chat session, or opens it again."""
    tx.conn.execute(_open_session, {"project_id": project_id, "advisor_id": advisor_id, "locale": locale})


def add_message(tx: Transaction, message: ChatMessage) -> None:
    """Stores a chat message; its event is the log's business."""
    tx.conn.execute(_add_message, _message(message))


def _message(message: ChatMessage) -> dict[str, Any]:
    data = message.response_data
    return {
        "message_id": message.id,
        "project_id": message.project_id,
        "user_id": message.user_id,
        "actor_type": message.actor_type.value,
        "message_type": message.message_type.value,
        "mode": message.mode.value,
        "text": message.text,
        "client_msg_id": message.client_msg_id,
        "response_data": None if data is None else json.dumps(data),
        "seq": message.seq,
        "created_at": message.created_at,
    }


def end_access(tx: Transaction, project_id: UUID, advisor_id: UUID) -> bool:
    """Makes the advisor's access row inactive. Returns whether it was active."""
    access = project_advisors.c
    ended = tx.conn.execute(
        update(project_advisors)
        .where(access.project_id == project_id, access.advisor_id == advisor_id, access.status == "active")
        .values(status="inactive")
    )
    return ended.rowcount > 0


def end_session(tx: Transaction, project_id: UUID, user_id: UUID) -> bool:
    """Ends the chat session. Returns whether it was active."""
    session = unified_chat_sessions.c
    ended = tx.conn.execute(
        update(unified_chat_sessions)
        .where(
            session.project_id == project_id, session.user_id == user_id, session.session_state == "active"
        )
        .values(session_state="ended")
    )
    return ended.rowcount > 0
