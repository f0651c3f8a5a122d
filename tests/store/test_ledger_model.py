"""Any sequence of calls does the same to the ledger in SQLite as to the one in memory.

The one in memory is written from the contract, so this is the contract tried at random, with
workers that are late, leases that run out and calls that are illegal.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from dicom_node.domain.deliveries import Outcome
from dicom_node.domain.errors import NodeError
from dicom_node.domain.jobs import Target
from dicom_node.domain.writing import Document, Form, Matrix
from dicom_node.ports import Chosen, DecidedAs, Deed, ImageRow, Kind
from tests.fakes import rows
from tests.fakes.database import fresh_ledger
from tests.fakes.ledger import MemoryLedger

if TYPE_CHECKING:
    from dicom_node.domain.deliveries import Delivery
    from dicom_node.domain.jobs import Job

TARGETS = [
    (Target(destination="pacs", form=Form.DX),),
    (Target(destination="pacs", form=Form.DX), Target(destination="b", form=Form.SC)),
    (Target(destination="pacs", form=Form.DX), Target(destination="b", form=Form.DX, banner=False)),
    (
        Target(destination="pacs", form=Form.MULTIFRAME, documents=(Document.REPORT,)),
        Target(destination="b", form=Form.MULTIFRAME, matrix=Matrix.MATCH_SOURCE),
        Target(destination="c", form=Form.MULTIFRAME, documents=tuple(Document)),
    ),
]
numbers = st.integers(1, 4)
retries = st.none() | st.integers(0, 40)
which = st.integers(0, 99)


def same(answer: Any) -> Any:
    """An answer without the numbers of images, which a database may leave gaps in."""
    if isinstance(answer, tuple) and answer and isinstance(answer[0], ImageRow):
        return tuple(replace(row, id=0) for row in answer)
    return answer


class Ledgers(RuleBasedStateMachine):
    """Calls both, compares answers, errors and, after each step, everything one can look at."""

    @initialize()
    def start(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.real = fresh_ledger(Path(self.folder.name))
        self.model = MemoryLedger()
        self.now = 1000.0
        self.leased_jobs: list[Job] = []
        self.leased_deliveries: list[Delivery] = []

    def both(self, method: str, *args: Any, **kwargs: Any) -> Any:
        answers = []
        for ledger in (self.real, self.model):
            try:
                answers.append(getattr(ledger, method)(*args, **kwargs))
            except NodeError as error:
                answers.append(type(error))
        assert same(answers[0]) == same(answers[1]), method
        return answers[0]

    @rule(seconds=st.integers(0, 60))
    def time_passes(self, seconds: int) -> None:
        self.now += seconds

    @rule(number=numbers, content=st.sampled_from(["", "", "other"]))
    def receive(self, number: int, content: str) -> None:
        self.both("record_image", rows.image(number, content=content), self.now)

    @rule(
        image=st.integers(0, 5),
        kind=st.sampled_from([*[DecidedAs.ACCEPT] * 3, *DecidedAs]),
        key=numbers,
        priority=st.integers(0, 2),
        wanted=st.sampled_from(TARGETS),
    )
    def decide(self, image: int, kind: DecidedAs, key: int, priority: int, wanted: Any) -> None:
        jobs = [rows.job_of(key, priority=priority, targets=wanted, views=2)]
        if kind is not DecidedAs.ACCEPT:
            jobs = []
        errors = []
        for ledger in (self.real, self.model):
            oldest_first = ledger.images()[::-1]
            image_id = oldest_first[image].id if image < len(oldest_first) else 999
            try:
                ledger.record_decision(image_id, rows.decision(kind), jobs, self.now)
            except NodeError as error:
                errors.append(type(error))
        assert len(errors) in (0, 2)
        assert errors[:1] == errors[1:]

    @rule(lease_s=st.integers(1, 60))
    def lease_job(self, lease_s: int) -> None:
        job = self.both("lease_job", self.now, float(lease_s))
        if job is not None:
            self.leased_jobs.append(job)

    @rule(index=which, complete=st.sampled_from([True, True, True, False]))
    def finish_job(self, index: int, complete: bool) -> None:
        if self.leased_jobs:
            job = self.leased_jobs[index % len(self.leased_jobs)]
            products = rows.products(job, str(job.attempts))[0 if complete else 1 :]
            self.both("finish_job", job, products, self.now)

    @rule(index=which, retry=retries, counts=st.booleans())
    def fail_job(self, index: int, retry: int | None, counts: bool) -> None:
        if self.leased_jobs:
            job = self.leased_jobs[index % len(self.leased_jobs)]
            at = None if retry is None else self.now + retry
            self.both("fail_job", job, "broken", retry_at=at, now=self.now, counts=counts)

    @rule(destination=st.sampled_from(["pacs", "pacs", "b", "c"]), lease_s=st.integers(1, 60))
    def lease_delivery(self, destination: str, lease_s: int) -> None:
        delivery = self.both("lease_delivery", destination, self.now, float(lease_s))
        if delivery is not None:
            self.leased_deliveries.append(delivery)

    @rule(
        index=which,
        instance=st.integers(0, 2),
        outcome=st.sampled_from([*[Outcome.STORED] * 3, *Outcome]),
    )
    def answer(self, index: int, instance: int, outcome: Outcome) -> None:
        if self.leased_deliveries:
            delivery = self.leased_deliveries[index % len(self.leased_deliveries)]
            uids = [i.sop_instance_uid for i in delivery.outstanding]
            uid = uids[instance] if instance < len(uids) else "1.2.3.999"
            self.both("record_outcome", delivery, uid, outcome, 0, self.now, 30.0)

    @rule(index=which, commitment=st.booleans())
    def finish_delivery(self, index: int, commitment: bool) -> None:
        if self.leased_deliveries:
            delivery = self.leased_deliveries[index % len(self.leased_deliveries)]
            self.both("finish_delivery", delivery, commitment=commitment, now=self.now)

    @rule(index=which, retry=retries)
    def fail_delivery(self, index: int, retry: int | None) -> None:
        if self.leased_deliveries:
            delivery = self.leased_deliveries[index % len(self.leased_deliveries)]
            at = None if retry is None else self.now + retry
            self.both("fail_delivery", delivery, "away", retry_at=at, now=self.now)

    @rule(key=numbers)
    def release(self, key: int) -> None:
        self.both("release", rows.job_of(key).key, self.now)

    @rule(
        kind=st.sampled_from(Kind),
        deed=st.sampled_from(Deed),
        reason=st.sampled_from(["", "AW", "route", "%"]),
        destination=st.sampled_from(["", "pacs", "c"]),
    )
    def settle_all(self, kind: Kind, deed: Deed, reason: str, destination: str) -> None:
        chosen = Chosen(reason=reason, destination=destination)
        self.both("settle", kind, deed, chosen, self.now)

    @rule(kind=st.sampled_from(Kind), deed=st.sampled_from(Deed), number=numbers)
    def settle_one(self, kind: Kind, deed: Deed, number: int) -> None:
        names = {
            Kind.IMAGES: rows.image(number).sop_instance_uid,
            Kind.JOBS: rows.job_of(number).key,
            Kind.DELIVERIES: str(number),
        }
        self.both("settle", kind, deed, Chosen(name=names[kind]), self.now)

    @rule(known=st.sampled_from([("pacs",), ("pacs", "b"), ()]))
    def look_for_strays(self, known: tuple[str, ...]) -> None:
        self.both("quarantine_strays", known, self.now)

    @rule()
    def expire(self) -> None:
        self.both("expire_leases", self.now)

    @rule()
    def restart(self) -> None:
        self.both("requeue_leases", self.now)

    @rule(age_s=st.integers(0, 60), limit=st.integers(1, 9))
    def retain(self, age_s: int, limit: int) -> None:
        before = self.now - age_s
        digests = self.both("removable", before, limit)
        self.both("forget_files", digests, before, self.now)

    @invariant()
    def all_one_can_look_at_is_the_same(self) -> None:
        if not hasattr(self, "real"):
            return
        for row in self.both("jobs"):
            self.both("job", row.job.key)
        self.both("images")
        self.both("deliveries")
        self.both("unplanned", 3)
        self.both("known_digests")
        self.both("next_due", self.now)

    def teardown(self) -> None:
        if hasattr(self, "real"):
            self.real.close()
            self.folder.cleanup()


TestLedgers = Ledgers.TestCase
TestLedgers.settings = settings(
    max_examples=25,
    stateful_step_count=40,
    # Shrinking a long story against a disk takes minutes; the story itself is printed.
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
