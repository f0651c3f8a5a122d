"""Any grid of voxels in the patient brought to axes along left, back and head."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import ndimage

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["along_patient_axes"]

_ALONG: Final = 2e-3
"""By how much (sine) a side of the grid may lean from a patient's axis and still count as along it:
less than half a voxel over a chest."""


def along_patient_axes(
    values: NDArray[np.float32], to_patient: NDArray[np.float64], *, outside: float
) -> tuple[NDArray[np.float32], tuple[float, float, float]]:
    """The values on axes that run towards left, back and head (LPS).

    A grid along the patient's axes in any order and direction is turned without touching a value;
    an oblique or a sheared one (gantry tilt) is interpolated.

    Args:
        values: (i, j, k).
        to_patient: (3, 3): columns are the steps in mm, in LPS, of one index along i, j, k.
        outside: Value beyond the grid.

    Returns:
        (x, y, z) and its pitch along them in mm.

    Raises:
        ValueError: The steps do not span space.
    """
    lengths = np.linalg.norm(to_patient, axis=0)
    if not np.isfinite(to_patient).all() or not (lengths > 0).all():
        raise ValueError("a step of the grid has no length")
    directions = to_patient / lengths
    if abs(np.linalg.det(directions)) < 0.1:
        raise ValueError("the axes of the grid do not span space")
    axes = [int(a) for a in np.argmax(np.abs(directions), axis=0)]
    along = np.sort(np.abs(directions), axis=0)[:2].max() <= _ALONG
    if along and sorted(axes) == [0, 1, 2]:
        order = [axes.index(axis) for axis in range(3)]
        turned = values.transpose(order)
        for axis, index in enumerate(order):
            if directions[axis, index] < 0:
                turned = np.flip(turned, axis)
        x, y, z = (float(lengths[index]) for index in order)
        return np.ascontiguousarray(turned), (x, y, z)
    return _interpolated(values, to_patient, lengths, outside)


def _interpolated(
    values: NDArray[np.float32],
    to_patient: NDArray[np.float64],
    lengths: NDArray[np.float64],
    outside: float,
) -> tuple[NDArray[np.float32], tuple[float, float, float]]:
    last = np.array(values.shape) - 1
    corners = np.array(list(itertools.product(*((0, n) for n in last)))) @ to_patient.T
    low, high = corners.min(axis=0), corners.max(axis=0)
    # The finest of the steps in each direction, weighed by how much it runs that way.
    share = np.abs(to_patient / lengths)
    pitch = np.array([lengths[int(np.argmax(share[axis]))] for axis in range(3)])
    shape = np.floor((high - low) / pitch + 1e-6).astype(int) + 1
    to_grid = np.linalg.inv(to_patient)
    out: NDArray[np.float32] = ndimage.affine_transform(
        values,
        to_grid @ np.diag(pitch),
        offset=to_grid @ low,
        output_shape=tuple(int(n) for n in shape),
        order=1,
        cval=outside,
        output=np.float32,
    )
    return out, (float(pitch[0]), float(pitch[1]), float(pitch[2]))
