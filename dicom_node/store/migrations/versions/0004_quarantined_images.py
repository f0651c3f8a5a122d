"""Images in quarantine are found without reading all the others."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_QUARANTINED = "decided_as = 'quarantine' AND cancelled_at IS NULL"


def upgrade() -> None:
    """To this revision."""
    op.create_index(
        "ix_images_quarantined",
        "images",
        ["id"],
        unique=False,
        sqlite_where=sa.text(_QUARANTINED),
        postgresql_where=sa.text(_QUARANTINED),
    )


def downgrade() -> None:
    """Back from this revision."""
    op.drop_index("ix_images_quarantined", table_name="images")
