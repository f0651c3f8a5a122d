"""Images in quarantine that a person cancelled."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """To this revision."""
    op.add_column(
        "images",
        sa.Column(
            "cancelled_at",
            sa.Double(),
            sa.CheckConstraint(
                "cancelled_at IS NULL OR (decided_as IS NOT NULL AND decided_as = 'quarantine')",
                name=op.f("ck_images_cancelled"),
            ),
            nullable=True,
        ),
    )


def downgrade() -> None:
    """Back from this revision: cancelled images are in quarantine again."""
    with op.batch_alter_table("images") as batch:
        batch.drop_column("cancelled_at")
