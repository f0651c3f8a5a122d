"""Letters and other marks on a radiograph: where they are, and the image without them.

Numpy alone. Images are attenuation, larger = more. A mark is never part of the body, but a network
that turns the body would turn it along; so it is taken out of what the network sees (never out of
the radiograph itself).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["filled", "marks"]

_CELLS: Final = 384
"""Of the grid on which marks are looked for, along the longer side."""

_MARGIN: Final = 0.2
"""A lead letter stands within this part of the image from its border, or in plain air."""

_LARGEST: Final = 0.16
"""Longest side of a mark, in parts of the image's longer side."""

_LINE: Final = 0.06
"""Height of a line of text, which may be longer than that."""

_STROKE: Final = 0.035
"""Thickest stroke or plate of a mark, in parts of the longer side."""

_ABOVE: Final = 0.3
"""Least height of a mark above what is beside its strokes, in parts of the image's range."""

_WEAK: Final = 0.08
"""Likewise, of strokes that hang on a mark, and of text burned in."""

_FEWEST: Final = 12
"""Pixels that share the largest value where text is burned in; one noisy pixel is no letter. They
are also twice as many as those that almost have it: anatomy's whitest values come in all sizes."""

_CLIPPED: Final = 0.02
"""More of the field than this that shares the largest value is a clipped window, no text."""


