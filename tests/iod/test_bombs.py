"""Files that want to become large are refused before they do."""

from __future__ import annotations

import json
import re
import struct
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from pydicom.encaps import encapsulate, get_frame
from pydicom.uid import JPEG2000Lossless, JPEGLSLossless, RLELossless

from dicom_node.domain.errors import ImageError
from dicom_node.iod.elements import texts
from dicom_node.iod.reading import read_header, read_source
from tests.iod.bombs import AT_RECEIPT, BOMBS, MAIN, MIB, values_without_end
from tests.iod.objects import chest, file_of, radiograph

if TYPE_CHECKING:
    pass

LEFT_BYTES = 256 * MIB
"""Memory that is left to the reader, on top of what it had before; each bomb wants more."""


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[str, str, int]]:
    """By bomb: what became of it, why, and how much memory that took."""
    folder = tmp_path_factory.mktemp("bombs")
    paths = [folder / f"{name}.dcm" for name in BOMBS]
    for path, (made, _) in zip(paths, BOMBS.values(), strict=True):
        path.write_bytes(made())
        assert path.stat().st_size < 24 * MIB
    done = subprocess.run(
        [sys.executable, "-c", MAIN, str(LEFT_BYTES), *map(str, paths)],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return {name: tuple(found) for name, found in json.loads(done.stdout).items()}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_with_its_reason_before_it_takes_memory(
    told: dict[str, tuple[str, str, int]], name: str
) -> None:
    became, reason, grown_bytes = told[name]
    assert re.search(BOMBS[name][1], reason), (became, reason)
    assert became == ("refused" if name in AT_RECEIPT else "quarantined")
    assert grown_bytes < 128 * MIB


def test_a_value_that_is_longer_than_any_text_counts_as_absent() -> None:
    header = read_header(values_without_end())
    assert header.get("BodyPartExamined") == ()
    assert header.first("Modality") == "CR"


def test_a_text_too_long_for_an_image_is_not_copied_into_every_view() -> None:
    ds = radiograph()
    ds.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2"
    data = file_of(ds)
    name = struct.pack("<HHI", 0x0010, 0x0010, len(b"Geheim^Patientin"))
    at = data.index(name)
    long = struct.pack("<HHI", 0x0010, 0x0010, 1 << 20) + b"x" * (1 << 20)
    source = read_source(data[:at] + long + data[at + len(name) + 16 :])
    assert texts(source.dataset, "PatientName") == ()
    from synthesis.types import View
    from tests.iod.objects import build

    with pytest.raises(ImageError, match=r"\(0010,0010\) has 1048576 bytes"):
        build(source, View(primary_deg=30.0))


@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless, JPEG2000Lossless])
def test_a_frame_cut_anywhere_is_an_image_error_and_nothing_is_made_up(syntax: str) -> None:
    ds = radiograph(chest())
    ds.compress(syntax, generate_instance_uid=False)
    frame = get_frame(ds.PixelData, 0, number_of_frames=1)
    for length in (*range(2, 120, 2), len(frame) // 2, len(frame) - 4):
        ds.PixelData = encapsulate([frame[:length]])
        with pytest.raises(ImageError):
            read_source(file_of(ds))


def test_a_frame_within_boxes_is_read_like_one_without() -> None:
    ds = radiograph(chest())
    ds.compress(JPEG2000Lossless, generate_instance_uid=False)
    frame = get_frame(ds.PixelData, 0, number_of_frames=1)
    boxes = (
        struct.pack(">I4sI", 12, b"jP  ", 0x0D0A870A)
        + struct.pack(">I4s4sI4s", 20, b"ftyp", b"jp2 ", 0, b"jp2 ")
        + struct.pack(">I4sI4sIIHBBBB", 45, b"jp2h", 22, b"ihdr", 96, 80, 1, 11, 7, 0, 0)
        + struct.pack(">I4sBBBI", 15, b"colr", 1, 0, 0, 17)
    )
    for size in (96, 65_000):
        data = bytearray(frame)
        data[8:16] = struct.pack(">II", 80, size)
        ds.PixelData = encapsulate([boxes + struct.pack(">I4s", 0, b"jp2c") + bytes(data)])
        if size == 96:
            assert read_source(file_of(ds)).radiograph.pixels.shape == (96, 80)
        else:
            with pytest.raises(ImageError, match="65000 x 80"):
                read_source(file_of(ds))
