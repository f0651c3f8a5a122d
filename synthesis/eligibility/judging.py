"""The judgement: a score, the likeliest kind, and words for people."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

import torch

from synthesis.eligibility.network import KINDS, EligibilityNetwork, Kind, prepared

if TYPE_CHECKING:
    from synthesis.types import Radiograph

__all__ = ["LEAST_SCORE", "Eligibility", "bundled_weights", "judge", "load_network"]

LEAST_SCORE: Final = 0.4
"""Below this an image is refused. Real radiographs score lower than rendered ones, so it is not
higher; an abdomen never seen scores up to 0.4, so it is not lower (``weights/ELIGIBILITY.md``)."""

_REASONS: Final = {
    Kind.FRONTAL: "an upright frontal chest radiograph",
    Kind.OBLIQUE: "a lateral or oblique view",
    Kind.TURNED: "an image that is upside down or lies on its side",
    Kind.MIRRORED: "a mirrored image, or a heart on the right side",
    Kind.INVERTED: "an image whose greys are inverted",
    Kind.OTHER: "another part of the body, or a part of a chest",
    Kind.NOTHING: "no radiograph of a patient",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Eligibility:
    """What the classifier says of an image.

    Attributes:
        score: That it is an upright frontal chest radiograph, 0 to 1.
        kind: The likeliest kind; where the image is refused, the likeliest but frontal.
        eligible: Whether views may be made from it.
    """

    score: float
    kind: Kind
    eligible: bool

    @property
    def reason(self) -> str:
        """For people."""
        return f"it looks like {_REASONS[self.kind]} (eligibility {self.score:.2f})"


def bundled_weights() -> Path:
    """Of the packaged classifier."""
    return Path(__file__).parents[1] / "weights" / "eligibility.safetensors"


def load_network(path: Path) -> EligibilityNetwork:
    """A trained classifier, in evaluation mode; it is stored in half precision."""
    from safetensors.torch import load_file

    network = EligibilityNetwork()
    network.load_state_dict({name: value.float() for name, value in load_file(path).items()})
    return network.eval()


@cache
def _bundled() -> EligibilityNetwork:
    return load_network(bundled_weights())


@torch.inference_mode()
def judge(radiograph: Radiograph, network: EligibilityNetwork | None = None) -> Eligibility:
    """Whether views may be synthesized from a radiograph that claims to be frontal.

    Args:
        radiograph: Of any size and grey scale, as radiologists hang it.
        network: Left out, the packaged classifier.
    """
    image = prepared(torch.from_numpy(radiograph.pixels.copy()))
    shares = (network or _bundled())(image[None])[0].softmax(dim=0).tolist()
    by_kind = dict(zip(KINDS, shares, strict=True))
    score = by_kind[Kind.FRONTAL]
    eligible = score >= LEAST_SCORE
    if not eligible:
        del by_kind[Kind.FRONTAL]
    return Eligibility(
        score=score, kind=max(by_kind, key=lambda kind: by_kind[kind]), eligible=eligible
    )
