"""Images that come twice, at once, late, broken or strange: one job each, or a reason."""

from __future__ import annotations

import random
import threading
import warnings
from io import BytesIO
from typing import TYPE_CHECKING

import pytest
from pydicom import Dataset, Sequence, dcmread

from dicom_node.domain.errors import NodeError
from dicom_node.domain.images import ImageState
from dicom_node.domain.jobs import JobState
from dicom_node.ports import DecidedAs, Receipt
from tests.fakes.radiographs import radiograph, received

if TYPE_CHECKING:
    from collections.abc import Callable

    from dicom_node.ports import ReceivedObject
    from tests.services.node import Node


def at_once(count: int, work: Callable[[int], object]) -> list[object]:
    """What many threads got that began together."""
    gate, results = threading.Barrier(count), [None] * count

    def run(number: int) -> None:
        gate.wait()
        results[number] = work(number)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return list(results)


def test_one_image_sent_by_many_at_once_is_one_image_and_one_job(node: Node) -> None:
    receipts = at_once(16, lambda _: node.receiving.receive(received(1)))
    assert receipts.count(Receipt.NEW) == 1
    assert receipts.count(Receipt.DUPLICATE) == 15
    node.run_to_rest()
    assert len(node.ledger.jobs()) == 1
    assert len(node.archive.stored) == 2


def test_many_contents_under_one_uid_at_once_leave_one_that_is_believed(node: Node) -> None:
    contents = [received(1, PatientID=f"P{number}") for number in range(8)]
    receipts = at_once(8, lambda number: node.receiving.receive(contents[number]))
    assert sorted(f"{receipt}" for receipt in receipts) == ["conflict"] * 7 + ["new"]
    node.run_to_rest()
    states = [row.state for row in node.ledger.images()]
    assert states.count(ImageState.ACCEPTED) == 1
    assert states.count(ImageState.CONFLICTING) == 7
    assert len(node.ledger.jobs()) == 1
    for row in node.ledger.images():  # kept, every one of them, for a person to judge
        assert node.spool.read(row.image.digest)


def test_the_same_image_under_two_uids_makes_two_series(node: Node) -> None:
    """A copy that another system made is another object: its views refer to it."""
    for number in (1, 2):
        node.receiving.receive(received(number))
    node.run_to_rest()
    assert len(node.ledger.jobs()) == 2
    assert len(node.archive.stored) == 4


def test_an_image_that_comes_after_its_series_was_done_gets_views_of_its_own(node: Node) -> None:
    node.receiving.receive(received(1))
    node.run_to_rest()
    before = dict(node.archive.stored)
    node.clock.advance(3 * 86_400.0)
    node.receiving.receive(received(2, InstanceNumber="2"))
    node.run_to_rest()
    assert [row.job.state for row in node.ledger.jobs()] == [JobState.DONE] * 2
    assert before.items() <= node.archive.stored.items()
    assert len(node.archive.stored) == len(before) + 2


def nested_bytes(levels: int) -> bytes:
    """Items of undefined length within items, which no writer here could write (PS3.5 7.5)."""
    begin = b"\x08\x00\x40\x11SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff"
    end = b"\xfe\xff\x0d\xe0\0\0\0\0\xfe\xff\xdd\xe0\0\0\0\0"
    return begin * levels + end * levels


def test_sequences_nested_without_end_are_refused_or_put_aside_and_the_next_is_done(
    node: Node,
) -> None:
    plain = radiograph(1)
    start = plain.index(b"\x08\x00\x60\x00CS")  # before Modality, in ascending order of tags
    for levels in (50, 5000, 100_000):
        data = (
            plain[:start] + plain[start : start + 10] + nested_bytes(levels) + plain[start + 10 :]
        )
        try:
            node.receiving.receive(received(1, data=data))
        except NodeError as error:
            assert error.dimse_status == 0xC000
    node.receiving.receive(received(2))
    node.run_to_rest()
    rows = {row.image.sop_instance_uid[-1]: row for row in node.ledger.images()}
    assert rows["2"].state is ImageState.ACCEPTED
    assert all(row.state is not ImageState.WAITING for row in rows.values())


def test_a_sequence_of_ten_thousand_items_is_no_obstacle(node: Node) -> None:
    item = Dataset()
    item.ReferencedSOPClassUID = "1.2.840.10008.5.1.4.1.1.1"
    item.ReferencedSOPInstanceUID = "1.2.3"
    many = Sequence([item] * 10_000)
    node.receiving.receive(received(1, ReferencedImageSequence=many))
    node.run_to_rest()
    assert node.only_job().job.state is JobState.DONE


def test_private_attributes_of_any_size_are_kept_in_the_file_and_not_handed_on(node: Node) -> None:
    ds = dcmread(BytesIO(radiograph(1)))
    block = ds.private_block(0x0029, "SOMEBODY ELSE", create=True)
    block.add_new(0x01, "UN", b"\x01\x02\x03" * 100_000)
    block.add_new(0x02, "LO", "private words")
    item = Dataset()
    item.private_block(0x0031, "SOMEBODY ELSE", create=True).add_new(0x01, "ST", "inside")
    block.add_new(0x03, "SQ", Sequence([item]))
    buffer = BytesIO()
    ds.save_as(buffer)
    node.receiving.receive(received(1, data=buffer.getvalue()))
    node.run_to_rest()
    (row,) = node.ledger.images()
    assert node.spool.read(row.image.digest) == buffer.getvalue()
    for digest in node.spool.digests():
        if digest != row.image.digest:
            assert b"private words" not in node.spool.read(digest)
            assert b"SOMEBODY ELSE" not in node.spool.read(digest)


def mutated(data: bytes, seed: int) -> bytes:
    rng = random.Random(seed)
    mutant = bytearray(data)
    if seed % 3 == 0:
        del mutant[rng.randrange(140, len(mutant)) :]
    else:
        for _ in range(rng.randint(1, 40)):
            mutant[rng.randrange(132, len(mutant))] ^= 1 << rng.randrange(8)
    return bytes(mutant)


def offered(node: Node, item: ReceivedObject) -> int:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            node.receiving.receive(item)
        except NodeError as error:
            assert error.dimse_status in (0xC000, 0x0122)
            return 0
    return 1


@pytest.mark.parametrize("start", [0, 100, 200])
def test_truncated_and_flipped_datasets_end_somewhere_and_hold_nothing_up(
    node: Node, start: int
) -> None:
    plain = radiograph(1)
    taken = sum(
        offered(node, received(1, data=mutated(plain, seed))) for seed in range(start, start + 100)
    )
    node.receiving.receive(received(2))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        node.run_to_rest()
        for _ in range(4):  # whatever is tried again is tried to its end
            node.clock.advance(1000.0)
            node.run_to_rest()
    rows = node.ledger.images()
    assert 0 < len(rows) <= taken + 1
    assert {row.state for row in rows} <= {
        ImageState.ACCEPTED,
        ImageState.IGNORED,
        ImageState.QUARANTINED,
        ImageState.CONFLICTING,
    }
    assert {row.job.state for row in node.ledger.jobs()} <= {JobState.DONE, JobState.QUARANTINED}
    (sound,) = [row for row in rows if row.image.sop_instance_uid.endswith(".2")]
    assert sound.decision is not None
    assert sound.decision.decided_as is DecidedAs.ACCEPT
