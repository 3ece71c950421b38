"""From which release on servers work with the schema.

Kind: expand.
"""

from __future__ import annotations

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None
works_from = None

TABLE = """
CREATE TABLE schema_compatibility (
    works_from text NOT NULL,
    finished text,
    "only" boolean NOT NULL DEFAULT true CONSTRAINT pk_schema_compatibility PRIMARY KEY
        CONSTRAINT ck_schema_compatibility_one_row CHECK ("only")
);
COMMENT ON TABLE schema_compatibility IS
    'The revision that a server must know to work with this schema, and where the last release left it whole.';
INSERT INTO schema_compatibility (works_from) VALUES ('0009');
"""


def upgrade() -> None:
    """Adds the table."""
    op.execute(TABLE)
