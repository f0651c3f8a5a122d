"""Pixel Data: every syntax gives the same picture, and what is no radiograph is refused."""

from __future__ import annotations

import subprocess
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread
from pydicom.encaps import encapsulate
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLSLossless,
    RLELossless,
)

from dicom_node.domain.errors import ImageError
from dicom_node.iod.reading import read_source
from tests.iod.objects import chest, file_of, radiograph, read, real

STORED = chest()


@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless, JPEG2000Lossless])
@pytest.mark.parametrize("bits", [8, 12, 16])
def test_lossless_syntaxes_decode_to_the_values_that_were_encoded(syntax: str, bits: int) -> None:
    values = STORED >> 4 if bits == 8 else STORED << (bits - 12)
    allocated = 8 if bits == 8 else 16
    ds = radiograph(values, BitsAllocated=allocated, BitsStored=bits, HighBit=bits - 1)
    ds.compress(syntax, generate_instance_uid=False)
    source = read_source(file_of(ds))
    np.testing.assert_array_equal(source.radiograph.pixels, values)
    assert not source.lossy.happened


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian])
def test_uncompressed_syntaxes_decode_alike(syntax: str) -> None:
    ds = radiograph(STORED)
    ds.file_meta.TransferSyntaxUID = syntax
    np.testing.assert_array_equal(read_source(file_of(ds)).radiograph.pixels, STORED)


def test_big_endian_decodes_alike() -> None:
    ds = radiograph(STORED)
    ds.PixelData = STORED.astype(">u2").tobytes()
    ds.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
    np.testing.assert_array_equal(read_source(file_of(ds)).radiograph.pixels, STORED)


def test_baseline_jpeg_decodes_to_what_pillow_sees_and_is_lossy() -> None:
    small = (STORED >> 4).astype(np.uint8)
    buffer = BytesIO()
    Image.fromarray(small).save(buffer, "JPEG", quality=90)
    ds = radiograph(STORED >> 4, BitsAllocated=8, BitsStored=8, HighBit=7)
    ds.PixelData = encapsulate([buffer.getvalue()])
    ds["PixelData"].VR = "OB"
    ds.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    source = read_source(file_of(ds))
    seen = np.asarray(Image.open(BytesIO(buffer.getvalue()))).astype(int)
    assert np.abs(source.radiograph.pixels - seen).max() <= 2
    assert source.lossy.happened
    assert source.lossy.methods == ("ISO_10918_1",)
    assert source.lossy.ratios[0] == pytest.approx(96 * 80 / len(buffer.getvalue()), rel=0.05)


@pytest.mark.peer
def test_lossless_jpeg_of_another_toolkit_decodes_to_the_values_that_were_encoded(
    tmp_path: Path,
) -> None:
    (tmp_path / "plain.dcm").write_bytes(file_of(radiograph(STORED)))
    for option in ("--encode-lossless-sv1", "--encode-lossless"):
        subprocess.run(
            ["dcmcjpeg", option, tmp_path / "plain.dcm", tmp_path / "jpeg.dcm"], check=True
        )
        source = read_source((tmp_path / "jpeg.dcm").read_bytes())
        np.testing.assert_array_equal(source.radiograph.pixels, STORED)


def test_the_real_radiograph_is_the_same_in_its_lossless_syntaxes() -> None:
    plain, packed = read_source(real("RG1_UNCR")), read_source(real("RG1_J2KR"))
    np.testing.assert_array_equal(plain.radiograph.pixels, packed.radiograph.pixels)
    assert plain.radiograph.intensity == packed.radiograph.intensity
    assert not packed.lossy.happened


def test_the_real_radiograph_re_encoded_is_still_the_same() -> None:
    plain = read_source(real("RG1_UNCR")).radiograph
    for syntax in (RLELossless, JPEGLSLossless):
        ds = dcmread(BytesIO(real("RG1_UNCR")))
        ds.compress(syntax, generate_instance_uid=False)
        packed = read_source(file_of(ds)).radiograph
        np.testing.assert_array_equal(plain.pixels, packed.pixels)


def test_the_spine_of_the_real_radiograph_is_denser_than_its_lungs_and_air() -> None:
    # Places read off the displayed film by eye, as shares of height and width.
    pixels = read_source(real("RG1_UNCR")).radiograph.pixels
    height, width = pixels.shape

    def mean(row: float, column: float) -> float:
        y, x = int(row * height), int(column * width)
        return float(pixels[y - 20 : y + 20, x - 20 : x + 20].mean())

    spine, lung, air = mean(0.6, 0.48), mean(0.25, 0.32), mean(0.06, 0.02)
    assert spine > lung > air


def test_the_lossy_real_radiograph_stays_lossy_after_decompression() -> None:
    for name in ("RG1_J2KI", "RG1_UNCI"):
        history = read_source(real(name)).lossy
        assert history.happened
        assert history.ratios == (10.0,)
        assert history.methods in ((), ("ISO_15444_1",))


def test_a_lossy_syntax_counts_although_the_flag_is_missing() -> None:
    ds = radiograph(STORED)
    ds.compress(JPEG2000Lossless, generate_instance_uid=False)
    ds.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.4.91"
    assert read_source(file_of(ds)).lossy.methods == ("ISO_15444_1",)
    ds.LossyImageCompression = "00"
    assert not read_source(file_of(ds)).lossy.happened


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB"}, "MONOCHROME"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "MONOCHROME"),
        ({"NumberOfFrames": "2"}, "frames"),
        ({"Rows": 8, "Columns": 8}, "at least 64"),
        ({"Rows": 60000, "Columns": 60000}, "more than"),
        ({"Rows": None}, "not an image"),
        ({"BitsStored": 1, "HighBit": 0}, "bits"),
        ({"BitsStored": None}, "bits"),
        ({"Rows": 200}, "cannot be decoded"),
    ],
)
def test_what_is_no_single_grey_image_is_refused(
    attributes: dict[str, object], message: str
) -> None:
    with pytest.raises(ImageError, match=message):
        read(STORED, **attributes)


def test_an_object_without_pixels_is_refused() -> None:
    ds = radiograph(STORED)
    del ds.PixelData
    with pytest.raises(ImageError, match="no Pixel Data"):
        read_source(file_of(ds))


def test_broken_compressed_pixels_are_an_image_error() -> None:
    for syntax in (RLELossless, JPEGLSLossless, JPEG2000Lossless):
        ds = radiograph(STORED)
        ds.compress(syntax, generate_instance_uid=False)
        data = ds.PixelData
        ds.PixelData = encapsulate([data[40:140]])
        with pytest.raises(ImageError, match="the encoded image"):
            read_source(file_of(ds))
