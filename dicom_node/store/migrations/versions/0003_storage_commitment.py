"""Storage commitment, asked of destinations and asked by peers."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def _id() -> sa.types.TypeEngine[int]:
    return sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """To this revision."""
    op.add_column("sends", sa.Column("committed_at", sa.Double(), nullable=True))
    op.create_table(
        "commitments",
        sa.Column("id", _id(), nullable=False),
        sa.Column("transaction_uid", sa.String(length=64), nullable=False),
        sa.Column("delivery_id", _id(), nullable=False),
        sa.Column("asked_at", sa.Double(), nullable=False),
        sa.Column("answer_by", sa.Double(), nullable=False),
        sa.Column("ended_at", sa.Double(), nullable=True),
        sa.Column("answered_at", sa.Double(), nullable=True),
        sa.ForeignKeyConstraint(
            ["delivery_id"], ["deliveries.id"], name=op.f("fk_commitments_deliveries")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_commitments")),
        sa.UniqueConstraint("transaction_uid", name=op.f("uq_commitments_transaction_uid")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "uq_commitments_open",
        "commitments",
        ["delivery_id"],
        unique=True,
        sqlite_where=sa.text("ended_at IS NULL"),
        postgresql_where=sa.text("ended_at IS NULL"),
    )
    op.create_table(
        "commitment_items",
        sa.Column("commitment_id", _id(), nullable=False),
        sa.Column("derived_id", _id(), nullable=False),
        sa.ForeignKeyConstraint(
            ["commitment_id"], ["commitments.id"], name=op.f("fk_commitment_items_commitments")
        ),
        sa.ForeignKeyConstraint(
            ["derived_id"], ["derived.id"], name=op.f("fk_commitment_items_derived")
        ),
        sa.PrimaryKeyConstraint("commitment_id", "derived_id", name=op.f("pk_commitment_items")),
    )
    op.create_table(
        "demands",
        sa.Column("id", _id(), nullable=False),
        sa.Column("transaction_uid", sa.String(length=64), nullable=False),
        sa.Column("calling_ae_title", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("references_json", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("not_before", sa.Double(), nullable=False),
        sa.Column("lease_until", sa.Double(), nullable=True),
        sa.Column("last_error", sa.Text(), nullable=False),
        sa.Column("received_at", sa.Double(), nullable=False),
        sa.Column("updated_at", sa.Double(), nullable=False),
        sa.CheckConstraint(
            "state IN ('waiting', 'reporting', 'reported', 'given_up')",
            name=op.f("ck_demands_state"),
        ),
        sa.CheckConstraint(
            "(state = 'reporting') = (lease_until IS NOT NULL)", name=op.f("ck_demands_lease")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_demands")),
        sa.UniqueConstraint(
            "calling_ae_title", "transaction_uid", name=op.f("uq_demands_transaction")
        ),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_demands_waiting", "demands", ["state", "not_before"], unique=False)


def downgrade() -> None:
    """Back from this revision: what was asked is forgotten."""
    for table in ("demands", "commitment_items", "commitments"):
        op.drop_table(table)
    with op.batch_alter_table("sends") as batch:
        batch.drop_column("committed_at")
