"""Multi-frame objects, matrices, and the documents that go with images."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

FORMS = "form IN ('dx', 'sc', 'multiframe')"
MATRICES = "matrix IN ('native', 'match_source')"
DOCUMENTS = "document IS NULL OR document IN ('presentation_state', 'report', 'key_objects')"
POSITION = ("job_id", "form", "banner", "matrix", "position")


def upgrade() -> None:
    """To this revision."""
    if op.get_bind().dialect.name == "sqlite":
        _rebuild(_derived(), extra={"matrix": "'native'", "document": "NULL"})
        _rebuild(_deliveries(), extra={"matrix": "'native'", "documents": "''"})
        return
    for table in ("derived", "deliveries"):
        op.add_column(table, _matrix())
        op.drop_constraint(op.f(f"ck_{table}_form"), table, type_="check")
        op.create_check_constraint(op.f(f"ck_{table}_form"), table, FORMS)
        op.create_check_constraint(op.f(f"ck_{table}_matrix"), table, MATRICES)
    op.add_column("derived", sa.Column("document", sa.String(length=24), nullable=True))
    op.create_check_constraint(op.f("ck_derived_document"), "derived", DOCUMENTS)
    op.drop_constraint(op.f("uq_derived_position"), "derived", type_="unique")
    op.create_unique_constraint(op.f("uq_derived_position"), "derived", list(POSITION))
    op.add_column("deliveries", _documents())


def downgrade() -> None:
    """Not back from this revision: what is written in the new ways has no place in the old one."""
    raise NotImplementedError("restore a backup that was taken before the upgrade")


def _rebuild(table: sa.Table, *, extra: dict[str, str]) -> None:
    """SQLite changes no constraint of a table, so it is made anew with the rows it had.

    Rows of other tables refer to them meanwhile: that is checked at the end of the transaction.
    """
    bind, name = op.get_bind(), table.name
    kept = [column.name for column in table.columns if column.name not in extra]
    columns, values = ", ".join([*kept, *extra]), ", ".join([*kept, *extra.values()])
    for statement in (
        "PRAGMA defer_foreign_keys = ON",
        f"CREATE TEMPORARY TABLE kept AS SELECT * FROM {name}",
        f"DELETE FROM {name}",
        f"DROP TABLE {name}",
    ):
        bind.exec_driver_sql(statement)
    table.create(bind)
    bind.exec_driver_sql(f"INSERT INTO {name} ({columns}) SELECT {values} FROM kept ORDER BY id")
    bind.exec_driver_sql("DROP TABLE kept")


def _id() -> sa.types.TypeEngine[int]:
    return sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _matrix() -> sa.Column[str]:
    return sa.Column("matrix", sa.String(length=16), nullable=False, server_default="native")


def _documents() -> sa.Column[str]:
    return sa.Column("documents", sa.Text(), nullable=False, server_default="")


def _metadata() -> sa.MetaData:
    metadata = sa.MetaData()
    sa.Table("jobs", metadata, sa.Column("id", _id(), primary_key=True))
    return metadata


def _derived() -> sa.Table:
    return sa.Table(
        "derived",
        _metadata(),
        sa.Column("id", _id(), nullable=False),
        sa.Column("job_id", _id(), nullable=False),
        sa.Column("form", sa.String(length=16), nullable=False),
        sa.Column("banner", sa.Boolean(), nullable=False),
        _matrix(),
        sa.Column("document", sa.String(length=24), nullable=True),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("sop_instance_uid", sa.Text(), nullable=False),
        sa.Column("sop_class_uid", sa.Text(), nullable=False),
        sa.Column("transfer_syntax_uid", sa.Text(), nullable=False),
        sa.Column("series_instance_uid", sa.String(length=64), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("provenance", sa.Text(), nullable=False),
        sa.Column("file_removed_at", sa.Double(), nullable=True),
        sa.CheckConstraint(FORMS, name="ck_derived_form"),
        sa.CheckConstraint(MATRICES, name="ck_derived_matrix"),
        sa.CheckConstraint(DOCUMENTS, name="ck_derived_document"),
        sa.CheckConstraint("position >= 0", name="ck_derived_position"),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name="fk_derived_jobs"),
        sa.PrimaryKeyConstraint("id", name="pk_derived"),
        sa.UniqueConstraint(*POSITION, name="uq_derived_position"),
        sa.UniqueConstraint("sop_instance_uid", name="uq_derived_sop_instance_uid"),
        sa.Index("ix_derived_digest", "digest"),
        sqlite_autoincrement=True,
    )


def _deliveries() -> sa.Table:
    states = (
        "'pending', 'sending', 'closed', 'stored', 'commit_requested', 'committed', "
        "'quarantined', 'cancelled'"
    )
    return sa.Table(
        "deliveries",
        _metadata(),
        sa.Column("id", _id(), nullable=False),
        sa.Column("job_id", _id(), nullable=False),
        sa.Column("destination", sa.Text(), nullable=False),
        sa.Column("form", sa.String(length=16), nullable=False),
        sa.Column("banner", sa.Boolean(), nullable=False),
        _matrix(),
        _documents(),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("lost_leases", sa.Integer(), nullable=False),
        sa.Column("not_before", sa.Double(), nullable=False),
        sa.Column("lease_until", sa.Double(), nullable=True),
        sa.Column("last_error", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("updated_at", sa.Double(), nullable=False),
        sa.CheckConstraint(FORMS, name="ck_deliveries_form"),
        sa.CheckConstraint(MATRICES, name="ck_deliveries_matrix"),
        sa.CheckConstraint(f"state IN ({states})", name="ck_deliveries_state"),
        sa.CheckConstraint(
            "(state = 'sending') = (lease_until IS NOT NULL)", name="ck_deliveries_lease"
        ),
        sa.CheckConstraint(
            "attempts >= 0 AND failures >= 0 AND lost_leases >= 0", name="ck_deliveries_counts"
        ),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name="fk_deliveries_jobs"),
        sa.PrimaryKeyConstraint("id", name="pk_deliveries"),
        sa.UniqueConstraint("job_id", "destination", "form", name="uq_deliveries_target"),
        sa.Index("ix_deliveries_waiting", "state", "destination", "id"),
        sqlite_autoincrement=True,
    )
