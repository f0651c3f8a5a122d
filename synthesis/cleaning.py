"""What a model may see of a radiograph: its exposed field alone, without letters and text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from synthesis.exposure import Field, exposed_field
from synthesis.marks import filled, marks

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["AIR_PERCENT", "Cleaned", "cleaned"]

AIR_PERCENT: Final = 0.5
"""Percentile taken as air: below it lie dead pixels and letters burned in black."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Cleaned:
    """A radiograph as a model may see it.

    Attributes:
        image: float32, the field's bounding box; masks as dark as air are air, and what else is not
            exposed there, or lies under letters, is continued from around it.
        body: True where the image shows what was exposed; shape of the whole radiograph.
        field: Where it was exposed.
    """

    image: NDArray[np.float32]
    body: NDArray[np.bool_]
    field: Field


def cleaned(image: NDArray[np.floating], valid: NDArray[np.bool_]) -> Cleaned:
    """Cut out the exposed field and take letters out of it.

    Args:
        image: Attenuation, larger = more, shape (rows, columns).
        valid: False where the image is known to show nothing.
    """
    field = exposed_field(image, valid)
    inner, exposed = image[field.box].astype(np.float32), field.mask[field.box]
    marked = marks(inner, exposed)
    body = field.mask.copy()
    body[field.box] &= ~marked
    seen = image[body]
    if not seen.size:
        return Cleaned(image=inner, body=body, field=field)
    air = np.float32(np.percentile(seen, AIR_PERCENT))
    dark = ~exposed & valid[field.box] & (inner <= air)
    hidden = marked | ~(exposed | dark)
    inner = np.where(dark, air, inner)
    return Cleaned(image=filled(inner, hidden) if hidden.any() else inner, body=body, field=field)
