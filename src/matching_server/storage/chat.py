"""The chat as it is read, and who is in it. Its messages are stored with the workspace's other parts."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, func, or_, select
from sqlalchemy.dialects.postgresql import insert

from matching_server.domain.events import ChatMessage
from matching_server.domain.model import ActorType, ChatMessageType, ChatMode, MessageOrder
from matching_server.storage.database import Transaction
from matching_server.storage.tables import unified_chat_messages, unified_chat_sessions

_message = unified_chat_messages.c


def touch_session(
    tx: Transaction, project_id: UUID, user_id: UUID, actor_type: ActorType, locale: str | None
) -> None:
    """Notes that somebody has just spoken; who had no session, or whose has ended, has one now."""
    values = {"session_state": "active", "last_active": func.clock_timestamp()}
    statement = insert(unified_chat_sessions).values(
        project_id=project_id,
        user_id=user_id,
        actor_type=actor_type.value,
        preferred_locale=locale,
        **values,
    )
    tx.conn.execute(statement.on_conflict_do_update(index_elements=["project_id", "user_id"], set_=values))


def sent_message(
    conn: Connection, project_id: UUID, user_id: UUID, client_msg_id: str, *, or_notice: bool
) -> ChatMessage | None:
    """What the user has sent under that id; else, where asked for, the notice of that id, which has no user.

    Looked up under the lock of the project's event head: whoever sends the same next will find it.
    """
    sender = _message.user_id == user_id
    row = conn.execute(
        select(unified_chat_messages)
        .where(
            _message.project_id == project_id,
            or_(sender, _message.user_id.is_(None)) if or_notice else sender,
            _message.client_msg_id == client_msg_id,
        )
        .order_by(_message.user_id.nulls_last())
        .limit(1)
    ).one_or_none()
    return _read(row) if row else None


def list_messages(
    conn: Connection, project_id: UUID, order: MessageOrder, *, beyond: int | None, limit: int
) -> list[ChatMessage]:
    """The project's messages in that order, at most ``limit``; with ``beyond`` those that follow that number."""
    query = select(unified_chat_messages).where(_message.project_id == project_id)
    newest_first = order is MessageOrder.NEWEST_FIRST
    if beyond is not None:
        query = query.where(_message.seq < beyond if newest_first else _message.seq > beyond)
    query = query.order_by(_message.seq.desc() if newest_first else _message.seq).limit(limit)
    return [_read(row) for row in conn.execute(query)]


def _read(row: Row[Any]) -> ChatMessage:
    return ChatMessage(
        id=row.id,
        project_id=row.project_id,
        user_id=row.user_id,
        actor_type=ActorType(row.actor_type),
        message_type=ChatMessageType(row.message_type),
        mode=ChatMode(row.mode),
        text=row.text,
        client_msg_id=row.client_msg_id,
        response_data=row.response_data,
        seq=row.seq,
        created_at=row.created_at,
    )
