"""One object that holds every view of a job: its frames, its vectors, and its validator."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from dicom_node.domain.errors import IntegrityError
from dicom_node.domain.writing import Form
from dicom_node.iod.banner import banner_rows
from dicom_node.iod.conformance import verify
from dicom_node.iod.derived import encode
from dicom_node.iod.reading import read_source
from synthesis.types import View
from tests.iod.objects import build, build_all, dciodvfy, read, real, synthesized
from tests.iod.test_validator import ALLOWED_WARNINGS, OF_THE_SOURCE

VIEWS = tuple(View(primary_deg=p, secondary_deg=s) for p, s in ((-90, 0), (-30, 10), (30, 0)))


def test_the_validator_finds_nothing_wrong(tmp_path: Path) -> None:
    for source in (
        read(),
        read_source(real("RG1_UNCI")),
        read(PhotometricInterpretation="MONOCHROME1"),
    ):
        ds, _ = build_all(source, VIEWS, nominal=True)
        lines = dciodvfy(encode(ds), tmp_path)
        assert "MultiframeGrayscaleWordSCImage" in lines
        allowed = ALLOWED_WARNINGS + OF_THE_SOURCE
        assert [
            line
            for line in lines
            if line.startswith(("Error", "Warning")) and not any(known in line for known in allowed)
        ] == []


def test_every_frame_says_what_it_is_and_they_play_as_a_turn() -> None:
    ds, provenances = build_all(read(), VIEWS)
    ds = dcmread(BytesIO(encode(ds)))
    assert (ds.NumberOfFrames, ds.InstanceNumber) == (3, 1)
    assert list(ds.FrameLabelVector) == ["RIGHT LATERAL", "RAO 30 CRAN 10", "LAO 30"]
    assert list(ds.FramePrimaryAngleVector) == [-90, -30, 30]
    assert list(ds.FrameSecondaryAngleVector) == [0, 10, 0]
    assert [int(tag) for tag in ds.FrameIncrementPointer] == [
        0x00181063,
        0x00182002,
        0x00182003,
        0x00182004,
    ]
    assert (ds.FrameTime, ds.RecommendedDisplayFrameRate) == (200, 5)
    assert ds.PreferredPlaybackSequencing == 1  # to and fro
    assert "PositionerPrimaryAngle" not in ds
    assert ds.ImageComments == "AI SYNTHETIC 3 views, RIGHT LATERAL to LAO 30"
    told = json.loads(ds[0x0099, 0x1001].value)
    assert [one["index"] for one in told] == [0, 1, 2]
    assert [one["view"]["primary_deg"] for one in told] == [-90, -30, 30]
    assert len(provenances) == 3


@pytest.mark.parametrize("photometric", ["MONOCHROME2", "MONOCHROME1"])
def test_frames_look_as_the_views_do_one_by_one(photometric: str) -> None:
    source = read(PhotometricInterpretation=photometric)
    ds, _ = build_all(source, VIEWS)
    strip = banner_rows(64, 64)
    assert ds.PhotometricInterpretation == "MONOCHROME2"
    for view, frame in zip(VIEWS, ds.pixel_array, strict=True):
        single, _ = build(source, view)
        grey = single.pixel_array.astype(int)
        if photometric == "MONOCHROME1":
            grey = 4095 - grey
        assert (frame[strip:-strip] == grey[strip:-strip]).all()

    def shown(one: Dataset) -> tuple[float, float]:
        low = one.WindowCenter - 0.5 - (one.WindowWidth - 1) / 2
        high = low + one.WindowWidth - 1
        return (
            (low, high)
            if one.PhotometricInterpretation == "MONOCHROME2"
            else (4095 - high, 4095 - low)
        )

    assert shown(ds) == pytest.approx(shown(build(source, VIEWS[0])[0]))


def test_eight_bits_become_nine_and_the_values_stay() -> None:
    pixels = np.arange(96 * 80).reshape(96, 80) % 251
    ds, _ = build_all(read(pixels, BitsAllocated=8, BitsStored=8, HighBit=7), VIEWS)
    assert (ds.BitsAllocated, ds.BitsStored, ds.HighBit) == (16, 9, 8)
    assert ds.pixel_array.max() <= 255


def test_views_of_several_shapes_are_refused() -> None:
    source = read()
    images = [synthesized(source, view) for view in VIEWS[:2]]
    images.append(synthesized(source, VIEWS[2], side=32))
    with pytest.raises(IntegrityError, match="shapes"):
        build_all(source, VIEWS, images=images)


def _cut(ds: Dataset) -> None:
    ds.NumberOfFrames = 2


def _swap(ds: Dataset) -> None:
    ds.FramePrimaryAngleVector = ds.FramePrimaryAngleVector[::-1]


def _name(ds: Dataset) -> None:
    ds.FrameLabelVector = ["PA", "AP", "PA"]


def _one_view(ds: Dataset) -> None:
    ds.PatientOrientation = ["L", "F"]


def _unmark(ds: Dataset) -> None:
    frames = ds.pixel_array.copy()
    frames[1, :20] = 0
    ds.PixelData = frames.tobytes()


def _original(ds: Dataset) -> None:
    ds.ImageType = ["ORIGINAL", "PRIMARY"]


@pytest.mark.parametrize("change", [_cut, _swap, _name, _one_view, _unmark, _original])
def test_a_falsified_object_is_caught(change: Callable[[Dataset], None]) -> None:
    source = read()
    ds, provenances = build_all(source, VIEWS)
    verify(ds, source=source, provenances=provenances, form=Form.MULTIFRAME)
    change(ds)
    with pytest.raises(IntegrityError):
        verify(ds, source=source, provenances=provenances, form=Form.MULTIFRAME)


def test_other_provenances_are_caught() -> None:
    source = read()
    ds, provenances = build_all(source, VIEWS)
    others = tuple(replace(one, seed=43) for one in provenances)
    with pytest.raises(IntegrityError, match="private block"):
        verify(ds, source=source, provenances=others, form=Form.MULTIFRAME)
