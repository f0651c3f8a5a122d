"""What a model sees of a radiograph: shutters, collimators, marks and pixels that are not square.

Every image is a chest whose clean form is known; what was put on it must be gone after reading.
"""

from __future__ import annotations

import numpy as np
import pytest

from dicom_node.iod.shutter import stated_field
from dicom_node.iod.spacing import pixel_aspect, squared
from synthesis.types import Radiograph
from tests.iod.objects import DX_PRESENTATION, DX_PROCESSING, radiograph, read
from tests.synthesis.test_exposure import COLUMNS, ROWS, chest, outside
from tests.synthesis.test_marks import written

CHEST = np.rint(chest()).astype(np.int64)

RECTANGLE = {"LeftVerticalEdge": 31, "RightVerticalEdge": 230}
RECTANGLE |= {"UpperHorizontalEdge": 21, "LowerHorizontalEdge": 280}


def stated(kind: str, **values: object) -> dict[str, object]:
    return {f"{kind}Shape": "RECTANGULAR", **{f"{kind}{k}": v for k, v in values.items()}}


def on_model_scale(source: Radiograph) -> np.ndarray:
    return source.intensity.to_model(source.pixels)


def test_an_image_without_any_is_the_whole_image() -> None:
    np.testing.assert_array_equal(read(CHEST).radiograph.pixels, CHEST)


@pytest.mark.parametrize("kind", ["Shutter", "Collimator"])
def test_a_stated_rectangle_is_cut_out_edges_included(kind: str) -> None:
    source = read(CHEST, **stated(kind, **RECTANGLE))
    np.testing.assert_array_equal(source.radiograph.pixels, CHEST[20:280, 30:230])
    low, high = np.percentile(CHEST[20:280, 30:230], (0.5, 99.5))
    assert source.radiograph.intensity.low == pytest.approx(low)
    assert source.radiograph.intensity.high == pytest.approx(low + 2 * (high - low))
    assert source.radiograph.spacing_mm == (0.2, 0.2)


@pytest.mark.parametrize(
    "edges",
    [
        {"LeftVerticalEdge": -184, "RightVerticalEdge": 184} | {
            "UpperHorizontalEdge": 907, "LowerHorizontalEdge": 1299
        },  # as the real radiograph of the tests has it
        {**RECTANGLE, "RightVerticalEdge": 60},
        {k: v for k, v in RECTANGLE.items() if k != "LowerHorizontalEdge"},
    ],
)  # fmt: skip
def test_a_statement_that_cannot_be_is_passed_over(edges: dict[str, object]) -> None:
    np.testing.assert_array_equal(
        read(CHEST, **stated("Collimator", **edges)).radiograph.pixels, CHEST
    )


def test_a_circle_and_a_polygon_hold_together_with_a_rectangle() -> None:
    ds = radiograph(
        CHEST,
        ShutterShape=["CIRCULAR", "POLYGONAL", "RECTANGULAR"],
        CenterOfCircularShutter=[151, 131],
        RadiusOfCircularShutter=120,
        VerticesOfThePolygonalShutter=[1, 1, 1, 260, 300, 260, 200, 131, 300, 1],
        **{f"Shutter{k}": v for k, v in RECTANGLE.items()},
    )
    field = stated_field(ds, CHEST.shape)
    y, x = np.mgrid[1 : ROWS + 1, 1 : COLUMNS + 1]
    inside = (np.hypot(y - 151, x - 131) <= 120) & (x >= 31) & (x <= 230) & (y >= 21) & (y <= 280)
    # The polygon's notch: from the lower corners up to row 200 in the middle.
    notch = y > 300 - 100 * np.minimum((x - 1) / 130, (260 - x) / 129)
    edge = np.abs(y - (300 - 100 * np.minimum((x - 1) / 130, (260 - x) / 129))) < 2
    np.testing.assert_array_equal(field[~edge], (inside & ~notch)[~edge])


def test_a_shutter_of_16_columns_is_counted_from_1() -> None:
    edges = {**RECTANGLE, "LeftVerticalEdge": 1, "RightVerticalEdge": COLUMNS}
    field = stated_field(radiograph(CHEST, **stated("Shutter", **edges)), CHEST.shape)
    assert field[20:280].all() and not field[:20].any() and not field[280:].any()


@pytest.mark.parametrize(
    ("photometric", "black", "attributes"),
    [
        ("MONOCHROME2", 0, {}),
        ("MONOCHROME1", 4095, {}),
        ("MONOCHROME2", 0, {"SOPClassUID": DX_PRESENTATION}),
        ("MONOCHROME1", 4095, {"SOPClassUID": DX_PRESENTATION, "PresentationLUTShape": "INVERSE"}),
    ],
)
def test_shutters_that_nothing_states_are_found_in_the_image(
    photometric: str, black: int, attributes: dict[str, object]
) -> None:
    shown = CHEST if photometric == "MONOCHROME2" else 4095 - CHEST
    covered = outside(turn_deg=1.0)
    source = read(
        np.where(covered, black, shown), PhotometricInterpretation=photometric, **attributes
    ).radiograph
    height, width = source.pixels.shape
    assert 245 <= height <= 256 and 211 <= width <= 222  # 250 x 216 and what the turn adds
    low, high = np.percentile(CHEST[~covered], (0.5, 99.5))
    assert source.intensity.low == pytest.approx(low, abs=0.03 * (high - low))
    assert source.intensity.to_model(np.array([high]))[0] == pytest.approx(0.0, abs=0.03)


