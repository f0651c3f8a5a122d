"""A volume resampled through a smooth map, fast: within slices first, then along the long axis.

Interpolating in space reads eight voxels a point, one after another; within planes torch reads
four on vectors. A map that does not fold splits into two such passes exactly (Catmull and Smith
1980): the first brings every voxel of a slice to its column, the second slides it along the column.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F

if TYPE_CHECKING:
    from jaxtyping import Float
    from numpy.typing import NDArray
    from torch import Tensor

__all__ = ["node_positions", "resampled"]


def node_positions(count: int, nodes: int) -> Float[Tensor, " nodes"]:
    """Where nodes spread over the middles of `count` voxels lie, the box being [-1, 1]."""
    return torch.linspace(-1 + 1 / count, 1 - 1 / count, nodes)


def resampled(
    values: Float[Tensor, "x y z"],
    shape: tuple[int, int, int],
    come_from: Float[Tensor, "nodes nodes nodes axes"],
) -> Float[Tensor, "x2 y2 z2"]:
    """The values, 0 outside their box, at the places a map says.

    Args:
        values: Of a volume.
        shape: Voxels of the result.
        come_from: At nodes laid over the result (`node_positions` along x, y, z), the place along
            x, y, z in the box [-1, 1] of the values; linear between the nodes. Along z it grows
            with z (where it folds, the fold is pressed flat).
    """
    nodes = come_from.shape[0]
    places = come_from.double().numpy()
    along_z = np.maximum.accumulate(places[..., 2], axis=2)
    to_x, to_y, to_z = (_weights(count, nodes) for count in shape)
    slices = values.permute(2, 0, 1).contiguous()
    across = _at_slices(places, along_z, len(slices))  # (slices, nodes, nodes, 2)
    columns = torch.empty(len(slices), shape[0], shape[1])
    for index, image in enumerate(slices):
        grid = torch.einsum("xa,abc,yb->xyc", to_x, across[index], to_y)[None]
        columns[index] = F.grid_sample(image[None, None], grid, align_corners=False)[0, 0]
    result = torch.empty(shape)
    heights = torch.from_numpy(along_z).float()
    grid = torch.empty(1, shape[2], shape[1], 2)
    grid[..., 0] = node_positions(shape[1], shape[1])
    for index in range(shape[0]):
        grid[0, ..., 1] = to_z @ torch.einsum("a,abc->cb", to_x[index], heights) @ to_y.T
        plane = columns[None, None, :, index]
        result[index] = F.grid_sample(plane, grid, align_corners=False)[0, 0].T
    return result


def _at_slices(
    places: NDArray[np.float64], along_z: NDArray[np.float64], count: int
) -> Float[Tensor, "slices nodes nodes axes"]:
    """Where each slice's part of a column comes from, along y and x (grid_sample's order)."""
    nodes = places.shape[0]
    at = (2 * np.arange(count) + 1) / count - 1
    found = np.empty((count, nodes, nodes, 2), np.float32)
    for a in range(nodes):
        for b in range(nodes):
            for place, axis in enumerate((1, 0)):
                found[:, a, b, place] = np.interp(at, along_z[a, b], places[a, b, :, axis])
    return torch.from_numpy(found)


def _weights(count: int, nodes: int) -> Float[Tensor, "voxels nodes"]:
    """Of the nodes in each voxel, linear between two."""
    eye = torch.eye(nodes)[None]
    return F.interpolate(eye, size=count, mode="linear", align_corners=True)[0].T.contiguous()