def marks(image: NDArray[np.floating], valid: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Where lead letters and burned-in white text stand, with a small seam about them.

    Both are thin and stand well above what is beside their strokes. Lead: as white as the whitest
    two in a hundred, near the border or in air. Burned in: the very largest value, anywhere.

    Args:
        image: Shape (rows, columns).
        valid: False where nothing was exposed.

    Returns:
        True on marks; shape of the image.
    """
    nothing = np.zeros(image.shape, np.bool_)
    if not valid.any():
        return nothing
    cell = max(1, -(-max(image.shape) // _CELLS))
    low, white, high = np.percentile(image[valid][::7], (0.5, 98.0, 99.5)).astype(image.dtype)
    if not high > low:
        return nothing
    shown = image if valid.all() else np.where(valid, image, low)
    means = _pooled(shown, cell, partial(np.sum, dtype=np.float64)) / cell**2
    top = shown.max()
    largest = shown == top
    peaks = _pooled(shown, cell, np.max)
    side = max(peaks.shape)
    beside = _opened(means, max(2, round(side * _STROKE)))
    above = (peaks - beside) / (high - low)
    in_air = beside < low + 0.1 * (high - low)
    lead = (peaks >= white) & (_near_border(peaks.shape) | in_air)
    sharing = int(np.count_nonzero(largest))
    near = shown > top - 0.01 * (high - low)
    almost = int(np.count_nonzero(near)) - sharing
    written = _pooled(largest, cell, np.max) & (
        max(_FEWEST, 2 * almost) <= sharing < _CLIPPED * int(np.count_nonzero(valid))
    )
    strong = (above > _ABOVE) & lead | (above > _WEAK) & written
    found = np.zeros(peaks.shape, np.bool_)
    # A letter's weaker strokes hang on its strong ones; bones that they touch do not count.
    for mask in (strong, (above > _WEAK) & (lead | written)):
        for rows, columns in _pieces(mask):
            tall, wide = np.ptp(rows) + 1, np.ptp(columns) + 1
            small = max(tall, wide) <= _LARGEST * side or min(tall, wide) <= _LINE * side
            if small and strong[rows, columns].any():
                found[rows, columns] = True
    if not found.any():
        return nothing
    seam = _running(found, 2, np.logical_or)
    fine = np.repeat(np.repeat(seam, cell, axis=0), cell, axis=1)
    there: NDArray[np.bool_] = valid & fine[: image.shape[0], : image.shape[1]]
    return there


def filled(image: NDArray[np.floating], mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    """The image with what is under the mask continued from around it, smoothly.

    Means over what is known at ever coarser scales fill what is not at the next finer one.

    Args:
        image: Shape (rows, columns).
        mask: True where to fill.
    """
    known = (~mask).astype(np.float32)
    weights, values = [known], [np.where(mask, np.float32(0.0), image.astype(np.float32))]
    while (weights[-1] == 0.0).any() and max(weights[-1].shape) > 1:
        weight, value = _fours(weights[-1]), _fours(values[-1])
        # A cell that knows anything counts as one.
        some = np.maximum(weight, 1e-12)
        weights.append((weight > 0.0).astype(np.float32))
        values.append(np.where(weight > 0.0, value / some, 0.0))
    whole = values[-1]
    for weight, value in zip(weights[-2::-1], values[-2::-1], strict=True):
        coarse = np.repeat(np.repeat(whole, 2, axis=0), 2, axis=1)
        coarse = _mean3(coarse)[: value.shape[0], : value.shape[1]]
        whole = np.where(weight > 0.0, value, coarse)
    filled_in: NDArray[np.float32] = whole.astype(np.float32)
    return filled_in


def _pooled(image: NDArray[Any], cell: int, how: Callable[..., NDArray[Any]]) -> NDArray[Any]:
    """Over square cells; past the far borders the last pixels are repeated."""
    # Lines of memory first: numpy is several times slower over both axes at once.
    return _lines(_lines(image, cell, how).T, cell, how).T


def _lines(image: NDArray[Any], cell: int, how: Callable[..., NDArray[Any]]) -> NDArray[Any]:
    """Over so many rows at a time; past the end the last row is repeated."""
    whole = image.shape[0] // cell
    done = how(image[: whole * cell].reshape(whole, cell, -1), axis=1)
    rest = image[whole * cell :]
    if not len(rest):
        return done
    last = np.pad(rest, ((0, cell - len(rest)), (0, 0)), mode="edge")
    return np.concatenate([done, how(last, axis=0)[None]])


def _fours(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Sums over squares of two by two; past the far borders lie zeros."""
    odd = [(0, count % 2) for count in image.shape]
    whole = np.pad(image, odd) if any(map(any, odd)) else image
    pairs = whole[:, ::2] + whole[:, 1::2]
    sums: NDArray[np.float32] = pairs[::2] + pairs[1::2]
    return sums


def _mean3(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Every pixel half, its two neighbours a quarter each, along rows and columns."""
    tall = np.pad(image, ((1, 1), (0, 0)), mode="edge")
    halves = np.float32(0.5) * (tall[1:] + tall[:-1])
    mean: NDArray[np.float32] = np.float32(0.5) * (halves[1:] + halves[:-1])
    wide = np.pad(mean, ((0, 0), (1, 1)), mode="edge")
    halves = np.float32(0.5) * (wide[:, 1:] + wide[:, :-1])
    return np.float32(0.5) * (halves[:, 1:] + halves[:, :-1])


def _opened(image: NDArray[np.float64], radius: int) -> NDArray[np.float64]:
    """Without what is brighter than its surroundings and narrower than the window."""
    return _running(_running(image, radius, np.minimum), radius, np.maximum)


def _running(image: NDArray[Any], radius: int, how: np.ufunc) -> NDArray[Any]:
    """``how`` over a square window about every pixel; doubled shifts make wide windows cheap."""
    for axis in (0, 1):
        pad = [(0, 0), (0, 0)]
        pad[axis] = (radius, radius)
        line = np.moveaxis(np.pad(image, pad, mode="edge"), axis, 0)
        reach = 1
        while reach < 2 * radius + 1:
            shift = min(reach, 2 * radius + 1 - reach)
            line = how(line[:-shift], line[shift:])
            reach += shift
        image = np.moveaxis(line, 0, axis)
    return image


def _near_border(shape: tuple[int, ...]) -> NDArray[np.bool_]:
    near = np.ones(shape, np.bool_)
    rows, columns = (round(_MARGIN * count) for count in shape)
    near[rows : shape[0] - rows, columns : shape[1] - columns] = False
    return near


def _pieces(mask: NDArray[np.bool_]) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Rows and columns of each piece that hangs together, corners included."""
    left = {(int(row), int(column)) for row, column in zip(*np.nonzero(mask), strict=True)}
    while left:
        reached = [left.pop()]
        for row, column in reached:  # grows while it runs
            for down in (-1, 0, 1):
                for right in (-1, 0, 1):
                    place = (row + down, column + right)
                    if place in left:
                        left.remove(place)
                        reached.append(place)
        rows, columns = np.array(reached, np.int64).T
        yield rows, columns
