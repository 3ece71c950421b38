"""The workspace: access rows, chat sessions and messages."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert

from matching_server.domain.events import ChatMessage
from matching_server.domain.model import ActorType, WorkspaceRole
from matching_server.storage.database import Transaction
from matching_server.storage.tables import (
    advisors,
    project_advisors,
    unified_chat_messages,
    unified_chat_sessions,
)


def advisor_active(tx: Transaction, advisor_id: UUID) -> bool | None:
    """Whether the advisor takes part in matching, ``None`` where they are gone."""
    return tx.conn.execute(select(advisors.c.active).where(advisors.c.id == advisor_id)).scalar_one_or_none()


def grant_access(
    tx: Transaction, project_id: UUID, advisor_id: UUID, assigned_at: datetime, role: WorkspaceRole
) -> None:
    """Makes the advisor's access row active, whatever it was before."""
    values = {"status": "active", "role": role.value, "assigned_at": assigned_at}
    statement = insert(project_advisors).values(project_id=project_id, advisor_id=advisor_id, **values)
    tx.conn.execute(statement.on_conflict_do_update(index_elements=["project_id", "advisor_id"], set_=values))


def end_access(tx: Transaction, project_id: UUID, advisor_id: UUID) -> bool:
    """Makes the advisor's access row inactive. Returns whether it was active."""
    access = project_advisors.c
    ended = tx.conn.execute(
        update(project_advisors)
        .where(access.project_id == project_id, access.advisor_id == advisor_id, access.status == "active")
        .values(status="inactive")
    )
    return ended.rowcount > 0


def open_session(tx: Transaction, project_id: UUID, user_id: UUID, locale: str | None) -> None:
    """Opens the advisor's chat session, or opens it again."""
    values = {"session_state": "active", "last_active": func.clock_timestamp()}
    statement = insert(unified_chat_sessions).values(
        project_id=project_id,
        user_id=user_id,
        actor_type=ActorType.ADVISOR.value,
        preferred_locale=locale,
        **values,
    )
    tx.conn.execute(
        statement.on_conflict_do_update(
            index_elements=["project_id", "user_id"], set_=values | {"preferred_locale": locale}
        )
    )


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


def add_message(tx: Transaction, message: ChatMessage) -> None:
    """Stores a chat message; its event is the log's business."""
    tx.conn.execute(
        insert(unified_chat_messages).values(
            id=message.id,
            project_id=message.project_id,
            user_id=message.user_id,
            actor_type=message.actor_type.value,
            message_type=message.message_type,
            mode=message.mode,
            text=message.text,
            client_msg_id=message.client_msg_id,
            response_data=message.response_data,
            seq=message.seq,
            created_at=message.created_at,
        )
    )
