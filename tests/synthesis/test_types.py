"""The values: views, sets of views, intensity, radiographs."""

from __future__ import annotations

import math

import numpy as np
import pytest

from synthesis.errors import RadiographError, ViewError
from synthesis.types import (
    FRONTAL_DENSE,
    IntensityScale,
    Radiograph,
    SeenFrom,
    SynthesisRequest,
    View,
    ViewSet,
    azimuth_sweep,
    wrap_deg,
)

PA = View(primary_deg=0.0)
AP = View(primary_deg=180.0)
SCALE = IntensityScale(low=0.0, high=1.0)


@pytest.mark.parametrize(
    ("angle", "wrapped"),
    [(0, 0), (180, 180), (-180, 180), (181, -179), (-181, 179), (540, 180), (360, 0), (-450, -90)],
)
def test_an_angle_wraps_into_the_half_open_circle(angle: float, wrapped: float) -> None:
    assert wrap_deg(angle) == wrapped


def test_zero_has_one_sign() -> None:
    assert math.copysign(1.0, wrap_deg(-0.0)) == 1.0
    assert repr(View(primary_deg=-0.0, secondary_deg=-0.0)) == repr(View(primary_deg=0.0))


@pytest.mark.parametrize(
    "wrong",
    [
        {"primary_deg": math.nan},
        {"primary_deg": 0.0, "secondary_deg": math.inf},
        {"primary_deg": 0.0, "secondary_deg": 90.5},
        {"primary_deg": 0.0, "secondary_deg": -91.0},
        {"primary_deg": 0.0, "source_isocenter_mm": 1800.0},
        {"primary_deg": 0.0, "source_isocenter_mm": 0.0},
        {"primary_deg": 0.0, "source_detector_mm": math.nan},
    ],
)
def test_a_view_that_cannot_exist_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ViewError):
        View(**wrong)


@pytest.mark.parametrize(
    ("primary", "side"),
    [(0, "detector"), (90, "detector"), (-90, "detector"), (91, "tube"), (180, "tube")],
)
def test_the_front_is_seen_from_the_detector_and_the_back_from_the_tube(
    primary: float, side: str
) -> None:
    assert View(primary_deg=primary).seen_from is SeenFrom(side)


def test_a_turned_view_is_seen_from_the_side_it_was_seen_from() -> None:
    turned = AP.rotated(100.0)
    assert (turned.primary_deg, turned.seen_from) == (-80.0, SeenFrom.TUBE)


@pytest.mark.parametrize(
    ("primary", "secondary", "label"),
    [
        (0, 0, "PA"),
        (180, 0, "AP"),
        (30, 0, "LAO 30"),
        (-60, 10, "RAO 60 CRAN 10"),
        (90, 0, "LEFT LATERAL"),
        (-90, -5, "RIGHT LATERAL CAUD 5"),
    ],
)
def test_a_view_has_the_name_that_people_use(primary: float, secondary: float, label: str) -> None:
    assert View(primary_deg=primary, secondary_deg=secondary).label == label


def test_a_set_holds_a_view_once_and_at_least_one() -> None:
    with pytest.raises(ViewError, match="LAO 30 twice"):
        ViewSet(name="x", views=(View(primary_deg=30), View(primary_deg=390)))
    with pytest.raises(ViewError, match="empty"):
        ViewSet(name="x", views=())


def test_the_digest_of_a_set_knows_order_and_views_but_not_the_name() -> None:
    a, b = View(primary_deg=10), View(primary_deg=20)
    first = ViewSet(name="one", views=(a, b)).digest
    assert first == ViewSet(name="two", views=(a, b)).digest
    assert first != ViewSet(name="one", views=(b, a)).digest
    assert first != ViewSet(name="one", views=(a,)).digest


def sweep(
    source: View, first: float, last: float, step: float, *, skip: bool = True
) -> list[float]:
    views = azimuth_sweep(
        source=source, from_deg=first, to_deg=last, step_deg=step, skip_source=skip, name="s"
    )
    return [view.primary_deg for view in views]


def test_a_sweep_about_a_pa_source_ascends_and_skips_it() -> None:
    assert sweep(PA, -90, 90, 30) == [-90, -60, -30, 30, 60, 90]
    assert sweep(PA, -60, 60, 60, skip=False) == [-60, 0, 60]


