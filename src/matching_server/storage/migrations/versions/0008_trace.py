"""What is left to do belongs to the trace of the call that left it."""

from __future__ import annotations

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

COLUMNS = """
ALTER TABLE workspace_provisioning_queue ADD COLUMN traceparent text;
ALTER TABLE notification_outbox ADD COLUMN traceparent text;
"""


def upgrade() -> None:
    """Adds the columns."""
    op.execute(COLUMNS)
