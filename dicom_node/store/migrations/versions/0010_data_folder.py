"""Which data folder a ledger belongs to."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """To this revision. The folder of the node that comes first is the one."""
    op.create_table(
        "data_folder",
        sa.Column("one", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("folder", sa.Text(), nullable=False),
        sa.Column("place", sa.Text(), nullable=False),
        sa.CheckConstraint("one = 1", name=op.f("ck_data_folder_one")),
        sa.CheckConstraint("folder <> ''", name=op.f("ck_data_folder_folder")),
        sa.PrimaryKeyConstraint("one", name=op.f("pk_data_folder")),
    )


def downgrade() -> None:
    """Back from this revision: the ledger belongs to nobody."""
    op.drop_table("data_folder")
