"""The exposed field of a radiograph: what shutters, collimators and masks leave of an image.

Numpy alone, so that whatever reads radiographs can use it. Images are attenuation, larger = more;
behind a collimator's lead that is white, behind a mask of software any one value.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final, TypeVar

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["MIN_FIELD_SHARE", "Field", "exposed_field"]

MIN_FIELD_SHARE: Final = 0.25
"""Least part of an image that a chest's exposed field takes up; less is a wrong finding."""

_T = TypeVar("_T", bound=np.generic)

_CELLS: Final = 256
"""Of the grid on which borders are looked for, along the longer side."""

_DEPTH: Final = 0.35
"""Farthest from the border, in parts of that side, that a shutter reaches."""

_TILT: Final = 0.07
"""Steepest shutter: its depth changes by this part of its length, 4 degrees."""

_STRAY: Final = 0.03
"""Part of a mask's edge that may be covered by letters and still be straight."""

_PENUMBRA: Final = 0.012
"""Over which a collimator's shadow begins, in parts of the longer side."""

_WHITE: Final = 0.8
"""How white it is behind a collimator, in parts of the image's range."""

_STEP: Final = 0.08
"""Least median step into the shadow, in parts of the image's range (its quarter: `_STEADY`)."""

_SLOPE: Final = 2.0
"""A shadow's step over that of the image as far within: less is a body that grows denser."""

