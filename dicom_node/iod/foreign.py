"""What the DICOM library and its decoders raise on broken bytes."""

from __future__ import annotations

import struct
import zlib
from typing import Final

from pydicom.errors import BytesLengthException, InvalidDicomError

__all__ = ["FOREIGN_ERRORS"]

FOREIGN_ERRORS: Final = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    MemoryError,
    NotImplementedError,
    OSError,
    EOFError,
    RecursionError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
    BytesLengthException,
    InvalidDicomError,
)
"""What pydicom and its decoders raise on broken bytes; none of their texts may be repeated."""
