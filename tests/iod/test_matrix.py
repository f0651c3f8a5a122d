"""Views in the pixels of their source: same places, same lengths, no grey level of its own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dicom_node.domain.errors import IntegrityError
from dicom_node.domain.writing import Form, Matrix
from dicom_node.iod import derived
from dicom_node.iod.conformance import verify
from dicom_node.iod.derived import encode
from dicom_node.iod.matrix import Frame, matched
from synthesis.types import IntensityScale, Radiograph, View
from tests.iod.objects import (
    AT,
    IDENTITY,
    INSTANCE_UID,
    ONE_VIEW,
    dciodvfy,
    provenance_of,
    read,
)

VIEW = View(primary_deg=30)


def ramp(side: int, pitch: float) -> Radiograph:
    """Each pixel's value is its distance in mm to the right of the middle."""
    across = (np.arange(side) + 0.5 - side / 2) * pitch
    return Radiograph(
        pixels=np.tile(across, (side, 1)).astype(np.float32),
        spacing_mm=(pitch, pitch),
        view=VIEW,
        intensity=IntensityScale(low=0.0, high=1.0),
    )


@pytest.mark.parametrize("pitch", [0.5, 1.0, 4.0])
def test_every_pixel_is_as_far_from_the_middle_as_it_was(pitch: float) -> None:
    # The field is 200 mm wide and lies off the middle of the matrix.
    count = round(200 / pitch)
    edge = round(8 / pitch)
    frame = Frame(
        rows=count + edge, columns=count + 3 * edge, top=edge, left=edge, height=count, width=count
    )
    image = matched(ramp(100, 2.0), frame, (pitch, pitch))
    assert image.pixels.shape == (frame.rows, frame.columns)
    assert image.spacing_mm == (pitch, pitch)
    mm = (np.arange(count) + 0.5 - count / 2) * pitch
    inner = slice(max(1, round(4 / pitch)), -max(1, round(4 / pitch)))
    row = image.pixels[edge + count // 2, edge : edge + count]
    assert np.abs(row - mm)[inner].max() < 0.05 * pitch + 0.01
    # Beyond the view lies its darkest value, air.
    assert (image.pixels[:edge] == image.pixels.min()).all()
    assert (image.pixels[:, edge + count :] == image.pixels.min()).all()


def test_no_grey_level_arises_that_was_not_there() -> None:
    image = ramp(64, 1.0)
    steps = replace(image, pixels=(image.pixels > 0).astype(np.float32) * 100 + 7)
    frame = Frame(rows=320, columns=320, top=0, left=0, height=320, width=320)
    fine = matched(steps, frame, (0.2, 0.2)).pixels
    assert (fine.min(), fine.max()) == (7.0, 107.0)
    # Nothing is finer than it was: the edge is spread over a pixel of the model at least.
    between = ((fine[160] > 8) & (fine[160] < 106)).sum()
    assert between >= 4


def test_a_field_is_found_again_in_the_hung_matrix() -> None:
    pixels = np.full((120, 100), 0)
    y, x = np.mgrid[0:80, 0:60]
    pixels[10:90, 30:90] = 1000 + 20 * x + 10 * y
    source = read(pixels, PixelPaddingValue=0)
    frame = source.frame
    assert (frame.rows, frame.columns) == (120, 100)
    assert (frame.top, frame.left) == (10, 30)
    assert (frame.height, frame.width) == source.radiograph.pixels.shape == (80, 60)
    turned = read(pixels[:, ::-1], PixelPaddingValue=0, PatientOrientation=["R", "F"])
    assert turned.frame == frame
    lying = read(pixels.T, PixelPaddingValue=0, PatientOrientation=["F", "L"])
    assert lying.frame == frame


@pytest.mark.parametrize("form", ONE_VIEW)
def test_a_matched_view_says_so_and_is_held_to_it(form: Form, tmp_path: Path) -> None:
    source = read()
    image = matched(ramp(64, 0.3), source.frame, source.radiograph.spacing_mm)
    provenance = replace(provenance_of(source, VIEW), matrix=Matrix.MATCH_SOURCE)
    ds = derived.build(
        source,
        image,
        form=form,
        banner=False,
        provenance=provenance,
        series=IDENTITY,
        sop_instance_uid=INSTANCE_UID,
        synthesized_at=AT,
    )
    assert (ds.Rows, ds.Columns) == (96, 80)
    keyword = "ImagerPixelSpacing" if form is Form.DX else "PixelSpacing"
    at_detector = 1.0 if form is Form.DX else VIEW.magnification
    assert [float(value) * at_detector for value in ds[keyword].value] == pytest.approx([0.2, 0.2])
    assert "this adds no detail" in ds.DerivationDescription
    verify(ds, source=source, provenances=(provenance,), form=form)
    assert not [each for each in dciodvfy(encode(ds), tmp_path) if each.startswith("Error")]
    ds[keyword].value = ["0.3", "0.3"]
    with pytest.raises(IntegrityError, match="spacing is not that of the source"):
        verify(ds, source=source, provenances=(provenance,), form=form)