def test_a_sweep_about_an_ap_source_goes_round_the_back() -> None:
    assert sweep(AP, -90, 90, 30) == [90, 120, 150, -150, -120, -90]


def test_a_sweep_in_tenths_ends_where_it_should() -> None:
    assert sweep(PA, 0.1, 0.7, 0.1) == [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7]
    assert sweep(PA, -90, 85, 30) == [-90, -60, -30, 30, 60]


def test_a_full_circle_names_one_view_twice_and_is_refused() -> None:
    with pytest.raises(ViewError, match="twice"):
        sweep(PA, -180, 180, 30)


@pytest.mark.parametrize(("first", "last", "step"), [(0, 90, 0), (0, 90, -5), (90, 0, 5)])
def test_an_empty_sweep_is_refused(first: float, last: float, step: float) -> None:
    with pytest.raises(ViewError):
        sweep(PA, first, last, step)


def test_a_scale_maps_air_to_minus_one_and_dense_to_one_and_keeps_what_lies_beyond() -> None:
    scale = IntensityScale(low=100.0, high=300.0)
    values = np.array([100.0, 200.0, 300.0, 400.0, 0.0])
    assert scale.to_model(values).tolist() == [-1.0, 0.0, 1.0, 2.0, -2.0]
    assert scale.from_model(scale.to_model(values)).tolist() == values.tolist()


def test_a_tone_is_taken_back_up_to_the_frontal_image_s_densest_and_straight_on_beyond() -> None:
    scale = IntensityScale.of_frontal(air=100.0, dense=300.0, tone=(0.0, 0.2, 1.0))
    values = np.array([100.0, 150.0, 200.0, 300.0, 400.0, 50.0])
    relative = np.array([0.0, 0.1, 0.2, 1.0, 1.5, -0.25])  # of dense, in attenuation
    np.testing.assert_allclose(scale.to_model(values), 2 * FRONTAL_DENSE * relative - 1, atol=1e-6)
    np.testing.assert_allclose(scale.from_model(scale.to_model(values)), values, atol=1e-4)
    look = FRONTAL_DENSE * (values - 100.0) / 200.0
    np.testing.assert_allclose(scale.to_unit(values), look)  # as they are shown


@pytest.mark.parametrize("tone", [(0.0, 0.5), (0.1, 1.0), (0.0, 0.6, 0.6, 1.0), (0.0, math.nan, 1)])
def test_a_tone_that_does_not_rise_from_0_to_1_is_refused(tone: tuple[float, ...]) -> None:
    with pytest.raises(RadiographError, match="rise"):
        IntensityScale(low=0.0, high=1.0, tone=tone)


@pytest.mark.parametrize(("low", "high"), [(1, 1), (2, 1), (math.nan, 1), (0, math.inf)])
def test_an_empty_scale_is_refused(low: float, high: float) -> None:
    with pytest.raises(RadiographError):
        IntensityScale(low=low, high=high)


@pytest.mark.parametrize(
    ("pixels", "spacing"),
    [
        (np.zeros((4, 4, 3)), (1.0, 1.0)),
        (np.zeros((1, 4)), (1.0, 1.0)),
        (np.full((4, 4), np.nan), (1.0, 1.0)),
        (np.full((4, 4), np.inf), (1.0, 1.0)),
        (np.zeros((4, 4)), (0.0, 1.0)),
        (np.zeros((4, 4)), (1.0, math.nan)),
    ],
)
def test_a_broken_radiograph_is_refused(pixels: np.ndarray, spacing: tuple[float, float]) -> None:
    with pytest.raises(RadiographError):
        Radiograph(pixels=pixels, spacing_mm=spacing, view=PA, intensity=SCALE)


def test_a_radiograph_cannot_be_written_to() -> None:
    image = Radiograph(pixels=np.zeros((4, 4)), spacing_mm=None, view=PA, intensity=SCALE)
    with pytest.raises(ValueError, match="read-only"):
        image.pixels[0, 0] = 1.0


@pytest.mark.parametrize("wrong", [{"samples": 0}, {"steps": 0}])
def test_a_request_for_nothing_is_refused(wrong: dict[str, int]) -> None:
    image = Radiograph(pixels=np.zeros((4, 4)), spacing_mm=None, view=PA, intensity=SCALE)
    with pytest.raises(ViewError):
        SynthesisRequest(source=image, views=ViewSet(name="x", views=(AP,)), **wrong)
