"""Conversations and data sets made wrong as a draw says: the same draw, the same bytes."""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING

from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from tests.iod.objects import file_of
from tests.network.objects import data_set_bytes

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from pydicom import Dataset

SYNTAXES = (
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    DeflatedExplicitVRLittleEndian,
    RLELossless,
    JPEG2000Lossless,
    JPEGLSLossless,
)
LONG = frozenset((b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"UC", b"UN", b"UR", b"UT"))
"""VRs with a length of four bytes (PS3.5 7.1.2)."""

UNDEFINED = b"\xff\xff\xff\xff"
UID = "2.25.1000000000"
"""SOP Instance UID of all objects before they are numbered."""

ODD_VALUES = (
    b"",
    b"\\" * 400,
    b"nan",
    b"1e999",
    b"-1",
    b"0\\0",
    b"65535",
    b"\0\0",
    b"\xff\xff",
    b"\x1b$B" * 20,
    b"ISO 2022 IR 87\\ISO 2022 IR 58",
    b"\xed\xa0\x80\n\x1b[2J",
    b"X" * 70_000,
)
ENCODED = b"\xe0\x7f\x10\x00"
"""Tag of Pixel Data."""


def pdus(stream: bytes) -> list[bytes]:
    found = []
    while len(stream) >= 6:
        (length,) = struct.unpack(">I", stream[2:6])
        found.append(stream[: 6 + length])
        stream = stream[6 + length :]
    return found


def mutated_stream(stream: bytes, choice: random.Random) -> bytes:
    """A whole conversation with something wrong about its bytes or PDUs."""
    parts = pdus(stream)
    kind = choice.randrange(8)
    if kind == 0:  # some bytes anywhere
        return _scratched(stream, choice)
    if kind == 1:  # the request for an association
        data = bytearray(parts[0])
        for _ in range(choice.randint(1, 4)):
            data[choice.randrange(6, len(data))] = choice.choice((0, 1, 0x7F, 0x80, 0xFF))
        return bytes(data) + b"".join(parts[1:])
    if kind == 2:  # a length
        at = choice.randrange(len(parts))
        data = bytearray(parts[at])
        data[2:6] = struct.pack(">I", choice.choice((0, 1, 5, 0x7FFFFFFF, 0xFFFFFFFF)))
        parts[at] = bytes(data)
        return b"".join(parts)
    if kind == 3:
        return _cut(stream, choice)
    if kind == 4:  # PDUs out of order, twice, or not at all
        some = choice.choices(parts, k=choice.randint(1, len(parts) + 2))
        return parts[0] + b"".join(some)
    if kind == 5:
        return _interrupted(stream, choice)
    if kind == 6:  # the command or the data set, in whole PDUs
        at = choice.randrange(1, len(parts))
        data = bytearray(parts[at])
        for _ in range(choice.randint(1, 6)):
            if len(data) > 13:
                data[choice.randrange(12, len(data))] = choice.randrange(256)
        parts[at] = bytes(data)
        return b"".join(parts)
    return bytes((choice.randrange(256),)) + choice.randbytes(choice.randint(1, 400))


def sound_files(make: Callable[[], Dataset]) -> dict[str, bytes]:
    """An object in each of `SYNTAXES`, to be mutated; all under `UID`."""
    files = {}
    for syntax in SYNTAXES:
        ds = make()
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = UID
        if syntax.is_encapsulated:
            ds.compress(syntax, generate_instance_uid=False)
        ds.file_meta.TransferSyntaxUID = syntax
        files[syntax] = file_of(ds)
    return files


