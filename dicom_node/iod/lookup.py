"""Look-up tables of the modality and VOI transforms (PS3.3 C.11.1.1, C.11.2.1.1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dicom_node.domain.errors import ImageError
from dicom_node.iod.elements import numbers, value_bytes

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from pydicom.dataset import Dataset

__all__ = ["Table", "read_table"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Table:
    """A look-up table.

    Attributes:
        first: The input value that the first entry is for.
        entries: float64, shape (n,).
        bits: Of an entry.
    """

    first: int
    entries: NDArray[np.float64]
    bits: int

    def apply(self, values: NDArray[np.generic]) -> NDArray[np.float64]:
        """Every value by its entry; those before the first and after the last by these two."""
        index = np.clip(values.astype(np.int64) - self.first, 0, len(self.entries) - 1)
        return self.entries[index]


def read_table(item: Dataset, *, signed: bool) -> Table:
    """The table of a Modality LUT or VOI LUT Sequence item.

    Args:
        item: The sequence item.
        signed: Whether the table's input may be negative (LUT Descriptor is SS then).

    Raises:
        ImageError: Descriptor and data do not fit each other.
    """
    descriptor = numbers(item, "LUTDescriptor")
    if len(descriptor) != 3:
        raise ImageError("LUT Descriptor does not have three values")
    # 0 stands for 65536; a count read as SS may come out negative.
    count = int(descriptor[0]) % (1 << 16) or 1 << 16
    first, bits = int(descriptor[1]), int(descriptor[2])
    if signed and first >= 1 << 15:
        first -= 1 << 16
    entries = _entries(item, count, bits)
    if not 2 <= bits <= 16 or len(entries) != count:
        raise ImageError(f"LUT Data has {len(entries)} entries of {bits} bits, not {count}")
    return Table(first=first, entries=entries, bits=bits)


def _entries(item: Dataset, count: int, bits: int) -> NDArray[np.float64]:
    data = value_bytes(item, "LUTData")
    if data is None:
        return np.asarray(numbers(item, "LUTData"), np.float64)
    if bits <= 8 and len(data) in (count, count + 1):  # one byte each, as LUTs of 8 bits may be
        return np.frombuffer(data[:count], np.uint8).astype(np.float64)
    element = item.get_item("LUTData")
    big = not getattr(element, "is_little_endian", True)
    words = np.frombuffer(data[: len(data) // 2 * 2], ">u2" if big else "<u2")
    return words[:count].astype(np.float64)
