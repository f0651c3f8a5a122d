"""The ledger: one object over the rows, each method one transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dicom_node.store import (
    commitments,
    deliveries,
    demands,
    fetches,
    figures,
    images,
    jobs,
    overview,
    retention,
    settling,
    versions,
    waiting,
)
from dicom_node.store.accounts import SqlAccounts
from dicom_node.store.console import SqlConsole
from dicom_node.store.database import Database
from dicom_node.store.migrating import migrate, require_current

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from dicom_node.domain.commitments import Commitment, Demand, Heard, Reference, Report
    from dicom_node.domain.deliveries import Delivery, DeliveryState, Outcome
    from dicom_node.domain.fetches import Fetch
    from dicom_node.domain.identifiers import JobKey
    from dicom_node.domain.jobs import Job, JobState
    from dicom_node.domain.retry import RetryPolicy
    from dicom_node.ports import (
        Chosen,
        DecisionRow,
        Deed,
        DeliveryRow,
        ImageRow,
        JobRow,
        Kind,
        NewImage,
        NewJob,
        NewVersion,
        Product,
        Queues,
        Receipt,
        Version,
    )

__all__ = ["SqlLedger", "open_ledger", "read_ledger"]


def open_ledger(url: str) -> SqlLedger:
    """The ledger at a URL, made when it is not there, its tables up to date.

    Raises:
        ConfigurationError: The URL is not usable, or the tables are of a newer version.
        CapacityError: The database does not answer.
    """
    database = Database(url)
    try:
        migrate(database)
    except BaseException:
        database.close()
        raise
    return SqlLedger(database)


def read_ledger(url: str) -> SqlLedger:
    """The ledger at a URL to look at, beside a node that may be running; it never writes.

    Raises:
        ConfigurationError: There is no ledger of this version.
        CapacityError: The database does not answer.
    """
    database = Database(url, read_only=True)
    try:
        require_current(database)
    except BaseException:
        database.close()
        raise
    return SqlLedger(database)


class SqlLedger:
    """A `ports.NodeLedger` in SQLite or PostgreSQL.

    Any number of threads may use one object.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def record_image(self, image: NewImage, now: float) -> Receipt:
        """See `ports.Ledger.record_image`."""
        with self._database.write() as connection:
            return images.record(connection, image, now)

    def unplanned(self, limit: int) -> tuple[ImageRow, ...]:
        """See `ports.Ledger.unplanned`."""
        with self._database.read() as connection:
            return images.unplanned(connection, limit)

    def record_decision(
        self, image_id: int, decision: DecisionRow, jobs: Sequence[NewJob], now: float
    ) -> None:
        """See `ports.Ledger.record_decision`."""
        with self._database.write() as connection:
            images.decide(connection, image_id, decision, jobs, now)

    def lease_job(self, now: float, lease_s: float) -> Job | None:
        """See `ports.Ledger.lease_job`."""
        with self._database.write() as connection:
            return jobs.lease(connection, now, lease_s)

    def finish_job(self, job: Job, products: Sequence[Product], now: float) -> None:
        """See `ports.Ledger.finish_job`."""
        with self._database.write() as connection:
            jobs.finish(connection, job, products, now)

    def fail_job(
        self, job: Job, error: str, *, retry_at: float | None, now: float, counts: bool = True
    ) -> None:
        """See `ports.Ledger.fail_job`."""
        with self._database.write() as connection:
            jobs.fail(connection, job, error, retry_at=retry_at, now=now, counts=counts)

    def lease_delivery(self, destination: str, now: float, lease_s: float) -> Delivery | None:
        """See `ports.Ledger.lease_delivery`."""
        with self._database.write() as connection:
            return deliveries.lease(connection, destination, now, lease_s)

    def record_outcome(
        self,
        delivery: Delivery,
        sop_instance_uid: str,
        outcome: Outcome,
        status: int,
        now: float,
        lease_s: float,
    ) -> None:
        """See `ports.Ledger.record_outcome`."""
        with self._database.write() as connection:
            deliveries.answer(connection, delivery, sop_instance_uid, outcome, status, now, lease_s)

    def finish_delivery(self, delivery: Delivery, *, commitment: bool, now: float) -> None:
        """See `ports.Ledger.finish_delivery`."""
        with self._database.write() as connection:
            deliveries.finish(connection, delivery, commitment=commitment, now=now)

    def fail_delivery(
        self,
        delivery: Delivery,
        error: str,
        *,
        retry_at: float | None,
        now: float,
        counts: bool = True,
    ) -> None:
        """See `ports.Ledger.fail_delivery`."""
        with self._database.write() as connection:
            deliveries.fail(connection, delivery, error, retry_at=retry_at, now=now, counts=counts)

    def quarantine_strays(self, destinations: Collection[str], now: float) -> tuple[str, ...]:
        """See `ports.Ledger.quarantine_strays`."""
        with self._database.write() as connection:
            return waiting.quarantine_strays(connection, destinations, now)

    def release(self, key: JobKey, now: float) -> int:
        """See `ports.Ledger.release`."""
        with self._database.write() as connection:
            return settling.release_job(connection, key, now)

    def settle(self, kind: Kind, deed: Deed, chosen: Chosen, now: float) -> int:
        """See `ports.Ledger.settle`."""
        with self._database.write() as connection:
            return settling.settle(connection, kind, deed, chosen, now)

    def expire_leases(self, now: float) -> int:
        """See `ports.Ledger.expire_leases`."""
        with self._database.write() as connection:
            return waiting.put_back(connection, now, expired_by=now)

    def requeue_leases(self, now: float) -> int:
        """See `ports.Ledger.requeue_leases`."""
        with self._database.write() as connection:
            return waiting.put_back(connection, now, expired_by=None)

    def waiting(self) -> int:
        """See `ports.Ledger.waiting`."""
        with self._database.read() as connection:
            return waiting.count(connection)

    def next_due(self, now: float) -> float | None:
        """See `ports.Ledger.next_due`."""
        with self._database.read() as connection:
            return waiting.next_due(connection)

    def jobs(self, *, state: JobState | None = None, limit: int = 1000) -> tuple[JobRow, ...]:
        """See `ports.Ledger.jobs`."""
        with self._database.read() as connection:
            return overview.newest(connection, state=state, limit=limit)

    def job(self, key_prefix: str) -> JobRow | None:
        """See `ports.Ledger.job`."""
        with self._database.read() as connection:
            return overview.find(connection, key_prefix)

    def deliveries(
        self, *, state: DeliveryState | None = None, destination: str = "", limit: int = 1000
    ) -> tuple[DeliveryRow, ...]:
        """See `ports.Ledger.deliveries`."""
        with self._database.read() as connection:
            return overview.deliveries(
                connection, state=state, destination=destination, limit=limit
            )

    def images(self, *, limit: int = 1000) -> tuple[ImageRow, ...]:
        """See `ports.Ledger.images`."""
        with self._database.read() as connection:
            return images.newest(connection, limit)

    def queues(self) -> Queues:
        """See `ports.FigureLedger.queues`."""
        with self._database.read() as connection:
            return figures.queues(connection)

    def try_write(self) -> None:
        """See `ports.FigureLedger.try_write`."""
        with self._database.write() as connection:
            figures.rewrite_a_row(connection)

    def removable(self, before: float, limit: int) -> tuple[str, ...]:
        """See `ports.Ledger.removable`."""
        with self._database.read() as connection:
            return retention.removable(connection, before, limit)

    def forget_files(self, digests: Sequence[str], before: float, now: float) -> tuple[str, ...]:
        """See `ports.Ledger.forget_files`."""
        with self._database.write() as connection:
            return retention.forget(connection, digests, before, now)

    def known_digests(self) -> frozenset[str]:
        """See `ports.Ledger.known_digests`."""
        with self._database.read() as connection:
            return retention.known(connection)

    def ask_commitment(
        self, destination: str, transaction_uid: str, *, now: float, answer_by: float
    ) -> Commitment | None:
        """See `ports.CommitmentLedger.ask_commitment`."""
        with self._database.write() as connection:
            return commitments.ask(
                connection, destination, transaction_uid, now=now, answer_by=answer_by
            )

    def not_asked(
        self,
        transaction_uid: str,
        error: str,
        *,
        retry_at: float | None,
        now: float,
        counts: bool = True,
    ) -> None:
        """See `ports.CommitmentLedger.not_asked`."""
        with self._database.write() as connection:
            commitments.not_asked(
                connection, transaction_uid, error, retry_at=retry_at, now=now, counts=counts
            )

    def unsupported(self, transaction_uid: str, now: float) -> None:
        """See `ports.CommitmentLedger.unsupported`."""
        with self._database.write() as connection:
            commitments.unsupported(connection, transaction_uid, now)

    def expire_commitments(
        self, destination: str, delay_of: Callable[[int], float | None], now: float
    ) -> int:
        """See `ports.CommitmentLedger.expire_commitments`."""
        with self._database.write() as connection:
            return commitments.expire(connection, destination, delay_of, now)

    def close_stored(self, destination: str, now: float) -> int:
        """See `ports.CommitmentLedger.close_stored`."""
        with self._database.write() as connection:
            return commitments.close_stored(connection, destination, now)

    def hear_report(
        self, report: Report, policy_of: Callable[[str], RetryPolicy], now: float
    ) -> Heard:
        """See `ports.CommitmentLedger.hear_report`."""
        with self._database.write() as connection:
            return commitments.hear(connection, report, policy_of, now)

    def record_demand(
        self,
        transaction_uid: str,
        references: Sequence[Reference],
        *,
        calling_ae_title: str,
        address: str,
        now: float,
        report_at: float,
    ) -> bool:
        """See `ports.CommitmentLedger.record_demand`."""
        with self._database.write() as connection:
            return demands.record(
                connection,
                transaction_uid,
                references,
                calling_ae_title=calling_ae_title,
                address=address,
                now=now,
                report_at=report_at,
            )

    def lease_demand(self, now: float, lease_s: float) -> Demand | None:
        """See `ports.CommitmentLedger.lease_demand`."""
        with self._database.write() as connection:
            return demands.lease(connection, now, lease_s)

    def judge(
        self, references: Sequence[Reference], is_there: Callable[[str, int], bool]
    ) -> dict[str, int | None]:
        """See `ports.CommitmentLedger.judge`."""
        with self._database.read() as connection:
            return demands.judge(connection, references, is_there)

    def finish_demand(self, demand: Demand, now: float) -> None:
        """See `ports.CommitmentLedger.finish_demand`."""
        with self._database.write() as connection:
            demands.finish(connection, demand, now)

    def fail_demand(
        self, demand: Demand, error: str, *, retry_at: float | None, now: float
    ) -> None:
        """See `ports.CommitmentLedger.fail_demand`."""
        with self._database.write() as connection:
            demands.fail(connection, demand, error, retry_at=retry_at, now=now)

    def expire_demands(self, now: float) -> int:
        """See `ports.CommitmentLedger.expire_demands`."""
        with self._database.write() as connection:
            return demands.put_back(connection, now)

    def accounts(self) -> SqlAccounts:
        """Those who use the console, in the same database."""
        return SqlAccounts(self._database)

    def console(self) -> SqlConsole:
        """The rows as the console shows them."""
        return SqlConsole(self._database)

    def record_version(self, version: NewVersion, now: float) -> Version:
        """See `ports.VersionLedger.record_version`."""
        with self._database.write() as connection:
            return versions.record(connection, version, now)

    def versions(self, *, limit: int = 1000) -> tuple[Version, ...]:
        """See `ports.VersionLedger.versions`."""
        with self._database.read() as connection:
            return versions.newest(connection, limit)

    def version(self, number: int) -> Version | None:
        """See `ports.VersionLedger.version`."""
        with self._database.read() as connection:
            return versions.find(connection, number)

    def ask_fetch(
        self, source: str, study_uid: str, who: str, *, at_most: int, keep: int, now: float
    ) -> Fetch:
        """See `ports.FetchLedger.ask_fetch`."""
        with self._database.write() as connection:
            return fetches.ask(
                connection, source, study_uid, who, at_most=at_most, keep=keep, now=now
            )

    def begin_fetch(self) -> Fetch | None:
        """See `ports.FetchLedger.begin_fetch`."""
        with self._database.write() as connection:
            return fetches.begin(connection)

    def end_fetch(self, fetch: Fetch) -> None:
        """See `ports.FetchLedger.end_fetch`."""
        with self._database.write() as connection:
            fetches.end(connection, fetch)

    def fetch(self, number: int) -> Fetch | None:
        """See `ports.FetchLedger.fetch`."""
        with self._database.read() as connection:
            return fetches.find(connection, number)

    def fetches(self) -> tuple[Fetch, ...]:
        """See `ports.FetchLedger.fetches`."""
        with self._database.read() as connection:
            return fetches.newest(connection)

    def close(self) -> None:
        """Release the connections."""
        self._database.close()
