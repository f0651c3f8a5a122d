"""The fast projector against nanodrr and against hand-worked path lengths; the fast warp."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from synthesis.data.augmentation import draw_anatomy, warped
from synthesis.data.phantom import chest
from synthesis.data.projecting import PlaneProjector
from synthesis.data.rendering import SCALE, Renderer
from synthesis.data.volumes import Volume
from synthesis.data.warping import node_positions, resampled
from synthesis.evaluation.metrics import spectral_ratio
from synthesis.types import View

PITCH = (2.5, 2.5, 2.5)
VIEWS = [(0, 0), (20, 0), (-45, 0), (70, 10), (90, 0), (180, 0), (-135, -20), (0, 40), (30, 58)]


@pytest.fixture(scope="module")
def rough() -> Renderer:
    """A body with texture in every voxel, as noisy as a CT with a sharp kernel."""
    mu = chest(size=0.9).attenuation((120, 84, 100), PITCH)
    grain = np.random.default_rng(0).normal(1.0, 0.1, mu.shape)
    return Renderer((mu * grain).astype(np.float32), PITCH)


@pytest.mark.parametrize(("primary", "secondary"), VIEWS)
def test_the_fast_projector_gives_the_reference_s_image(
    rough: Renderer, primary: float, secondary: float
) -> None:
    view = View(primary_deg=primary, secondary_deg=secondary)
    fast = rough.render([view], size=112)
    reference = rough.render([view], size=112, step_mm=0.3)
    error_db = 20 * np.log10(
        (SCALE.high - SCALE.low) / float((fast - reference).pow(2).mean() ** 0.5)
    )
    assert error_db > 65.0  # three orders of magnitude below what a model's error is
    assert abs(float(spectral_ratio(fast, reference)) - 1) < 0.03


def test_no_ray_is_followed_beyond_the_detector_or_behind_the_tube() -> None:
    # A bar of 500 mm along x, seen from its end: 0.01 / mm up to the detector at +150 mm.
    mu = torch.full((250, 9, 9), 0.01)
    center = (249.0, 8.0, 8.0)
    project = PlaneProjector(mu, (2.0, 2.0, 2.0), center)
    for primary in (90.0, -90.0):
        image = project(View(primary_deg=primary), size=9, field_mm=4.5)
        assert float(image[4, 4]) == pytest.approx(0.01 * (250 + 150), rel=1e-3)
        near = View(primary_deg=primary, source_isocenter_mm=100.0, source_detector_mm=200.0)
        assert float(project(near, size=9, field_mm=4.5)[4, 4]) == pytest.approx(2.0, rel=0.02)


def test_a_voxel_weighs_its_length_along_an_oblique_ray() -> None:
    # A wide slab of 20 mm across y, crossed at 60 degrees from its normal: 40 mm.
    mu = torch.zeros(201, 41, 41)
    mu[:, 10:30] = 0.02
    project = PlaneProjector(mu, (1.0, 1.0, 1.0), (100.0, 19.5, 20.0))
    image = project(View(primary_deg=60.0), size=5, field_mm=5.0)
    assert float(image[2, 2]) == pytest.approx(0.02 * 40.0, rel=5e-3)


def test_voxels_of_unlike_sides_keep_the_image() -> None:
    fine, flat = (2.0, 2.0, 2.0), (2.0, 2.0, 6.0)
    body = chest(size=0.5)
    images = [
        Renderer(body.attenuation(shape, pitch, fine=6), pitch).render(
            [View(primary_deg=20.0, secondary_deg=s) for s in (0.0, 55.0)], size=48
        )
        for shape, pitch in (((84, 56, 96), fine), ((84, 56, 32), flat))
    ]
    assert float((images[0] - images[1]).pow(2).mean() ** 0.5) < 0.05


def _smooth_map(shape: tuple[int, int, int], generator: torch.Generator) -> torch.Tensor:
    axes = [node_positions(count, 24) for count in shape]
    straight = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1)
    bend = torch.randn(1, 3, 4, 4, 4, generator=generator) * 0.08
    bend = F.interpolate(bend, size=(24, 24, 24), mode="trilinear", align_corners=True)
    return straight @ torch.diag(torch.tensor([0.9, 1.0, 0.95])) + bend[0].permute(1, 2, 3, 0)


def test_two_passes_in_planes_are_one_in_space() -> None:
    generator = torch.Generator().manual_seed(0)
    values = torch.from_numpy(chest(size=0.9).attenuation((100, 70, 90), (3.0, 3.0, 4.0)))
    shape = (96, 74, 81)
    come_from = _smooth_map(shape, generator)
    field = F.interpolate(
        come_from.permute(3, 0, 1, 2)[None], size=shape, mode="trilinear", align_corners=True
    )
    grid = field.flip(1).permute(0, 2, 3, 4, 1)  # grid_sample counts axes from the last
    expected = F.grid_sample(values[None, None], grid, align_corners=False)[0, 0]
    found = resampled(values, shape, come_from)
    error = float((found - expected).pow(2).mean().sqrt())
    # A twentieth of what a shift by one voxel would make.
    shifted = float((expected[1:] - expected[:-1]).pow(2).mean().sqrt())
    assert error < 0.05 * shifted
    assert float((found - expected).abs().mean()) < 0.002 * float(expected.mean())


def test_a_map_that_changes_nothing_returns_the_values() -> None:
    values = torch.rand(20, 17, 23, generator=torch.Generator().manual_seed(1))
    axes = [node_positions(count, 24) for count in values.shape]
    same = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1)
    torch.testing.assert_close(resampled(values, (20, 17, 23), same), values, atol=2e-5, rtol=0)


def test_an_exact_variation_keeps_every_voxel_and_stretches_the_box() -> None:
    hu = np.random.default_rng(1).uniform(-1000.0, 900.0, (20, 22, 24)).astype(np.float32)
    anatomy = draw_anatomy(np.random.default_rng(2), exact=True)
    assert anatomy.exact
    assert not draw_anatomy(np.random.default_rng(2)).exact
    result = warped(Volume(hu=hu, spacing_mm=(1.0, 2.0, 3.0), name="x"), anatomy)
    np.testing.assert_allclose(result.spacing_mm, np.array(anatomy.scale) * (1.0, 2.0, 3.0))
    kept = hu[::-1] if anatomy.mirrored else hu
    dense = kept > -400.0  # lung's density may change
    np.testing.assert_array_equal(result.hu[dense], kept[dense])
    assert result.hu.shape == hu.shape


def test_a_turned_and_grown_body_is_where_its_map_says() -> None:
    # One anatomy by hand: no elastic part, 10 degrees about z, grown by 1.1 in its box.
    hu = np.full((61, 61, 41), -1000.0, np.float32)
    hu[28:33, 43:48, 18:23] = 500.0  # 15 voxels behind the middle
    anatomy = draw_anatomy(np.random.default_rng(0), identity=True)
    turned = type(anatomy)(
        scale=(1.1, 1.1, 1.0), rotation_deg=(0.0, 0.0, 10.0), shift_mm=0.0, mirrored=False,
        lung=1.0, bone=1.0, seed=0,
    )  # fmt: skip
    result = warped(Volume(hu=hu, spacing_mm=(2.0, 2.0, 2.0), name="x"), turned)
    assert result.hu.shape == (67, 67, 41)
    mass = result.hu + 1000.0
    middle = [(np.indices(mass.shape)[a] * mass).sum() / mass.sum() for a in range(3)]
    angle = np.radians(10.0)
    # The place read is the place written turned by +10: so the body turns by -10, towards +x.
    np.testing.assert_allclose(
        middle, (33 + 16.5 * np.sin(angle), 33 + 16.5 * np.cos(angle), 20.0), atol=0.15
    )
