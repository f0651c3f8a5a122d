"""Images are found by Accession Number and by study."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """To this revision. Images of before have no Accession Number here."""
    op.add_column(
        "images",
        sa.Column("accession_number", sa.Text(), nullable=False, server_default=""),
    )
    op.create_index(op.f("ix_images_accession_number"), "images", ["accession_number"])
    op.create_index(op.f("ix_images_study_instance_uid"), "images", ["study_instance_uid"])


def downgrade() -> None:
    """Back from this revision."""
    op.drop_index(op.f("ix_images_study_instance_uid"), table_name="images")
    op.drop_index(op.f("ix_images_accession_number"), table_name="images")
    op.drop_column("images", "accession_number")
