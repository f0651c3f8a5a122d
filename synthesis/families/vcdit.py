"""Family ``vcdit``: a `ViewTransformer`, the poses it reads and the guess it corrects."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import torch

from synthesis.diffusion import sample
from synthesis.geometry import relative_pose
from synthesis.geometry.bands import band_powers, evened, high_passed, with_band_gains
from synthesis.geometry.resizing import resized
from synthesis.geometry.slab import slab_guess
from synthesis.model.transformer import DETAIL_UNIT, presence
from synthesis.types import FIELD_MM

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxtyping import Float
    from torch import Tensor

    from synthesis.model import ViewTransformer
    from synthesis.model.transformer import Expectation
    from synthesis.types import View

__all__ = ["AIR", "guesses", "pose_features", "synthesize"]

AIR: Final = -1.0
"""No attenuation at all, the least there is."""

_TURNED: Final = 0.3
_TILTED: Final = 1.0
"""How much more power than its source a view has in every band of detail, times the squared sine of
the turn about the long axis and of the tilt: fitted to means over the training patients. What is
left differs by a fifth among them; how strong their detail is differs by half."""

_STRENGTH: Final = 0.85
"""Of that power, what is drawn: detail that nobody can know costs fidelity by its power."""

_LEAST_MISSING: Final = 0.1
"""Of a band's power, what is drawn however much of it is expected."""

_GAINS: Final = (0.05, 2.0)
"""Least and greatest change of power: a source much sharper than any CT asks for detail that the
network has never seen; of what many steps draw too strongly, a tenth can be enough."""


def pose_features(
    source: View, targets: Sequence[View], *, field_mm: float
) -> Float[Tensor, "targets 11"]:
    """What the network is told about each target relative to its source."""
    rows = []
    for target in targets:
        pose = relative_pose(source, target)
        rows.append(
            [
                *(math.sin(k * pose.azimuth_rad) for k in (1, 2, 3)),
                *(math.cos(k * pose.azimuth_rad) for k in (1, 2, 3)),
                math.sin(pose.source_elevation_rad),
                math.sin(pose.target_elevation_rad),
                pose.source_from_tube,
                pose.target_from_tube,
                4.0 * math.log(field_mm / FIELD_MM),
            ]
        )
    return torch.tensor(rows, dtype=torch.float32)


def guesses(
    images: Float[Tensor, "targets 1 h w"],
    source: View,
    targets: Sequence[View],
    *,
    field_mm: float,
) -> Float[Tensor, "targets 1 h w"]:
    """The slab guess of each target from its (repeated) source image."""
    poses = [relative_pose(source, target) for target in targets]
    pitch = [field_mm / t.magnification / images.shape[-1] for t in targets]
    device = images.device
    return slab_guess(
        images,
        torch.tensor([p.azimuth_rad for p in poses], device=device),
        torch.tensor(
            [p.target_elevation_rad - p.source_elevation_rad for p in poses], device=device
        ),
        torch.tensor(pitch, device=device),
    )


@torch.inference_mode()
def synthesize(
    model: ViewTransformer,
    image: Float[Tensor, "1 h w"],
    source: View,
    targets: Sequence[View],
    noise: Float[Tensor, "targets steps n n"],
    *,
    field_mm: float,
    steps: int,
) -> Float[Tensor, "targets 1 h w"]:
    """All targets of one source in one batch.

    The first evaluation gives the expected image, with one step the answer; each further one is a
    step of the flow that draws the detail around it. A view's detail is as strong as its source's
    own, in every band of frequency: that is the same for any number of steps, follows each
    patient, and is far better known than where the detail lies. It is spread evenly, as grain:
    where a fair sample has an edge or a vessel at a place that nobody can know, a person would take
    it for a finding. Nothing is less than air.

    An image of another side than the network's own is resized for it, and its views are resized
    back: at the network's 256 px a pixel is as large as a voxel of the CTs it learned from, so
    finer ones hold nothing that it could know.

    Args:
        model: In evaluation mode.
        image: The source on [-1, 1], of any side.
        source: Its view.
        targets: What to make.
        noise: As many standard normal images a target as steps, or more, of the network's side.
        field_mm: Side of the detector.
        steps: Network evaluations a target.
    """
    device, asked = image.device, image.shape[-1]
    image = resized(image[None], model.config.resolution)[0]
    context = model.read_source(image[None]).repeated(len(targets))
    pose = pose_features(source, targets, field_mm=field_mm).to(device)
    guess = guesses(
        image[None].expand(len(targets), -1, -1, -1), source, targets, field_mm=field_mm
    )
    known: Expectation = model(pose, guess, context)
    if steps == 1:
        return resized(known.image, asked).clamp_min(AIR)

    def denoise(z: Tensor, noise: Tensor, time: float) -> Tensor:
        times = torch.full((len(targets),), time, device=device)
        return model.draw(z, noise, times, known)

    drawn = sample(denoise, noise * model.config.noise_scale, steps=steps - 1)
    sigma = model.config.detail_sigma
    grain = evened(DETAIL_UNIT * drawn, sigma) * presence(known.image)
    wanted = _detail_powers(image[None], known.image, source, targets, sigma)
    detail = _as_strong(grain, wanted, sigma)
    return resized(known.image + detail, asked).clamp_min(AIR)


def _detail_powers(
    image: Float[Tensor, "1 1 h w"],
    expected: Float[Tensor, "targets 1 h w"],
    source: View,
    targets: Sequence[View],
    sigma: float,
) -> Float[Tensor, "targets bands"]:
    """What each target's detail lacks of its power, by bands, which its source tells."""
    poses = [relative_pose(source, target) for target in targets]
    growth = [
        _STRENGTH
        * (
            1.0
            + _TURNED * math.sin(pose.azimuth_rad) ** 2
            + _TILTED * math.sin(pose.target_elevation_rad - pose.source_elevation_rad) ** 2
        )
        for pose in poses
    ]
    whole = torch.tensor(growth, device=image.device)[:, None] * band_powers(
        high_passed(image, sigma), sigma
    )
    missing = whole - band_powers(high_passed(expected, sigma), sigma)
    return torch.maximum(missing, _LEAST_MISSING * whole)


def _as_strong(
    drawn: Float[Tensor, "targets 1 h w"], wanted: Float[Tensor, "targets bands"], sigma: float
) -> Float[Tensor, "targets 1 h w"]:
    """Drawn detail, brought to powers wanted as far as it may be changed."""
    ratio = wanted / band_powers(drawn, sigma).clamp_min(1e-12)
    return with_band_gains(drawn, ratio.clamp(*_GAINS).sqrt(), sigma)
