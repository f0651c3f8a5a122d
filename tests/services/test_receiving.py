"""Receiving: nothing is answered before it is safe."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from dicom_node.domain.errors import CapacityError, InputError
from dicom_node.ports import Receipt
from tests.fakes.power import CutAt, PowerCut
from tests.fakes.radiographs import CR, radiograph, received
from tests.fakes.spool import MemorySpool

if TYPE_CHECKING:
    from tests.services.node import Node


def test_a_new_image_is_filed_recorded_and_planning_is_woken(node: Node) -> None:
    assert node.receiving.receive(received(1)) is Receipt.NEW
    (row,) = node.ledger.unplanned(10)
    assert node.spool.read(row.image.digest) == radiograph(1)
    assert row.image.sop_class_uid == CR
    assert row.image.sop_instance_uid == received(1).sop_instance_uid
    assert row.image.study_instance_uid == "1.2.826.0.1.3680043.8.498.1000"
    assert row.image.calling_ae_title == "MODALITY"
    assert row.image.size_bytes == len(radiograph(1))
    assert row.received_at == node.clock()
    assert node.woken == ["planning"]


def test_the_file_is_safe_before_the_row_and_the_row_before_the_answer(node: Node) -> None:
    steps: list[str] = []
    put, record = node.spool.put, node.ledger.record_image

    class Spool:
        def put(self, data: bytes) -> object:
            result = put(data)
            steps.append("file")
            return result

    class Ledger:
        def record_image(self, *args: object) -> object:
            result = record(*args)  # type: ignore[arg-type]
            steps.append("row")
            return result

    receiving = replace(
        node.receiving,
        spool=Spool(),  # type: ignore[arg-type]
        ledger=Ledger(),  # type: ignore[arg-type]
        wake=lambda: steps.append("wake"),
    )
    receiving.receive(received(1))
    assert steps == ["file", "row", "wake"]


def test_the_same_image_again_is_a_duplicate_and_wakes_nobody(node: Node) -> None:
    node.receiving.receive(received(1))
    assert node.receiving.receive(received(1)) is Receipt.DUPLICATE
    assert len(node.ledger.images()) == 1
    assert node.woken == ["planning"]


def test_other_content_under_a_known_uid_is_kept_beside_the_first(node: Node) -> None:
    node.receiving.receive(received(1))
    other = received(1, BodyPartExamined="THORAX")
    assert node.receiving.receive(other) is Receipt.CONFLICT
    newest, first = node.ledger.images()
    assert node.spool.read(newest.image.digest) == other.data
    assert node.spool.read(first.image.digest) == radiograph(1)
    assert newest.decision is not None
    assert node.woken == ["planning"]
    node.run_to_rest()
    assert len(node.ledger.jobs()) == 1


@pytest.mark.parametrize("data", [b"", b"garbage", b"\0" * 500, b"\0" * 128 + b"DICM"])
def test_what_is_not_dicom_is_refused_and_leaves_nothing(node: Node, data: bytes) -> None:
    with pytest.raises(InputError):
        node.receiving.receive(received(1, data))
    assert list(node.spool.digests()) == []
    assert node.ledger.images() == ()
    assert node.woken == []


def test_another_object_than_the_request_names_is_refused(node: Node) -> None:
    with pytest.raises(InputError, match="SOPInstanceUID"):
        node.receiving.receive(received(2, radiograph(1)))
    wrong_class = replace(received(1), sop_class_uid="1.2.840.10008.5.1.4.1.1.7")
    with pytest.raises(InputError, match="SOPClassUID"):
        node.receiving.receive(wrong_class)
    assert list(node.spool.digests()) == []


@pytest.mark.parametrize("keyword", ["SOPInstanceUID", "SOPClassUID"])
def test_an_object_without_its_own_identity_is_refused(node: Node, keyword: str) -> None:
    with pytest.raises(InputError):
        node.receiving.receive(received(1, **{keyword: None}))
    assert node.ledger.images() == ()


def test_a_refusal_quotes_nothing_of_the_patient(node: Node) -> None:
    with pytest.raises(InputError) as refused:
        node.receiving.receive(received(2, radiograph(1)))
    for secret in ("Test", "P1", "1.2.826"):
        assert secret not in str(refused.value)


def test_a_full_spool_refuses_and_records_nothing(node: Node) -> None:
    node.spool = MemorySpool(capacity_bytes=10)
    with pytest.raises(CapacityError):
        node.receiving.receive(received(1))
    assert node.ledger.images() == ()


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize(("port", "method"), [("spool", "put"), ("ledger", "record_image")])
def test_a_sender_that_got_no_answer_sends_again_and_one_job_comes_of_it(
    node: Node, port: str, method: str, after: bool
) -> None:
    cut = CutAt(getattr(node, port), method, after=after)
    with pytest.raises(PowerCut):
        replace(node.receiving, **{port: cut}).receive(received(1))  # type: ignore[arg-type]
    restarted = node.restarted()
    restarted.receiving.receive(received(1))
    restarted.run_to_rest()
    assert len(restarted.ledger.images()) == 1
    assert len(restarted.archive.stored) == 2