def mutated_file(files: dict[str, bytes], number: int, choice: random.Random) -> bytes:
    """One of the objects under a UID of its own, with something wrong about its data set."""
    syntax = choice.choice(SYNTAXES)
    file = files[syntax]
    body = data_set_bytes(file)
    head = file[: len(file) - len(body)]
    old, new = UID.encode(), f"2.25.{1_000_000_000 + number}".encode()
    deflated = syntax == DeflatedExplicitVRLittleEndian
    if deflated:
        body = zlib.decompress(body, -zlib.MAX_WBITS)
    body = _mutated_body(body.replace(old, new), syntax != ImplicitVRLittleEndian, choice)
    if deflated:
        deflating = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS)
        body = deflating.compress(body) + deflating.flush()
        if choice.random() < 0.3:
            body = _scratched(body, choice)
    return head.replace(old, new) + body


def _mutated_body(body: bytes, explicit: bool, choice: random.Random) -> bytes:
    kind = choice.randrange(9 if explicit else 4)
    if kind == 0:
        return _scratched(body, choice)
    if kind == 1:  # what comes before the pixels
        at = body.index(ENCODED)
        return _scratched(body[:at], choice) + body[at:]
    if kind == 2:
        return _cut(body, choice)
    if kind == 3:
        return _interrupted(body, choice)
    parts = elements(body)
    at = choice.randrange(len(parts))
    head, value = parts[at]
    if kind == 4:  # another VR
        vr = choice.choice((b"SQ", b"UN", b"OW", b"AT", b"FD", b"US", b"DS", b"PN", b"XX", b"\0\0"))
        parts[at] = (head[:4] + vr + head[6:], value)
    elif kind == 5:  # another length
        form = "<I" if len(head) == 12 else "<H"
        length = choice.choice((0, 1, 7, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF))
        if len(head) == 8:
            length &= 0xFFFF
        parts[at] = (head[: -struct.calcsize(form)] + struct.pack(form, length), value)
    elif kind == 6:  # other values
        for _ in range(choice.randint(1, 4)):
            at = choice.randrange(len(parts) - 1)
            parts[at] = _with_value(parts[at][0], choice.choice(ODD_VALUES))
    elif kind == 7:  # elements out of order, twice, or not at all
        parts = choice.choices(parts, k=len(parts)) if choice.random() < 0.3 else parts
        first, second = choice.randrange(len(parts)), choice.randrange(len(parts))
        parts[first], parts[second] = parts[second], parts[first]
        parts[choice.randrange(len(parts)) : 0] = [parts[choice.randrange(len(parts))]]
    else:  # a sequence that is nested, and perhaps has no end
        depth = choice.choice((1, 3, 50, 400, 2_000))
        item = b"\xfe\xff\x00\xe0" + UNDEFINED
        nested = (head[:4] + b"SQ\0\0" + UNDEFINED + item) * depth
        if choice.random() < 0.5:
            nested += (b"\xfe\xff\x0d\xe0\0\0\0\0" + b"\xfe\xff\xdd\xe0\0\0\0\0") * depth
        parts.insert(at, (nested, b""))
    return b"".join(head + value for head, value in parts)


def elements(body: bytes) -> list[tuple[bytes, bytes]]:
    """Tag, VR and length, and the value, of each element (explicit VR little endian)."""
    found = []
    while body:
        size = 12 if body[4:6] in LONG else 8
        (length,) = struct.unpack("<I" if size == 12 else "<H", body[6 + (size == 12) * 2 : size])
        end = len(body) if body[8:12] == UNDEFINED and size == 12 else size + length
        found.append((body[:size], body[size:end]))
        body = body[end:]
    return found


def _with_value(head: bytes, value: bytes) -> tuple[bytes, bytes]:
    if len(head) == 8:
        value = value[:0xFFFE]
        return head[:6] + struct.pack("<H", len(value)), value
    return head[:8] + struct.pack("<I", len(value)), value


def _scratched(data: bytes, choice: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(choice.randint(1, 8)):
        changed[choice.randrange(len(changed))] = choice.randrange(256)
    return bytes(changed)


def _cut(data: bytes, choice: random.Random) -> bytes:
    return data[: choice.randrange(1, len(data))]


def _interrupted(data: bytes, choice: random.Random) -> bytes:
    at = choice.randrange(len(data))
    return data[:at] + choice.randbytes(choice.randint(1, 300)) + data[at:]
