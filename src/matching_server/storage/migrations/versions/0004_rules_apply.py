"""Preference rules are looked up by what they apply to, and remembered once they are deleted."""

from __future__ import annotations

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

RULES = """
ALTER TABLE admin_preference_rules
    ADD COLUMN deleted_at timestamptz,
    ADD COLUMN applies_to text NOT NULL GENERATED ALWAYS AS (
        CASE WHEN project_id IS NOT NULL THEN 'project:' || project_id::text
            WHEN framework IS NOT NULL THEN 'framework:' || lower(framework)
            WHEN complexity IS NOT NULL THEN 'complexity:' || complexity ELSE 'all' END
    ) STORED,
    ADD CONSTRAINT ck_admin_preference_rules_complexity
        CHECK (complexity IN ('simple', 'medium', 'complex'));
CREATE INDEX ix_admin_preference_rules_live ON admin_preference_rules (applies_to) WHERE deleted_at IS NULL;
CREATE INDEX ix_admin_preference_rules_created_at_id ON admin_preference_rules (created_at, id)
    WHERE deleted_at IS NULL;
COMMENT ON TABLE admin_preference_rules IS
    'Deleted rules stay, so that deleting one again is told apart from deleting what never was.';
"""


def upgrade() -> None:
    """Adds the columns and their indexes."""
    op.execute(RULES)
