"""The first tables."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """To this revision."""
    op.create_table(
        "images",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("sop_class_uid", sa.Text(), nullable=False),
        sa.Column("sop_instance_uid", sa.Text(), nullable=False),
        sa.Column("study_instance_uid", sa.Text(), nullable=False),
        sa.Column("transfer_syntax_uid", sa.Text(), nullable=False),
        sa.Column("calling_ae_title", sa.Text(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("received_at", sa.Double(), nullable=False),
        sa.Column("conflicting", sa.Boolean(), nullable=False),
        sa.Column("decided_as", sa.String(length=16), nullable=True),
        sa.Column("route", sa.Text(), server_default="", nullable=False),
        sa.Column("route_digest", sa.String(length=64), server_default="", nullable=False),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("terms", sa.Text(), server_default="[]", nullable=False),
        sa.Column("decided_at", sa.Double(), nullable=True),
        sa.Column("file_removed_at", sa.Double(), nullable=True),
        sa.CheckConstraint(
            "NOT conflicting OR (decided_as IS NOT NULL AND decided_as = 'quarantine')",
            name=op.f("ck_images_conflict"),
        ),
        sa.CheckConstraint(
            "decided_as IS NULL OR decided_as IN ('accept', 'ignore', 'quarantine')",
            name=op.f("ck_images_decided_as"),
        ),
        sa.CheckConstraint(
            "(decided_as IS NULL) = (decided_at IS NULL)", name=op.f("ck_images_decided_at")
        ),
        sa.CheckConstraint(
            "file_removed_at IS NULL OR decided_as IS NOT NULL", name=op.f("ck_images_file_removed")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_images")),
        sa.UniqueConstraint("sop_instance_uid", "digest", name=op.f("uq_images_content")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_images_digest"), "images", ["digest"], unique=False)
    op.create_index(
        "ix_images_unplanned",
        "images",
        ["id"],
        unique=False,
        sqlite_where=sa.text("decided_as IS NULL"),
        postgresql_where=sa.text("decided_as IS NULL"),
    )
    op.create_index(
        "uq_images_believed",
        "images",
        ["sop_instance_uid"],
        unique=True,
        sqlite_where=sa.text("NOT conflicting"),
        postgresql_where=sa.text("NOT conflicting"),
    )
    op.create_table(
        "jobs",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("image_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("order_json", sa.Text(), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("lost_leases", sa.Integer(), nullable=False),
        sa.Column("not_before", sa.Double(), nullable=False),
        sa.Column("lease_until", sa.Double(), nullable=True),
        sa.Column("last_error", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("updated_at", sa.Double(), nullable=False),
        sa.CheckConstraint(
            "(state = 'running') = (lease_until IS NOT NULL)", name=op.f("ck_jobs_lease")
        ),
        sa.CheckConstraint(
            "state IN ('queued', 'running', 'done', 'quarantined', 'cancelled')",
            name=op.f("ck_jobs_state"),
        ),
        sa.CheckConstraint(
            "attempts >= 0 AND failures >= 0 AND lost_leases >= 0", name=op.f("ck_jobs_counts")
        ),
        sa.ForeignKeyConstraint(["image_id"], ["images.id"], name=op.f("fk_jobs_images")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_jobs")),
        sa.UniqueConstraint("key", name=op.f("uq_jobs_key")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_jobs_image_id"), "jobs", ["image_id"], unique=False)
    op.create_index("ix_jobs_waiting", "jobs", ["state", "priority", "id"], unique=False)
    op.create_table(
        "deliveries",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("job_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("destination", sa.Text(), nullable=False),
        sa.Column("form", sa.String(length=16), nullable=False),
        sa.Column("banner", sa.Boolean(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("lost_leases", sa.Integer(), nullable=False),
        sa.Column("not_before", sa.Double(), nullable=False),
        sa.Column("lease_until", sa.Double(), nullable=True),
        sa.Column("last_error", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("updated_at", sa.Double(), nullable=False),
        sa.CheckConstraint(
            "(state = 'sending') = (lease_until IS NOT NULL)", name=op.f("ck_deliveries_lease")
        ),
        sa.CheckConstraint("form IN ('dx', 'sc')", name=op.f("ck_deliveries_form")),
        sa.CheckConstraint(
            "state IN ('pending', 'sending', 'closed', 'stored', 'commit_requested', 'committed', "
            "'quarantined', 'cancelled')",
            name=op.f("ck_deliveries_state"),
        ),
        sa.CheckConstraint(
            "attempts >= 0 AND failures >= 0 AND lost_leases >= 0",
            name=op.f("ck_deliveries_counts"),
        ),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_deliveries_jobs")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deliveries")),
        sa.UniqueConstraint("job_id", "destination", "form", name=op.f("uq_deliveries_target")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_deliveries_waiting", "deliveries", ["state", "destination", "id"], unique=False
    )
    op.create_table(
        "derived",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("job_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("form", sa.String(length=16), nullable=False),
        sa.Column("banner", sa.Boolean(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("sop_instance_uid", sa.Text(), nullable=False),
        sa.Column("sop_class_uid", sa.Text(), nullable=False),
        sa.Column("transfer_syntax_uid", sa.Text(), nullable=False),
        sa.Column("series_instance_uid", sa.String(length=64), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("provenance", sa.Text(), nullable=False),
        sa.Column("file_removed_at", sa.Double(), nullable=True),
        sa.CheckConstraint("form IN ('dx', 'sc')", name=op.f("ck_derived_form")),
        sa.CheckConstraint("position >= 0", name=op.f("ck_derived_position")),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_derived_jobs")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_derived")),
        sa.UniqueConstraint(
            "job_id", "form", "banner", "position", name=op.f("uq_derived_position")
        ),
        sa.UniqueConstraint("sop_instance_uid", name=op.f("uq_derived_sop_instance_uid")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_derived_digest"), "derived", ["digest"], unique=False)
    op.create_table(
        "events",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("image_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("job_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column(
            "delivery_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True
        ),
        sa.Column("event", sa.String(length=32), nullable=False),
        sa.Column("state_from", sa.String(length=16), nullable=False),
        sa.Column("state_to", sa.String(length=16), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.CheckConstraint(
            "delivery_id IS NULL OR job_id IS NOT NULL", name=op.f("ck_events_subject")
        ),
        sa.ForeignKeyConstraint(
            ["delivery_id"], ["deliveries.id"], name=op.f("fk_events_deliveries")
        ),
        sa.ForeignKeyConstraint(["image_id"], ["images.id"], name=op.f("fk_events_images")),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_events_jobs")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_events")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_events_job", "events", ["job_id", "id"], unique=False)
    op.create_table(
        "sends",
        sa.Column(
            "delivery_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False
        ),
        sa.Column(
            "derived_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False
        ),
        sa.Column("outcome", sa.String(length=16), nullable=True),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("answered_at", sa.Double(), nullable=True),
        sa.CheckConstraint(
            "outcome IS NULL OR outcome IN ('stored', 'retry', 'refused')",
            name=op.f("ck_sends_outcome"),
        ),
        sa.CheckConstraint(
            "(outcome IS NULL) = (answered_at IS NULL) AND (outcome IS NULL) = (status IS NULL)",
            name=op.f("ck_sends_answer"),
        ),
        sa.ForeignKeyConstraint(
            ["delivery_id"], ["deliveries.id"], name=op.f("fk_sends_deliveries")
        ),
        sa.ForeignKeyConstraint(["derived_id"], ["derived.id"], name=op.f("fk_sends_derived")),
        sa.PrimaryKeyConstraint("delivery_id", "derived_id", name=op.f("pk_sends")),
    )


def downgrade() -> None:
    """Back from this revision: to nothing."""
    for table in ("sends", "events", "deliveries", "derived", "jobs", "images"):
        op.drop_table(table)
