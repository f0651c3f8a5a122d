"""Studies that are fetched from archives."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_OPEN = "state IN ('waiting', 'running')"


def upgrade() -> None:
    """To this revision."""
    op.create_table(
        "fetches",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("study_instance_uid", sa.Text(), nullable=False),
        sa.Column("who", sa.Text(), nullable=False),
        sa.Column("asked_at", sa.Double(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("series", sa.Integer(), nullable=True),
        sa.Column("passed_over", sa.Integer(), nullable=False),
        sa.Column("completed", sa.Integer(), nullable=False),
        sa.Column("failed", sa.Integer(), nullable=False),
        sa.Column("problem", sa.Text(), nullable=False),
        sa.Column("todo", sa.Text(), nullable=False),
        sa.CheckConstraint(
            "state IN ('waiting', 'running', 'done', 'failed')", name=op.f("ck_fetches_state")
        ),
        sa.CheckConstraint("state <> 'failed' OR problem <> ''", name=op.f("ck_fetches_problem")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_fetches")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "uq_fetches_open",
        "fetches",
        ["source", "study_instance_uid"],
        unique=True,
        sqlite_where=sa.text(_OPEN),
        postgresql_where=sa.text(_OPEN),
    )


def downgrade() -> None:
    """Back from this revision: what waits to be fetched is forgotten."""
    op.drop_table("fetches")
