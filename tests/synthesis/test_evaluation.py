"""Metrics against closed forms and torchmetrics; the protocol; baselines; the report."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import ndimage
from torchmetrics.functional.image import (
    peak_signal_noise_ratio,
    structural_similarity_index_measure,
)

from synthesis.checkpoint import read
from synthesis.data.phantom import chest
from synthesis.data.rendering import SCALE
from synthesis.data.volumes import Volume
from synthesis.engine import load
from synthesis.errors import ViewError
from synthesis.evaluation import metrics, plots
from synthesis.evaluation.baselines import MeanViews, MeanViewsError, mean_views
from synthesis.evaluation.measuring import METRICS, Measured, measure
from synthesis.evaluation.protocol import (
    FRONTAL,
    Truth,
    from_frontal_deg,
    render_truth,
    view_set,
)
from synthesis.evaluation.report import angle_of, summary, write_json
from synthesis.geometry import detector_axis
from synthesis.types import FIELD_MM, Radiograph, SynthesisRequest, View, ViewSet


def images(count: int = 3, size: int = 48, seed: int = 0) -> torch.Tensor:
    """Smooth pictures with fine grain on top."""
    grain = np.random.default_rng(seed).normal(size=(count, size, size))
    smooth = ndimage.gaussian_filter(grain, (0, 4, 4)) * 6 + 0.02 * grain
    return torch.from_numpy(smooth.astype(np.float32))


# --- metrics


def test_psnr_of_a_known_error() -> None:
    truth = images()
    wrong = truth + torch.tensor([0.1, -0.01, 0.5])[:, None, None]
    found = metrics.psnr_db(wrong, truth, data_range=1.0)
    # 20 log10(range / error)
    torch.testing.assert_close(
        found, torch.tensor([20.0, 40.0, 6.0206]).double(), atol=1e-3, rtol=0
    )
    assert float(metrics.psnr_db(wrong, truth, data_range=10.0)[0]) == pytest.approx(40.0, abs=1e-3)
    assert metrics.psnr_db(truth, truth, data_range=1.0).isinf().all()


def test_mae_of_a_known_error() -> None:
    truth = images()
    wrong = truth.clone()
    wrong[:, ::2] += 0.5
    wrong[:, 1::2] -= 0.1
    torch.testing.assert_close(metrics.mae(wrong, truth), torch.full((3,), 0.3).double())


def test_psnr_and_ssim_agree_with_torchmetrics() -> None:
    truth, made = images(), images(seed=1) * 0.3 + images() * 0.7
    psnr, ssim = (metric(made, truth, data_range=2.0) for metric in (metrics.psnr_db, metrics.ssim))
    for index in range(3):
        pair = (made[index][None, None].double(), truth[index][None, None].double())
        theirs = peak_signal_noise_ratio(*pair, data_range=2.0)
        assert float(psnr[index]) == pytest.approx(float(theirs), abs=1e-6)
        theirs = structural_similarity_index_measure(*pair, data_range=2.0)
        assert float(ssim[index]) == pytest.approx(float(theirs), abs=1e-6)


def test_ssim_is_wangs_formula_with_a_gaussian_window() -> None:
    x, y = (image[0].double().numpy() for image in (images(1), images(1, seed=2)))

    def local(image: np.ndarray) -> np.ndarray:
        # truncate 3.5 sigma rounds to 5 pixels either side: 11 x 11
        return ndimage.gaussian_filter(image, 1.5, truncate=3.5, mode="mirror")

    c1, c2 = 0.01**2, 0.03**2
    mx, my = local(x), local(y)
    vx, vy, cov = local(x * x) - mx**2, local(y * y) - my**2, local(x * y) - mx * my
    map_ = (2 * mx * my + c1) * (2 * cov + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2))
    found = metrics.ssim(torch.from_numpy(x)[None], torch.from_numpy(y)[None], data_range=1.0)
    assert float(found[0]) == pytest.approx(map_.mean(), abs=1e-9)


def test_ssim_of_equal_images_is_one_and_of_inverted_ones_negative() -> None:
    truth = images()
    torch.testing.assert_close(metrics.ssim(truth, truth, data_range=1.0), torch.ones(3).double())
    stripes = (1 - 2 * (torch.arange(64.0) % 2)).expand(1, 64, 64)  # of no local mean
    assert float(metrics.ssim(-stripes, stripes, data_range=1.0)) < -0.9


def test_minmax_forgets_scale_and_offset_and_nothing_else() -> None:
    truth = images()
    torch.testing.assert_close(metrics.minmax(truth * 3.7 - 2), metrics.minmax(truth))
    assert metrics.minmax(truth).amin() == 0
    assert metrics.minmax(truth).amax() == 1
    assert metrics.minmax(torch.ones(1, 4, 4)).abs().max() == 0


def wave(cycles: float, size: int = 64) -> torch.Tensor:
    place = torch.arange(size, dtype=torch.float64) / size
    return torch.sin(2 * math.pi * cycles * place).expand(1, size, size)


def test_the_spectral_ratio_is_the_ratio_of_powers_in_its_band_alone() -> None:
    # 64 pixels: Nyquist is 32 cycles, the band 8 to 16 cycles.
    inside, below, above = wave(12), wave(3), wave(26)
    ratio = metrics.spectral_ratio
    assert float(ratio(inside * 0.5, inside)) == pytest.approx(0.25)
    assert float(ratio(inside + 5 * below, inside)) == pytest.approx(1.0, abs=1e-3)
    assert float(ratio(inside + 5 * above, inside)) == pytest.approx(1.0, abs=1e-3)
    assert float(ratio(inside + 7.0, inside)) == pytest.approx(1.0)
    turned = inside.transpose(1, 2)
    assert float(ratio(2 * turned, inside)) == pytest.approx(4.0)


def test_a_blurred_image_shows_the_square_of_the_blurs_response() -> None:
    noise = torch.randn(4, 128, 128, generator=torch.Generator().manual_seed(0)).double()
    sigma = 1.0
    blurred = torch.from_numpy(ndimage.gaussian_filter(noise.numpy(), (0, sigma, sigma)))
    # Mean of exp(-(2 pi f sigma)^2) over the ring 0.125 to 0.25 cycles a pixel.
    f = np.linspace(0.125, 0.25, 2001)
    expected = np.average(np.exp(-((2 * np.pi * f * sigma) ** 2)), weights=f)
    assert float(metrics.spectral_ratio(blurred, noise).mean()) == pytest.approx(expected, rel=0.05)


def test_noise_on_top_raises_the_spectral_ratio_by_its_power() -> None:
    generator = torch.Generator().manual_seed(0)
    truth, extra = torch.randn(2, 4, 128, 128, generator=generator)
    found = metrics.spectral_ratio(truth + 0.5 * extra, truth).mean()
    assert float(found) == pytest.approx(1.25, rel=0.05)


def test_the_jump_between_opposite_borders_is_no_detail() -> None:
    ramp = torch.linspace(0, 1, 64).double().expand(1, 64, 64)
    detail = 0.01 * wave(12)
    assert float(metrics.spectral_ratio(ramp + detail, detail)) == pytest.approx(1.0, abs=0.05)


def test_an_image_without_seams_scores_one_and_a_mosaic_more() -> None:
    noise = torch.randn(2, 256, 256, generator=torch.Generator().manual_seed(0))
    assert metrics.seam_score(noise, 8).tolist() == pytest.approx([1.0, 1.0], abs=0.01)
    ramp = torch.arange(64.0).expand(1, 64, 64) + torch.arange(64.0)[:, None]
    assert float(metrics.seam_score(ramp, 8)) == pytest.approx(1.0)
    # Steps of 3 at the borders, of 1 inside.
    stairs = torch.arange(64.0) + 2 * torch.div(torch.arange(64), 8, rounding_mode="floor")
    both = stairs.expand(1, 64, 64) + stairs[:, None]
    assert float(metrics.seam_score(both, 8)) == pytest.approx(3.0)
    assert metrics.seam_score(ramp, 1).isnan().all()


# --- protocol


def test_the_simple_set_is_36_azimuths_by_5_degrees_without_the_source() -> None:
    views = view_set("simple")
    assert [view.primary_deg for view in views] == [a for a in range(-90, 91, 5) if a]
    assert {view.secondary_deg for view in views} == {0.0}


def test_the_hemisphere_set_is_200_directions_spread_evenly_over_the_front() -> None:
    axes = np.array([detector_axis(view) for view in view_set("hemisphere")])
    assert len(axes) == 200
    assert (axes[:, 1] < 0).all()  # the front is -y
    # Areas: of the hemisphere's directions, a half lie within 60 degrees of its pole.
    assert ((-axes[:, 1]) > 0.5).sum() == 100
    np.testing.assert_allclose(axes[:, [0, 2]].mean(0), 0.0, atol=0.01)
    cosines = axes @ axes.T - 2 * np.eye(200)
    nearest = np.degrees(np.arccos(cosines.max(axis=1)))
    even = math.degrees(math.sqrt(2 * math.pi / 200))  # side of a square of one direction's area
    assert nearest.min() > 0.75 * even
    assert nearest.max() < 1.2 * even


def test_there_is_no_other_set() -> None:
    with pytest.raises(ViewError, match="simple, hemisphere"):
        view_set("sphere")


def test_the_angle_from_the_front_is_that_between_directions() -> None:
    for primary, secondary, expected in ((0, 0, 0), (-70, 0, 70), (0, 35, 35), (90, 45, 90)):
        view = View(primary_deg=primary, secondary_deg=secondary)
        assert from_frontal_deg(view) == pytest.approx(expected)
    # cos 60 x cos 60 = 1/4
    view = View(primary_deg=60, secondary_deg=60)
    assert from_frontal_deg(view) == pytest.approx(math.degrees(math.acos(0.25)))


SHAPE, PITCH = (60, 44, 72), (6.0, 6.0, 6.0)
FEW = ViewSet(name="few", views=tuple(View(primary_deg=a) for a in (-90.0, -30.0, 30.0, 60.0)))


@pytest.fixture(scope="module")
def truth() -> Truth:
    return render_truth(chest().volume(SHAPE, PITCH), FEW, resolution=32)


def test_truth_is_the_closed_forms_line_integral_on_the_fixed_scale(truth: Truth) -> None:
    for view, image in [(FRONTAL, truth.source[0]), *zip(FEW, truth.images, strict=True)]:
        exact = chest().line_integrals(view, size=32) / 5.0 - 1.0
        error = np.sqrt(((image.numpy() - exact) ** 2).mean())
        assert error < 0.03, view.label
    assert (SCALE.low, SCALE.high) == (0.0, 10.0)


def test_the_patient_is_centred_wherever_the_scan_put_him(truth: Truth) -> None:
    volume = chest().volume(SHAPE, PITCH)
    moved = np.pad(volume.hu, ((8, 0), (0, 6), (0, 0)), constant_values=-1000.0)
    again = render_truth(Volume(hu=moved, spacing_mm=PITCH, name="x"), FEW, resolution=32)
    assert float((again.images - truth.images).abs().max()) < 0.02


# --- baselines


def test_the_table_of_mean_views_is_the_mean_of_what_was_rendered(
    tmp_path: Path,
) -> None:
    cache = tmp_path / "cache"
    cache.mkdir()
    # Two patients: one of value 2 and 4 (two shards), one of 7; every patient has one voice.
    for patient, variation, value in (("a", 0, 2.0), ("a", 1, 4.0), ("b", 0, 7.0), ("c", 0, 99.0)):
        store_flat(cache, patient, variation, value)
    table = mean_views(cache, exclude=["c"], size=16)
    assert table.angles_deg.tolist() == list(range(-90, 91, 5))
    assert table.patients == 2
    # (3 + 7) / 2 = 5 of the scale's 10 is the middle of the model's range.
    np.testing.assert_allclose(table.images, 0.0, atol=1e-6)
    table.store(tmp_path / "t.npz")
    again = MeanViews.load(tmp_path / "t.npz")
    np.testing.assert_allclose(again.images, table.images, atol=1e-3)
    assert again.patients == 2


def store_flat(cache: Path, patient: str, variation: int, value: float) -> None:
    """A shard whose every view is flat, and whose tilted views, which do not count, are not."""
    views = [{"primary_deg": a, "secondary_deg": s} for a in range(-90, 91, 5) for s in (0.0, 40.0)]
    pixels = np.full((len(views), 32, 32), value, np.float16)
    pixels[1::2] = 1000.0
    np.save(cache / f"{patient}-{variation:04d}.npy", pixels)
    described = {
        "patient": patient,
        "variation": variation,
        "views": views,
        "sources": [0],
        "field_mm": 358.4,
        "size": 32,
    }
    (cache / f"{patient}-{variation:04d}.json").write_text(json.dumps(described))


def flat_table() -> MeanViews:
    angles = np.arange(-90.0, 91.0, 5.0)
    levels = np.broadcast_to((angles / 100)[:, None, None], (37, 16, 16)).astype(np.float32)
    return MeanViews(angles_deg=angles, images=levels, views=np.ones(37, np.int64), patients=3)


def test_a_mean_view_is_that_of_the_nearest_azimuth_and_there_is_none_elsewhere() -> None:
    table = flat_table()
    for primary, level in ((30.0, 0.3), (31.0, 0.3), (-90.0, -0.9)):
        image = table.at(View(primary_deg=primary), 24)
        assert image is not None
        torch.testing.assert_close(image, torch.full((24, 24), level))
    assert table.at(View(primary_deg=0.0, secondary_deg=40.0), 24) is None
    assert table.at(View(primary_deg=150.0), 24) is None


def test_an_empty_cache_and_a_broken_table_are_named(tmp_path: Path) -> None:
    with pytest.raises(MeanViewsError, match="-90"):
        mean_views(tmp_path)
    (tmp_path / "t.npz").write_text("no table")
    for name in ("t.npz", "gone.npz"):
        with pytest.raises(MeanViewsError, match=name):
            MeanViews.load(tmp_path / name)


# --- measuring


@pytest.fixture(scope="module")
def measured(truth: Truth, checkpoint_path: Path) -> Measured:
    return measure(
        read(checkpoint_path).model(), truth, steps=3, samples=3, seed=0, means=flat_table()
    )


def test_the_baselines_are_what_they_are_called(measured: Measured, truth: Truth) -> None:
    copy = measured.baselines["copy_source"]
    assert copy is not None
    copies = truth.source.expand_as(truth.images)
    # One in the unit of the whole scale is two of the model's.
    expected = metrics.psnr_db(copies, truth.images, data_range=2.0)
    np.testing.assert_allclose(copy["psnr_db"][0], expected)
    mean = measured.baselines["mean_view"]
    assert mean is not None
    level = torch.tensor([-0.9, -0.3, 0.3, 0.6])[:, None, None]
    np.testing.assert_allclose(mean["mae"][0], (truth.images - level).abs().mean((1, 2)) / 2, 1e-5)


def test_the_regression_is_one_step_of_the_same_network(
    measured: Measured, truth: Truth, checkpoint_path: Path
) -> None:
    one = measure(read(checkpoint_path).model(), truth, steps=1, samples=3, seed=0, means=None)
    regression = measured.baselines["regression"]
    assert regression is not None
    for name in METRICS:
        for drawn in one.model[name]:  # chance has no part in what is expected
            np.testing.assert_array_equal(drawn, regression[name][0])
    assert one.baselines["mean_view"] is None
    assert not np.allclose(one.model["psnr_db"], measured.model["psnr_db"])


def test_measured_alone_a_model_has_the_same_scores(
    measured: Measured, truth: Truth, checkpoint_path: Path
) -> None:
    model = read(checkpoint_path).model()
    alone = measure(model, truth, steps=3, samples=3, seed=0, means=None, baselines=False)
    assert alone.baselines == {}
    for name in METRICS:
        np.testing.assert_array_equal(alone.model[name], measured.model[name])


def test_the_sample_kept_is_the_one_that_the_engine_would_keep(
    measured: Measured, truth: Truth, checkpoint_path: Path
) -> None:
    engine = load(checkpoint_path, device="cpu")
    pitch = FIELD_MM / truth.images.shape[-1]
    source = Radiograph(
        pixels=SCALE.from_model(truth.source[0].numpy()),
        spacing_mm=(pitch, pitch),
        view=FRONTAL,
        intensity=SCALE,
    )
    views = ViewSet(name="x", views=truth.views)
    result = engine.synthesize(
        SynthesisRequest(source=source, views=views, steps=3, samples=3, allow_ineligible=True)
    )
    assert len(set(result.chosen)) > 1
    assert measured.kept is not None
    for name, figures in measured.model.items():
        expected = figures[list(result.chosen), range(len(truth.views))]
        np.testing.assert_array_equal(measured.kept[name][0], expected)
    one = measure(read(checkpoint_path).model(), truth, steps=3, samples=1, seed=0, means=None)
    assert one.kept is None
    assert summary([one])["best_of_samples"] is None


def test_a_summary_has_what_the_protocol_asks_for(measured: Measured, tmp_path: Path) -> None:
    out = summary([measured, measured])
    wanted = {"psnr_db", "ssim", "mae", "spectral_ratio", "psnr_minmax_db", "ssim_minmax"}
    assert measured.kept is not None
    assert out["best_of_samples"]["ssim"] == pytest.approx(measured.kept["ssim"].mean())
    for method in (out, out["copy_source"], out["mean_view"], out["regression"]):
        assert wanted <= set(method)
        assert set(method["by_angle"]) == {"-90", "-30", "30", "60"}
        means = [figures["psnr_db"] for figures in method["by_angle"].values()]
        assert method["psnr_db"] == pytest.approx(np.mean(means))
    assert out["psnr_db"] == pytest.approx(measured.model["psnr_db"].mean())
    psnr = measured.model["psnr_db"]
    spread = psnr.max(0) - psnr.min(0)
    assert list(out["seed_spread_db"].values()) == pytest.approx(spread.tolist())
    assert (spread > 0).all()
    assert out["copy_source"]["seed_spread_db"] is None
    assert out["seconds_per_view"] > 0
    assert out["by_volume"]["phantom"]["ssim"] == pytest.approx(measured.model["ssim"].mean())
    write_json(tmp_path / "o.json", out)
    assert json.loads((tmp_path / "o.json").read_text())["views"] == 4


def test_a_perfect_answer_is_null_not_infinity(measured: Measured, tmp_path: Path) -> None:
    perfect = {name: np.full((1, 4), np.inf) for name in METRICS}
    made = Measured(
        name="p",
        views=measured.views,
        model=perfect,
        baselines={"copy_source": perfect, "mean_view": None, "regression": perfect},
        seconds_per_view=0.1,
        shown={},
    )
    out = summary([made])
    write_json(tmp_path / "o.json", out)
    assert out["psnr_db"] is None
    assert out["mean_view"] is None


def test_tilted_views_are_listed_by_rings_about_the_front() -> None:
    angles = angle_of(view_set("hemisphere").views)
    assert sorted(set(angles)) == [7.5, 22.5, 37.5, 52.5, 67.5, 82.5]
    # The rings' areas: 200 (cos a - cos b) for 0-15, 15-30 ...
    counts = [int((angles == ring).sum()) for ring in sorted(set(angles))]
    assert counts == pytest.approx([6.8, 20.0, 31.8, 41.4, 48.2, 51.8], abs=1.0)


def test_pictures_are_drawn(measured: Measured, tmp_path: Path) -> None:
    from PIL import Image

    plots.curves([measured], tmp_path / "curves.png", title="t")
    plots.contact_sheet([measured], tmp_path / "sheet.png", title="t")
    for name in ("curves.png", "sheet.png"):
        with Image.open(tmp_path / name) as picture:
            assert np.asarray(picture.convert("L")).std() > 5
    assert sorted(measured.shown) == [0.0, 30.0, 60.0]  # this set has no 90
