"""Ledgers of every released version come up with what is in them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from dicom_node.domain.deliveries import DeliveryState
from dicom_node.domain.images import ImageState
from dicom_node.domain.jobs import JobState
from dicom_node.ports import Chosen, Deed, Kind
from dicom_node.store import migrating
from dicom_node.store.database import Database
from dicom_node.store.ledger import open_ledger
from dicom_node.store.orders import order_to_json
from tests.fakes import rows

if TYPE_CHECKING:
    from pathlib import Path

IMAGE = (
    "INSERT INTO images (id, sop_class_uid, sop_instance_uid, study_instance_uid, "
    "transfer_syntax_uid, calling_ae_title, digest, size_bytes, received_at, conflicting, "
    "decided_as, reason, decided_at) VALUES (:id, '1.2', :uid, '1', '1.2', 'M', :digest, 9, 1.0, "
    ":conflicting, :decided_as, :reason, :decided_at)"
)
JOB = (
    "INSERT INTO jobs (id, key, image_id, state, order_json, priority, attempts, failures, "
    "lost_leases, not_before, last_error, created_at, updated_at) VALUES (1, :key, 1, 'done', "
    ":order_json, 5, 1, 0, 0, 1.0, '', 1.0, 2.0)"
)
DERIVED = (
    "INSERT INTO derived (id, job_id, form, banner, position, sop_instance_uid, sop_class_uid, "
    "transfer_syntax_uid, series_instance_uid, digest, size_bytes, provenance) VALUES "
    "(:id, 1, 'dx', :yes, :position, :uid, '1.2', '1.2', '1.2', :digest, 9, '{}')"
)
DELIVERY = (
    "INSERT INTO deliveries (id, job_id, destination, form, banner, state, attempts, failures, "
    "lost_leases, not_before, last_error, created_at, updated_at) VALUES (1, 1, 'pacs', 'dx', "
    ":yes, 'pending', 1, 1, 0, 1.0, 'away', 1.0, 2.0)"
)
SEND = "INSERT INTO sends VALUES (1, :derived_id, :outcome, :status, :answered_at)"


def upgrade(url: str, revision: str) -> None:
    """Bring a ledger up to an older revision."""
    config, database = Config(), Database(url)
    config.set_main_option("script_location", str(migrating._MIGRATIONS))
    with database.write() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
    database.close()


def first_release(url: str) -> None:
    """A ledger of revision 0001 with work in every table, written without this version's code."""
    upgrade(url, "0001")
    database = Database(url)
    with database.write() as connection:
        for number, decided in enumerate(("accept", "quarantine", None), 1):
            values = {
                "id": number,
                "uid": f"1.2.3.{number}",
                "digest": rows.digest(f"image {number}"),
                "conflicting": False,
                "decided_as": decided,
                "reason": "no view" if decided == "quarantine" else "",
                "decided_at": 2.0 if decided else None,
            }
            connection.execute(sa.text(IMAGE), values)
        order = order_to_json(rows.order())
        connection.execute(sa.text(JOB), {"key": rows.job_of(1).key, "order_json": order})
        for position in range(2):
            values = {"id": position + 1, "position": position, "uid": f"2.25.{position}"}
            digest = rows.digest(f"derived {position}")
            connection.execute(sa.text(DERIVED), {**values, "digest": digest, "yes": True})
        connection.execute(sa.text(DELIVERY), {"yes": True})
        for derived_id, outcome in ((1, "stored"), (2, None)):
            status, at = (0, 2.0) if outcome else (None, None)
            values = {"derived_id": derived_id, "outcome": outcome, "status": status}
            connection.execute(sa.text(SEND), {**values, "answered_at": at})
        if not database.is_sqlite:  # a server counts by itself only what it numbered
            for table in ("images", "jobs", "derived", "deliveries"):
                connection.exec_driver_sql(
                    f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), 10)"
                )
    database.close()


@pytest.fixture
def old_url(url: str) -> str:
    first_release(url)
    return url


@pytest.mark.parametrize("revision", sorted(migrating.known_revisions()))
def test_a_ledger_of_any_release_comes_up_with_all_that_is_in_it(
    old_url: str, revision: str
) -> None:
    upgrade(old_url, revision)
    ledger = open_ledger(old_url)
    assert [row.state for row in reversed(ledger.images())] == [
        ImageState.ACCEPTED,
        ImageState.QUARANTINED,
        ImageState.WAITING,
    ]
    (job,) = ledger.jobs()
    assert (job.job.state, job.job.order) == (JobState.DONE, rows.order())
    (row,) = ledger.deliveries()
    assert (row.delivery.state, row.stored, row.instances) == (DeliveryState.PENDING, 1, 2)
    assert ledger.fetches() == ()
    ledger.ask_fetch("pacs", "1.2", "otto", at_most=9, keep=9, now=10.0)
    ledger.close()


def test_work_of_the_first_release_goes_on(old_url: str) -> None:
    ledger = open_ledger(old_url)
    assert ledger.settle(Kind.IMAGES, Deed.CANCEL, Chosen(), 10.0) == 1
    delivery = ledger.lease_delivery("pacs", 10.0, 60.0)
    assert delivery is not None
    assert [instance.sop_instance_uid for instance in delivery.outstanding] == ["2.25.1"]
    ledger.record_image(rows.image(9), 10.0)
    assert len(ledger.unplanned(9)) == 2
    ledger.close()


def test_a_ledger_that_goes_up_is_like_one_that_was_new(old_url: str, tmp_path: Path) -> None:
    open_ledger(old_url).close()
    new_url = f"sqlite:///{tmp_path / 'new.db'}"
    open_ledger(new_url).close()

    def columns(url: str) -> dict[str, set[str]]:
        inspector = sa.inspect(sa.create_engine(url))
        return {
            name: {column["name"] for column in inspector.get_columns(name)}
            for name in inspector.get_table_names()
            if name != "sqlite_sequence"
        }

    assert columns(old_url) == columns(new_url)
