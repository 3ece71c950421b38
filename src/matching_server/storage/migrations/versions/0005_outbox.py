"""Notifications are leased for delivery, and taken in the order in which each recipient's were written."""

from __future__ import annotations

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

# Nothing delivered notifications before: nobody wants to be told of what is long over. Admins can have them sent.
HISTORY = """
UPDATE notification_outbox
SET status = 'dead', last_error = 'too old to be sent', next_attempt_at = NULL, updated_at = clock_timestamp()
WHERE status = 'pending' AND created_at < clock_timestamp() - interval '1 day'
"""
# The index of what is due goes: which notification of a recipient is the oldest decides first, and only then when.
OUTBOX = """
ALTER TABLE notification_outbox
    ADD COLUMN lease_token uuid,
    ADD COLUMN taken_by text[] NOT NULL DEFAULT '{}'::text[],
    ADD CONSTRAINT ck_notification_outbox_attempt_count CHECK (attempt_count BETWEEN 0 AND 3),
    ADD CONSTRAINT ck_notification_outbox_lease CHECK (lease_token IS NULL OR status = 'pending');
DROP INDEX ix_notification_outbox_due;
CREATE INDEX ix_notification_outbox_pending ON notification_outbox (recipient_id, created_at, id)
    WHERE status = 'pending';
CREATE INDEX ix_notification_outbox_oldest ON notification_outbox (priority, created_at, id)
    WHERE status = 'pending';
CREATE INDEX ix_notification_outbox_dead ON notification_outbox (created_at, id) WHERE status = 'dead';
CREATE INDEX ix_notification_outbox_sent ON notification_outbox (created_at) WHERE status = 'sent';
"""


def upgrade() -> None:
    """Gives up what is too old to be sent, and adds the columns and the indexes."""
    op.execute(HISTORY)
    op.execute(OUTBOX)
