"""Fewer dead entries to step over for who takes a provisioning job."""

from __future__ import annotations

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

QUEUE = "ALTER TABLE workspace_provisioning_queue SET (autovacuum_vacuum_scale_factor = 0.05)"


def upgrade() -> None:
    """Has the table vacuumed sooner."""
    op.execute(QUEUE)