def test_the_lead_of_a_detector_for_processing_neither_whitens_nor_darkens_the_chest() -> None:
    path = CHEST / 500.0  # mu d, up to about 5
    exposed = 60000 * np.exp(-path)
    counts = np.rint(
        np.where(outside(), 25 + np.random.default_rng(1).poisson(9, path.shape), exposed)
    )
    given = {
        "SOPClassUID": DX_PROCESSING,
        "PresentationIntentType": "FOR PROCESSING",
        "BitsStored": 16,
        "HighBit": 15,
        "PixelIntensityRelationship": "LIN",
        "PixelIntensityRelationshipSign": 1,
    }  # fmt: skip
    source = read(counts.astype(np.int64), **given).radiograph
    height, width = source.pixels.shape
    assert 236 <= height <= 250 and 200 <= width <= 216
    # Within the borders' blur of a few pixels the field is the chest's own.
    low, high = np.percentile(path[26:264, 32:236], (0.5, 99.5))
    span, zero = high - low, np.log(65535 / 60000)
    assert source.intensity.low - zero == pytest.approx(low, abs=0.05 * span)
    assert source.intensity.high - zero == pytest.approx(low + 2 * span, abs=0.05 * span)
    assert on_model_scale(source).max() < 0.2


def test_a_circular_mask_leaves_no_corner_to_the_model() -> None:
    y, x = np.mgrid[0:ROWS, 0:COLUMNS]
    dark = np.hypot(y - 150, x - 130) > 140
    source = read(
        np.where(dark, 4095, CHEST),
        ShutterShape="CIRCULAR",
        CenterOfCircularShutter=[151, 131],
        RadiusOfCircularShutter=140,
    ).radiograph
    assert on_model_scale(source).max() < 0.25


def test_a_letter_is_taken_out_of_what_the_model_sees_and_nothing_else_is() -> None:
    large = np.kron(CHEST, np.ones((3, 3), np.int64))
    letter = written(large.shape, "R", (20, 60), 60) > 0.4
    marked = read(np.where(letter, 3400, large)).radiograph
    clean = read(large).radiograph
    assert marked.pixels.shape == clean.pixels.shape
    difference = np.abs(on_model_scale(marked) - on_model_scale(clean))
    assert difference[letter].max() < 0.35  # it was 1.3
    far = np.ones(letter.shape, np.bool_)
    far[50:150, 5:110] = False
    assert difference[far].max() < 0.01


def test_white_text_burned_into_eight_bits_is_taken_out() -> None:
    large = np.kron(CHEST, np.ones((3, 3), np.int64)) * 200 // 3000
    text = written(large.shape, "SUPINE 08:15", (250, 380), 30) > 0.4
    eight = {"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7}
    marked, clean = (
        read(values, **eight).radiograph for values in (np.where(text, 255, large), large)
    )
    difference = np.abs(on_model_scale(marked) - on_model_scale(clean))
    assert difference[text].mean() < 0.12
    assert np.abs(on_model_scale(clean)[text] - 1.0).mean() > 0.8  # what it was


def test_pixels_that_are_not_square_are_squared_when_no_spacing_tells() -> None:
    tall = radiograph(CHEST, ImagerPixelSpacing=None, PixelAspectRatio=["2", "1"])
    assert pixel_aspect(tall) == 2.0
    source = read(CHEST, ImagerPixelSpacing=None, PixelAspectRatio=["2", "1"]).radiograph
    assert source.spacing_mm is None
    assert source.pixels.shape == (2 * ROWS, COLUMNS)
    # Every row twice as tall: a smooth image at twice the places.
    np.testing.assert_allclose(source.pixels[101::2][:50], CHEST[50:100], atol=60)
    wide = read(CHEST, ImagerPixelSpacing=None, PixelAspectRatio=["3", "4"]).radiograph
    assert wide.pixels.shape == (ROWS, round(COLUMNS * 4 / 3))
    turned = read(
        CHEST,
        ImagerPixelSpacing=None,
        PixelAspectRatio=["2", "1"],
        PatientOrientation=["F", "L"],
    ).radiograph
    assert turned.pixels.shape == (COLUMNS, 2 * ROWS)


def test_a_stated_spacing_goes_before_the_aspect_ratio() -> None:
    source = read(CHEST, ImagerPixelSpacing=["0.4", "0.2"], PixelAspectRatio=["1", "1"]).radiograph
    assert source.spacing_mm == (0.4, 0.2)
    assert source.pixels.shape == CHEST.shape


@pytest.mark.parametrize("ratio", [["0", "1"], ["100", "1"], ["1"], None])
def test_an_aspect_ratio_that_cannot_be_is_passed_over(ratio: list[str] | None) -> None:
    assert pixel_aspect(radiograph(CHEST, PixelAspectRatio=ratio)) == 1.0


def test_squaring_keeps_means_and_positions() -> None:
    ramp = np.repeat(np.arange(40.0, dtype=np.float32)[:, None], 30, axis=1)
    taller = squared(ramp, 1.5)
    assert taller.shape == (60, 30)
    assert taller.mean() == pytest.approx(ramp.mean(), abs=0.1)
    # Pixel centres: row r of the new image is at (r + 0.5) / 1.5 - 0.5 of the old one.
    np.testing.assert_allclose(taller[3:-3, 0], (np.arange(3, 57) + 0.5) / 1.5 - 0.5, atol=0.02)
    assert squared(ramp, 1.0) is ramp
