"""Versions of the configuration, and which one decided about an image."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def _id() -> sa.types.TypeEngine[int]:
    return sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """To this revision."""
    op.create_table(
        "versions",
        sa.Column("id", _id(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("yaml", sa.Text(), nullable=False),
        sa.Column("author", sa.Text(), nullable=False),
        sa.Column("comment", sa.Text(), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("parent_id", _id(), nullable=True),
        sa.CheckConstraint("parent_id IS NULL OR parent_id < id", name=op.f("ck_versions_parent")),
        sa.ForeignKeyConstraint(["parent_id"], ["versions.id"], name=op.f("fk_versions_versions")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_versions")),
        sqlite_autoincrement=True,
    )
    # In one statement: SQLite takes a foreign key with a new column, and would copy the whole table
    # to have it afterwards.
    kind = "INTEGER" if op.get_bind().dialect.name == "sqlite" else "BIGINT"
    op.execute(
        f"ALTER TABLE images ADD COLUMN version_id {kind} "
        "CONSTRAINT fk_images_versions REFERENCES versions (id)"
    )


def downgrade() -> None:
    """Back from this revision: who changed what is forgotten."""
    with op.batch_alter_table("images") as batch:
        batch.drop_constraint(op.f("fk_images_versions"), type_="foreignkey")
        batch.drop_column("version_id")
    op.drop_table("versions")
