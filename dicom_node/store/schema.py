"""The ledger's tables. Invariants stand here as constraints, so that no code can break them.

``images`` 1 - n ``jobs`` 1 - n ``derived`` and ``deliveries``; ``sends`` is what each delivery has
to bring and what the destination answered; ``commitments`` what was asked of it, ``demands`` what
peers ask of us; ``events`` is the diary of every change; ``versions`` the configurations that were
in force, by which images were decided. ``accounts`` 1 - n ``console_sessions`` and ``api_tokens``
are those who use the console, ``fetches`` the studies that they have fetched from archives.
``data_folder`` says whose ledger it is.

Times are Unix seconds. A change of these tables needs a migration and a new `REVISION`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from dicom_node.domain.accounts import Role
from dicom_node.domain.commitments import DemandState
from dicom_node.domain.deliveries import DeliveryState, Outcome
from dicom_node.domain.fetches import FetchState
from dicom_node.domain.jobs import JobState
from dicom_node.domain.writing import Document, Form, Matrix
from dicom_node.ports import DecidedAs

__all__ = [
    "METADATA",
    "REVISION",
    "accounts",
    "commitment_items",
    "commitments",
    "data_folder",
    "deliveries",
    "demands",
    "derived",
    "events",
    "fetches",
    "images",
    "jobs",
    "sends",
    "sessions",
    "tokens",
    "versions",
]

REVISION: Final = "0010"
"""The newest migration: the schema this code speaks."""

METADATA: Final = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(constraint_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(referred_table_name)s",
    }
)

# SQLite numbers rows by itself only in a column declared INTEGER.
_Id = BigInteger().with_variant(Integer(), "sqlite")


def _one_of(column: str, kind: type[StrEnum]) -> str:
    return f"{column} IN ({', '.join(repr(member.value) for member in kind)})"


versions: Final = Table(
    "versions",
    METADATA,
    Column("id", _Id, primary_key=True),
    Column("digest", String(64), nullable=False),
    Column("yaml", Text, nullable=False),
    Column("author", Text, nullable=False),
    Column("comment", Text, nullable=False),
    Column("at", Double, nullable=False),
    Column("parent_id", ForeignKey("versions.id")),
    CheckConstraint("parent_id IS NULL OR parent_id < id", name="parent"),
    sqlite_autoincrement=True,
)

images: Final = Table(
    "images",
    METADATA,
    Column("id", _Id, primary_key=True),
    Column("sop_class_uid", Text, nullable=False),
    Column("sop_instance_uid", Text, nullable=False),
    Column("study_instance_uid", Text, nullable=False, index=True),
    Column("transfer_syntax_uid", Text, nullable=False),
    Column("calling_ae_title", Text, nullable=False),
    Column("digest", String(64), nullable=False, index=True),
    Column("size_bytes", BigInteger, nullable=False),
    Column("accession_number", Text, nullable=False, server_default="", index=True),
    Column("received_at", Double, nullable=False),
    Column("conflicting", Boolean, nullable=False),
    Column("decided_as", String(16)),
    Column("route", Text, nullable=False, server_default=""),
    Column("route_digest", String(64), nullable=False, server_default=""),
    Column("reason", Text, nullable=False, server_default=""),
    Column("terms", Text, nullable=False, server_default="[]"),
    Column("decided_at", Double),
    Column("version_id", ForeignKey("versions.id")),
    Column("file_removed_at", Double),
    Column(
        "cancelled_at",
        Double,
        CheckConstraint(
            "cancelled_at IS NULL OR (decided_as IS NOT NULL AND decided_as = 'quarantine')",
            name="cancelled",
        ),
    ),
    UniqueConstraint("sop_instance_uid", "digest", name="content"),
    CheckConstraint(f"decided_as IS NULL OR {_one_of('decided_as', DecidedAs)}", name="decided_as"),
    CheckConstraint("(decided_as IS NULL) = (decided_at IS NULL)", name="decided_at"),
    CheckConstraint(
        "NOT conflicting OR (decided_as IS NOT NULL AND decided_as = 'quarantine')", name="conflict"
    ),
    CheckConstraint("file_removed_at IS NULL OR decided_as IS NOT NULL", name="file_removed"),
    sqlite_autoincrement=True,
)
# One content per SOP Instance UID is believed; every other one is a conflict.
Index(
    "uq_images_believed",
    images.c.sop_instance_uid,
    unique=True,
    sqlite_where=text("NOT conflicting"),
    postgresql_where=text("NOT conflicting"),
)
Index(
    "ix_images_unplanned",
    images.c.id,
    sqlite_where=text("decided_as IS NULL"),
    postgresql_where=text("decided_as IS NULL"),
)
_QUARANTINED = text("decided_as = 'quarantine' AND cancelled_at IS NULL")
Index(
    "ix_images_quarantined",
    images.c.id,
    sqlite_where=_QUARANTINED,
    postgresql_where=_QUARANTINED,
)

jobs: Final = Table(
    "jobs",
    METADATA,
    Column("id", _Id, primary_key=True),
    Column("key", String(64), nullable=False),
    Column("image_id", ForeignKey("images.id"), nullable=False, index=True),
    Column("state", String(16), nullable=False),
    Column("order_json", Text, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("failures", Integer, nullable=False),
    Column("lost_leases", Integer, nullable=False),
    Column("not_before", Double, nullable=False),
    Column("lease_until", Double),
    Column("last_error", Text, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("updated_at", Double, nullable=False),
    UniqueConstraint("key", name="key"),
    CheckConstraint(_one_of("state", JobState), name="state"),
    CheckConstraint("(state = 'running') = (lease_until IS NOT NULL)", name="lease"),
    CheckConstraint("attempts >= 0 AND failures >= 0 AND lost_leases >= 0", name="counts"),
    Index("ix_jobs_waiting", "state", "priority", "id"),
    sqlite_autoincrement=True,
)

derived: Final = Table(
    "derived",
    METADATA,
    Column("id", _Id, primary_key=True),
    Column("job_id", ForeignKey("jobs.id"), nullable=False),
    Column("form", String(16), nullable=False),
    Column("banner", Boolean, nullable=False),
    Column("matrix", String(16), nullable=False, server_default="native"),
    Column("document", String(24)),
    Column("position", Integer, nullable=False),
    Column("sop_instance_uid", Text, nullable=False),
    Column("sop_class_uid", Text, nullable=False),
    Column("transfer_syntax_uid", Text, nullable=False),
    Column("series_instance_uid", String(64), nullable=False),
    Column("digest", String(64), nullable=False, index=True),
    Column("size_bytes", BigInteger, nullable=False),
    Column("provenance", Text, nullable=False),
    Column("file_removed_at", Double),
    UniqueConstraint("sop_instance_uid", name="sop_instance_uid"),
    UniqueConstraint("job_id", "form", "banner", "matrix", "position", name="position"),
    CheckConstraint(_one_of("form", Form), name="form"),
    CheckConstraint(_one_of("matrix", Matrix), name="matrix"),
    CheckConstraint(f"document IS NULL OR {_one_of('document', Document)}", name="document"),
    CheckConstraint("position >= 0", name="position"),
    sqlite_autoincrement=True,
)

deliveries: Final = Table(
    "deliveries",
    METADATA,
    Column("id", _Id, primary_key=True),
    Column("job_id", ForeignKey("jobs.id"), nullable=False),
    Column("destination", Text, nullable=False),
    Column("form", String(16), nullable=False),
    Column("banner", Boolean, nullable=False),
    Column("matrix", String(16), nullable=False, server_default="native"),
    Column("documents", Text, nullable=False, server_default=""),
    Column("state", String(16), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("failures", Integer, nullable=False),
    Column("lost_leases", Integer, nullable=False),
    Column("not_before", Double, nullable=False),
    Column("lease_until", Double),
    Column("last_error", Text, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("updated_at", Double, nullable=False),
    UniqueConstraint("job_id", "destination", "form", name="target"),
    CheckConstraint(_one_of("state", DeliveryState), name="state"),
    CheckConstraint(_one_of("form", Form), name="form"),
    CheckConstraint(_one_of("matrix", Matrix), name="matrix"),
    CheckConstraint("(state = 'sending') = (lease_until IS NOT NULL)", name="lease"),
    CheckConstraint("attempts >= 0 AND failures >= 0 AND lost_leases >= 0", name="counts"),
    Index("ix_deliveries_waiting", "state", "destination", "id"),
    sqlite_autoincrement=True,
)

sends: Final = Table(
    "sends",
    METADATA,
    Column("delivery_id", ForeignKey("deliveries.id"), primary_key=True),
    Column("derived_id", ForeignKey("derived.id"), primary_key=True),
    Column("outcome", String(16)),
    Column("status", Integer),
    Column("answered_at", Double),
    Column("committed_at", Double),
    CheckConstraint(f"outcome IS NULL OR {_one_of('outcome', Outcome)}", name="outcome"),
    CheckConstraint(
        "(outcome IS NULL) = (answered_at IS NULL) AND (outcome IS NULL) = (status IS NULL)",
        name="answer",
    ),
)

commitments: Final = Table(
    "commitments",
    METADATA,
    Column("id", _Id, primary_key=True),
    Column("transaction_uid", String(64), nullable=False),
    Column("delivery_id", ForeignKey("deliveries.id"), nullable=False),
    Column("asked_at", Double, nullable=False),
    Column("answer_by", Double, nullable=False),
    Column("ended_at", Double),
    Column("answered_at", Double),
    UniqueConstraint("transaction_uid", name="transaction_uid"),
    sqlite_autoincrement=True,
)
# One open transaction a delivery.
Index(
    "uq_commitments_open",
    commitments.c.delivery_id,
    unique=True,
    sqlite_where=text("ended_at IS NULL"),
    postgresql_where=text("ended_at IS NULL"),
)

commitment_items: Final = Table(
    "commitment_items",
    METADATA,
    Column("commitment_id", ForeignKey("commitments.id"), primary_key=True),
    Column("derived_id", ForeignKey("derived.id"), primary_key=True),
)

demands: Final = Table(
    "demands",
    METADATA,
    Column("id", _Id, primary_key=True),
    Column("transaction_uid", String(64), nullable=False),
    Column("calling_ae_title", Text, nullable=False),
    Column("address", Text, nullable=False),
    Column("references_json", Text, nullable=False),
    Column("state", String(16), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("not_before", Double, nullable=False),
    Column("lease_until", Double),
    Column("last_error", Text, nullable=False),
    Column("received_at", Double, nullable=False),
    Column("updated_at", Double, nullable=False),
    UniqueConstraint("calling_ae_title", "transaction_uid", name="transaction"),
    CheckConstraint(_one_of("state", DemandState), name="state"),
    CheckConstraint("(state = 'reporting') = (lease_until IS NOT NULL)", name="lease"),
    Index("ix_demands_waiting", "state", "not_before"),
    sqlite_autoincrement=True,
)

events: Final = Table(
    "events",
    METADATA,
    Column("id", _Id, primary_key=True),
    Column("at", Double, nullable=False),
    Column("image_id", _Id, nullable=False),
    Column("job_id", _Id),
    Column("delivery_id", _Id),
    Column("event", String(32), nullable=False),
    Column("state_from", String(16), nullable=False),
    Column("state_to", String(16), nullable=False),
    Column("detail", Text, nullable=False),
    ForeignKeyConstraint(["image_id"], ["images.id"]),
    ForeignKeyConstraint(["job_id"], ["jobs.id"]),
    ForeignKeyConstraint(["delivery_id"], ["deliveries.id"]),
    CheckConstraint("delivery_id IS NULL OR job_id IS NOT NULL", name="subject"),
    Index("ix_events_job", "job_id", "id"),
    sqlite_autoincrement=True,
)

accounts: Final = Table(
    "accounts",
    METADATA,
    Column("id", _Id, primary_key=True),
    Column("name", Text, nullable=False),
    Column("folded", Text, nullable=False),
    Column("role", String(16), nullable=False),
    Column("subject", Text),
    Column("password_hash", Text, nullable=False),
    Column("disabled", Boolean, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("last_login_at", Double),
    UniqueConstraint("folded", name="name"),
    UniqueConstraint("subject", name="subject"),
    CheckConstraint(_one_of("role", Role), name="role"),
    sqlite_autoincrement=True,
)

sessions: Final = Table(
    "console_sessions",
    METADATA,
    Column("id", _Id, primary_key=True),
    Column("account_id", ForeignKey("accounts.id"), nullable=False, index=True),
    Column("token_digest", String(64), nullable=False),
    Column("csrf", Text, nullable=False),
    Column("address", Text, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("seen_at", Double, nullable=False),
    Column("expires_at", Double, nullable=False),
    UniqueConstraint("token_digest", name="token"),
    sqlite_autoincrement=True,
)

tokens: Final = Table(
    "api_tokens",
    METADATA,
    Column("id", _Id, primary_key=True),
    Column("account_id", ForeignKey("accounts.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("role", String(16), nullable=False),
    Column("token_digest", String(64), nullable=False),
    Column("created_at", Double, nullable=False),
    Column("expires_at", Double),
    Column("revoked_at", Double),
    Column("last_used_at", Double),
    UniqueConstraint("token_digest", name="token"),
    CheckConstraint(_one_of("role", Role), name="role"),
    sqlite_autoincrement=True,
)

fetches: Final = Table(
    "fetches",
    METADATA,
    Column("id", _Id, primary_key=True),
    Column("source", Text, nullable=False),
    Column("study_instance_uid", Text, nullable=False),
    Column("who", Text, nullable=False),
    Column("asked_at", Double, nullable=False),
    Column("state", String(16), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("series", Integer),
    Column("passed_over", Integer, nullable=False),
    Column("completed", Integer, nullable=False),
    Column("failed", Integer, nullable=False),
    Column("problem", Text, nullable=False),
    Column("todo", Text, nullable=False),
    CheckConstraint(_one_of("state", FetchState), name="state"),
    CheckConstraint("state <> 'failed' OR problem <> ''", name="problem"),
    sqlite_autoincrement=True,
)
_OPEN: Final = text("state IN ('waiting', 'running')")
# A study is on its way from an archive once.
Index(
    "uq_fetches_open",
    fetches.c.source,
    fetches.c.study_instance_uid,
    unique=True,
    sqlite_where=_OPEN,
    postgresql_where=_OPEN,
)

# One row, or none before a node was started on the ledger. It is in no backup.
data_folder: Final = Table(
    "data_folder",
    METADATA,
    Column("one", Integer, primary_key=True, autoincrement=False),
    Column("folder", Text, nullable=False),
    Column("place", Text, nullable=False),
    CheckConstraint("one = 1", name="one"),
    CheckConstraint("folder <> ''", name="folder"),
)