_STEADY: Final = 0.03
"""Least step into the shadow of the lower quarter of its length, likewise."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Field:
    """Where an image was exposed.

    Attributes:
        rows: First and past-the-last row of the field's bounding box.
        columns: Likewise.
        mask: True where exposed, shape of the whole image.
    """

    rows: tuple[int, int]
    columns: tuple[int, int]
    mask: NDArray[np.bool_]

    @property
    def box(self) -> tuple[slice, slice]:
        """To index an image with."""
        return slice(*self.rows), slice(*self.columns)


_SHALLOW: Final = 0.06
"""Shadows deeper than this part of the side are of lead: all of their length is a step."""


def exposed_field(image: NDArray[np.floating], valid: NDArray[np.bool_]) -> Field:
    """Find the field by what is known and by straight borders at the four sides.

    Two kinds of border: a mask of one value to the last bit, sharp; and a collimator's shadow,
    into which most of a straight line steps up and behind which it is white. Either may be turned
    by up to 4 degrees. Air beside a body is neither.

    Args:
        image: Shape (rows, columns).
        valid: False where the image is known to show nothing (padding, stated shutters).

    Returns:
        The whole of ``valid`` where what was found would leave less than `MIN_FIELD_SHARE`.
    """
    known = _bounded(valid)
    mask = valid.copy()
    box = known
    for find in (_mask_depth, _shadow_depth):
        for side in range(4):
            depth = find(_turned(image[box.box], side))
            if depth is not None:
                shown = _turned(mask[box.box], side)  # a view: what is written here is in `mask`
                shown[np.arange(shown.shape[0])[:, None] < depth[None, :]] = False
        if not mask.any():
            return known
        box = _bounded(mask)
    if np.count_nonzero(mask) < MIN_FIELD_SHARE * mask.size:
        return known
    return box


def _bounded(mask: NDArray[np.bool_]) -> Field:
    if not mask.any():
        return Field(rows=(0, mask.shape[0]), columns=(0, mask.shape[1]), mask=mask)
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return Field(
        rows=(int(rows[0]), int(rows[-1]) + 1),
        columns=(int(columns[0]), int(columns[-1]) + 1),
        mask=mask,
    )


def _turned(array: NDArray[_T], side: int) -> NDArray[_T]:
    """A view with the side (top, bottom, left, right) on top."""
    array = array if side < 2 else array.T
    return array[::-1] if side % 2 else array


def _tilts(columns: int) -> NDArray[np.float64]:
    """(tilts, columns): how much deeper than in its middle a turned border lies."""
    most = _TILT * columns / 2.0
    count = 2 * min(max(1, round(most)), 20) + 1
    along = np.linspace(-1.0, 1.0, columns)
    slopes: NDArray[np.float64] = np.linspace(-most, most, count)[:, None] * along
    return slopes[np.argsort(np.abs(slopes[:, 0]), kind="stable")]  # the least turned first


def _mask_depth(view: NDArray[np.floating]) -> NDArray[np.float64] | None:
    """Depth in pixels of a flat mask at the top, by column; None where there is none."""
    height, width = view.shape
    reach = max(1, int(height * _DEPTH))
    value = np.median(view[0])
    if (view[0] == value).mean() < 1.0 - _STRAY:
        # A turned one may reach only a part of this side.
        ends = (view[0, 0], view[0, -1])
        value = next((end for end in ends if (view[0] == end).mean() > 0.2), np.nan)
        if np.isnan(value):
            return None
    flat = view[:reach] == value
    run = np.where(flat.all(axis=0), reach, flat.argmin(axis=0)).astype(np.float64)
    if run.mean() < 0.5:
        return None
    best, area = None, 0.0
    for tilt in _tilts(width):
        depth = np.clip(tilt + np.quantile(run - tilt, _STRAY, method="lower"), 0.0, None)
        if depth.mean() > area + 0.5:
            best, area = depth, float(depth.mean())
    if best is None:
        return None
    # What of the mask reaches a little beyond the line, and one cell more: edges are interpolated.
    best = np.maximum(best, np.minimum(run, best + 0.02 * height + 1.0))
    return np.where(best > 0.0, np.ceil(best) + max(height, width) // _CELLS, 0.0)


def _shadow_depth(view: NDArray[np.floating]) -> NDArray[np.float64] | None:
    """Depth in pixels of a collimator's shadow at the top, by column; None where there is none."""
    cell = max(1, -(-max(view.shape) // _CELLS))
    cells = _reduced(view, cell)
    height, width = cells.shape
    soft = max(1, round(_PENUMBRA * max(cells.shape)))
    least, most = np.percentile(cells, (1.0, 99.0))
    reach = int(height * _DEPTH)
    if most <= least or reach <= 2 * soft:
        return None
    white = least + _WHITE * (most - least)
    sums = np.concatenate([np.zeros(width), np.cumsum(cells, axis=0).ravel()])  # row by row
    # Columns that lie behind another shutter have no step to show.
    shut = np.median(cells, axis=0) >= white
    # The median of each row, in the mean over all rows up to it.
    levels = np.cumsum(np.median(cells[:reach], axis=1)) / np.arange(1, reach + 1)
    if not (levels >= white).any():
        return None
    places, column = np.arange(1, reach)[:, None], np.arange(width)
    found: tuple[float, NDArray[np.float64]] | None = None
    for tilt in _tilts(width):
        edge = np.clip(np.rint(places + tilt).astype(np.int64), 1, height - 3 * soft)
        depth = np.clip(np.rint(edge.mean(axis=1)).astype(np.int64), 1, reach) - 1
        bright = np.flatnonzero(levels[depth] >= white)  # the only places worth the rest
        if not bright.size:
            continue
        edge, depth = edge[bright], depth[bright]
        start = np.maximum(edge - soft, 0)
        first = edge * width + column
        bands = [sums.take(first + n * soft * width) for n in range(4)]
        behind = (bands[0] - sums.take(start * width + column)) / (edge - start)
        within = [(far - near) / soft for near, far in pairwise(bands)]
        step = (behind - within[0]) / (most - least)
        median = np.median(step, axis=1)
        steep = median > _STEP
        if not steep.any():
            continue
        bright, depth, step, median = bright[steep], depth[steep], step[steep], median[steep]
        further = np.median((within[1] - within[2])[steep], axis=1) / (most - least)
        step[:, shut] = 1.0
        weak, steady = np.percentile(step, (8.0, 25.0), axis=1)
        fits = (steady > _STEADY) & (median > _SLOPE * further)
        fits &= (weak > _STEADY) | (depth < _SHALLOW * height)
        if fits.any():
            best = int(np.argmax(np.where(fits, median, -1.0)))
            if found is None or median[best] > found[0] + 0.01:
                found = float(median[best]), np.clip(bright[best] + 1 + tilt + soft, 0.0, None)
    if found is None:
        return None
    at = (np.arange(view.shape[1]) + 0.5) / cell - 0.5
    pixels: NDArray[np.float64] = np.interp(at, np.arange(width), found[1]) * cell
    return pixels


def _reduced(image: NDArray[np.floating], cell: int) -> NDArray[np.float64]:
    """Means over square cells; those at the far borders repeat the last pixels."""
    if abs(image.strides[0]) < abs(image.strides[1]):
        return _reduced(image.T, cell).T  # whole lines of memory are added first
    means = _sums_of_lines(_sums_of_lines(np.asarray(image), cell).T, cell).T
    return means / cell**2


def _sums_of_lines(image: NDArray[np.floating], cell: int) -> NDArray[np.float64]:
    """Sums over so many rows at a time; past the end the last row is repeated."""
    whole, beyond = divmod(image.shape[0], cell)
    sums = np.zeros((whole + (beyond > 0), image.shape[1]), np.float64)
    for step in range(cell):
        sums[:whole] += image[step : whole * cell : cell]
    if beyond:
        sums[-1] = image[whole * cell :].sum(axis=0, dtype=np.float64)
        sums[-1] += (cell - beyond) * image[-1].astype(np.float64)
    return sums
