"""How long things are kept that nobody asks for any more. Each function drops one bounded batch."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy import TextClause, text

from matching_server.storage.database import Transaction

_BATCH = 5_000

_NONCES = text(
    """
    DELETE FROM used_nonces WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM used_nonces WHERE used_at < statement_timestamp() - interval '660 seconds' LIMIT :batch))
    """
)
_ANSWERS = text(
    """
    DELETE FROM idempotent_requests WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM idempotent_requests
        WHERE created_at < statement_timestamp() - interval '24 hours' LIMIT :batch))
    """
)
# What was sent so long ago was written no later: the oldest are looked at, and none that is younger.
_SENT = text(
    """
    DELETE FROM notification_outbox WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM notification_outbox
        WHERE created_at < statement_timestamp() - greatest(:older_than, interval '1 hour')
            AND updated_at < statement_timestamp() - greatest(:older_than, interval '1 hour')
            AND status = 'sent'
        ORDER BY created_at LIMIT :batch))
    """
)
_COMPLETED = text(
    """
    DELETE FROM workspace_provisioning_queue WHERE id = ANY (ARRAY(
        SELECT id FROM workspace_provisioning_queue
        WHERE created_at < statement_timestamp() - greatest(:older_than, interval '1 hour')
            AND updated_at < statement_timestamp() - greatest(:older_than, interval '1 hour')
            AND status = 'completed'
        ORDER BY created_at, id LIMIT :batch))
    """
)


def forget_nonces(tx: Transaction) -> int:
    """Nonces after 660 s."""
    return _dropped(tx, _NONCES)


def forget_answers(tx: Transaction) -> int:
    """Answers after 24 h."""
    return _dropped(tx, _ANSWERS)


def forget_sent(tx: Transaction, older_than: timedelta) -> int:
    """Notifications that were sent longer ago than that, and than an hour."""
    return _dropped(tx, _SENT, older_than=older_than)


def forget_completed(tx: Transaction, older_than: timedelta) -> int:
    """Jobs that were completed longer ago than that, and than an hour."""
    return _dropped(tx, _COMPLETED, older_than=older_than)


def _dropped(tx: Transaction, statement: TextClause, **params: Any) -> int:
    return tx.conn.execute(statement, {"batch": _BATCH, **params}).rowcount
