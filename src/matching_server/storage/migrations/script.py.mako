"""${message}.

Kind: expand.
"""

from __future__ import annotations

from alembic import op

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = ${repr(branch_labels)}
depends_on = ${repr(depends_on)}
# None: expand. Of the kind contract, the revision of the release from which on servers do without what this takes away.
works_from = None


def upgrade() -> None:
    """${message}."""
    ${upgrades if upgrades else 'op.execute("")'}
