from __future__ import annotations

import pytest
from pynetdicom.status import GENERAL_STATUS, STORAGE_SERVICE_CLASS_STATUS

from dicom_node.domain.deliveries import Outcome
from dicom_node.network.statuses import STATUS_TABLE, meaning_of, outcome_of


def test_every_16_bit_status_stands_in_exactly_one_range() -> None:
    holders = [0] * 0x10000
    for entry in STATUS_TABLE:
        for status in range(entry.first, entry.last + 1):
            holders[status] += 1
    assert holders == [1] * 0x10000


def test_the_outcome_of_a_status_is_that_of_its_range() -> None:
    for entry in STATUS_TABLE:
        for status in {entry.first, (entry.first + entry.last) // 2, entry.last}:
            assert outcome_of(status) is entry.outcome


# PS3.4 Table B.2-1 and PS3.7 Annex C, as pynetdicom transcribed them.
@pytest.mark.parametrize("table", [STORAGE_SERVICE_CLASS_STATUS, GENERAL_STATUS])
def test_success_and_warnings_of_the_standard_are_stored_and_failures_are_not(
    table: dict[int, tuple[str, str]],
) -> None:
    duplicate = 0x0111
    for status, (category, _) in table.items():
        stored = category in ("Success", "Warning") or status == duplicate
        assert (outcome_of(status) is Outcome.STORED) == stored, f"{status:04X}"


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (0x0000, Outcome.STORED),
        (0xB000, Outcome.STORED),
        (0xB006, Outcome.STORED),
        (0xB007, Outcome.STORED),
        (0xA700, Outcome.RETRY),
        (0xA7FF, Outcome.RETRY),
        (0xA900, Outcome.REFUSED),
        (0xA9FF, Outcome.REFUSED),
        (0xC000, Outcome.REFUSED),
        (0xCFFF, Outcome.REFUSED),
        (0x0122, Outcome.REFUSED),
        (0x0124, Outcome.REFUSED),
        (0x0110, Outcome.RETRY),
        (0x0210, Outcome.RETRY),
        (0xFE00, Outcome.RETRY),
        (0x7777, Outcome.RETRY),
    ],
)
def test_known_statuses(status: int, outcome: Outcome) -> None:
    assert outcome_of(status) is outcome


@pytest.mark.parametrize("status", [-1, 0x10000])
def test_what_is_no_16_bit_number_is_no_status(status: int) -> None:
    with pytest.raises(ValueError, match="16 bits"):
        outcome_of(status)


def test_a_status_is_named_in_words() -> None:
    assert meaning_of(0xA700) == "0xA700 out of resources"
