"""The contract of a ledger: versions of the configuration, and which one decided."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from dicom_node.ports import Chosen, DecidedAs, Deed, Kind, NewVersion
from tests.fakes import rows

if TYPE_CHECKING:
    from dicom_node.ports import NodeLedger


def version(text: str) -> NewVersion:
    return NewVersion(digest=rows.digest(text), text=text, author="kim", comment="why not")


def test_a_version_comes_back_as_it_was_written_and_knows_the_one_before(
    ledger: NodeLedger,
) -> None:
    text = "node: {}  # Müller's\r\n\n"
    first = ledger.record_version(version("a: 1"), 10.0)
    second = ledger.record_version(version(text), 20.0)
    assert (first.parent, second.parent, second.at) == (None, first.number, 20.0)
    assert ledger.versions() == (second, first)
    assert ledger.versions(limit=1)[0].version.text == text
    assert ledger.version(first.number) == first
    assert ledger.version(first.number + 99) is None


def test_the_same_text_is_written_down_once_in_a_row_and_again_after_another(
    ledger: NodeLedger,
) -> None:
    first = ledger.record_version(version("a: 1"), 10.0)
    again = ledger.record_version(replace(version("a: 1"), author="somebody else"), 20.0)
    assert again == first
    ledger.record_version(version("a: 2"), 30.0)
    back = ledger.record_version(version("a: 1"), 40.0)
    assert back.number != first.number
    assert len(ledger.versions()) == 3


def test_a_decision_knows_its_version_until_the_image_is_planned_anew(ledger: NodeLedger) -> None:
    number = ledger.record_version(version("a: 1"), 10.0).number
    ledger.record_image(rows.image(1), 10.0)
    (row,) = ledger.unplanned(1)
    decision = replace(rows.decision(DecidedAs.QUARANTINE), version=number)
    ledger.record_decision(row.id, decision, [], 20.0)
    (decided,) = ledger.images()
    assert decided.decision is not None
    assert decided.decision.version == number
    ledger.settle(Kind.IMAGES, Deed.RELEASE, Chosen(), 30.0)
    assert ledger.unplanned(1)[0].decision is None
