"""Documents beside the images: made where they are wanted, sent after what they speak of."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO
from typing import TYPE_CHECKING

import pytest
import structlog
from pydicom import dcmread
from pydicom.uid import ExplicitVRLittleEndian

from dicom_node.domain.jobs import JobState
from dicom_node.domain.writing import Document, Form
from dicom_node.iod.documents import BUILDERS
from dicom_node.network.contexts import proposed_contexts
from tests.fakes.radiographs import received
from tests.services.node import PACS, route

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

    from dicom_node.domain.deliveries import DerivedInstance
    from dicom_node.iod.referring import Account
    from tests.services.node import Node

READER = replace(PACS, name="reader", banner=False, documents=tuple(Document))
PLAIN = replace(PACS, name="plain", banner=False)
CINE = replace(PACS, name="cine", form=Form.MULTIFRAME, documents=(Document.REPORT,))


def made(node: Node) -> dict[str, tuple[DerivedInstance, ...]]:
    node.destinations = (READER, PLAIN, CINE)
    node.routes = (route(send_to=tuple(each.name for each in node.destinations)),)
    node.receiving.receive(received(1))
    node.plan()
    node.synthesize()
    return {d.delivery.destination: d.delivery.outstanding for d in node.only_job().deliveries}


def read(node: Node, instance: DerivedInstance) -> Dataset:
    return dcmread(BytesIO(node.spool.read(instance.digest)))


def test_each_destination_gets_its_documents_after_its_images(node: Node) -> None:
    waiting = made(node)
    assert [instance.document for instance in waiting["reader"]] == [None, None, *Document]
    assert waiting["plain"] == waiting["reader"][:2]  # the same images, and nothing beside them
    assert [instance.document for instance in waiting["cine"]] == [None, Document.REPORT]
    for destination in node.destinations:
        node.deliver(destination)
    assert node.archive.attempts == [[0, 1, 2, 3, 4], [0, 1], [0, 1]]


def test_documents_refer_to_the_images_they_are_sent_with(node: Node) -> None:
    waiting = made(node)
    for name, images in (("reader", 2), ("cine", 1)):
        sent = {instance.sop_instance_uid for instance in waiting[name][:images]}
        report = read(node, next(i for i in waiting[name] if i.document is Document.REPORT))
        referred = {
            one.ReferencedSOPInstanceUID
            for series in report.CurrentRequestedProcedureEvidenceSequence[
                0
            ].ReferencedSeriesSequence
            for one in series.ReferencedSOPSequence
        }
        assert referred == sent | {node.only_job().job.source_sop_instance_uid}


def test_every_document_is_a_series_of_its_own_with_a_number_of_its_own(node: Node) -> None:
    waiting = made(node)
    every = {i.sop_instance_uid: i for instances in waiting.values() for i in instances}
    files = [read(node, instance) for instance in every.values()]
    series = {ds.SeriesInstanceUID: int(ds.SeriesNumber) for ds in files}
    assert len(series) == len(set(series.values())) == 6
    assert all(instance.sop_instance_uid.startswith("2.25.") for instance in every.values())


def test_contexts_are_proposed_for_the_classes_of_documents(node: Node) -> None:
    instances = made(node)["reader"]
    proposed = {
        str(context.abstract_syntax)
        for context in proposed_contexts(instances)
        if ExplicitVRLittleEndian in (context.transfer_syntax or [])
    }
    assert proposed == {
        "1.2.840.10008.5.1.4.1.1.1.1",
        "1.2.840.10008.5.1.4.1.1.11.1",
        "1.2.840.10008.5.1.4.1.1.88.34",
        "1.2.840.10008.5.1.4.1.1.88.59",
    }


@pytest.mark.parametrize("document", list(Document))
@pytest.mark.parametrize("quotes", [True, False])
def test_a_document_that_fails_tells_nothing_of_the_patient(
    node: Node, monkeypatch: pytest.MonkeyPatch, document: Document, quotes: bool
) -> None:
    """Whether a library quotes what it cannot write, or the document comes out as another's."""
    build = BUILDERS[document]

    def wrong(account: Account) -> Dataset:
        if quotes:
            raise ValueError(f"{account.source.dataset.PatientName} cannot be written")
        made = build(account)
        made.PatientName, made.PatientID = "Zqx^Other", "ZQX"
        return made

    monkeypatch.setitem(BUILDERS, document, wrong)  # type: ignore[arg-type]
    with structlog.testing.capture_logs() as lines:
        made(node)
        while node.only_job().job.state is not JobState.QUARANTINED:
            node.clock.advance(1000)
            node.synthesize()
    job = node.ledger.job(node.only_job().job.key)
    assert job is not None
    told = f"{lines} {job.job.last_error} {job.events}".casefold()
    assert ("valueerror" if quotes else "patientname") in told
    for secret in ("test^patient", "zqx", "19500101"):
        assert secret not in told
    assert node.archive.attempts == []
