"""What one looks at while a run goes on: figures for TensorBoard, and pictures of fixed views.

Nothing here draws from a generator that training draws from, nor changes a weight: a run that is
watched ends with the weights of one that is not.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import torch
import torch.nn.functional as F

from synthesis.data.augmentation import LEVEL_DEG
from synthesis.data.cache import list_shards
from synthesis.data.rendering import SCALE
from synthesis.families.vcdit import synthesize
from synthesis.training.recipe import RecipeError

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxtyping import Float
    from torch import Tensor
    from torch.utils.tensorboard import SummaryWriter

    from synthesis.data.cache import Shard
    from synthesis.model import ViewTransformer
    from synthesis.training.loop import Progress
    from synthesis.training.recipe import Recipe
    from synthesis.types import View

__all__ = ["Watcher"]

_AZIMUTHS_DEG: Final = (-75.0, -30.0, 30.0, 60.0, 90.0)
_STEPS: Final = 2
_PATIENTS: Final = 3
_GAP: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    """A source and some of its targets, the same throughout a run; images on [-1, 1]."""

    source: Float[Tensor, "1 h w"]
    source_view: View
    truth: Float[Tensor, "targets 1 h w"]
    views: tuple[View, ...]
    field_mm: float


class Watcher:
    """Writes ``tensorboard/`` and ``grids/`` into the folder of a run.

    The pictures show patients kept out of training where the cache holds any as scanned, else
    training patients: for each the source and, below one another, truth, expected image and sample.

    Args:
        recipe: Of the run.
        folder: Of the run.
        grid_s: Seconds between pictures; 0 makes none.
        now: The time in seconds.

    Raises:
        RecipeError: TensorBoard is not installed.
    """

    def __init__(
        self,
        recipe: Recipe,
        folder: Path,
        *,
        grid_s: float = 600.0,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise RecipeError(
                "TensorBoard is missing: pip install 'dicom-node[training]', or do not watch"
            ) from error
        self._recipe = recipe
        self._folder = Path(folder)
        self._grid_s, self._now = grid_s, now
        self._drawn = -math.inf
        self._cases: dict[int, list[_Case]] = {}
        self._writer: SummaryWriter = SummaryWriter(str(self._folder / "tensorboard"))

    def __call__(self, progress: Progress, network: ViewTransformer) -> None:
        """Take note of where a run stands.

        Args:
            progress: As reported.
            network: The averaged weights.
        """
        figures = {
            "training/loss": progress.loss,
            "training/error": progress.error,
            "training/power": progress.power,
            "training/samples_per_s": progress.samples_per_s,
            "training/resolution": float(progress.resolution),
        }
        self._add(figures, progress.total)
        if self._grid_s and self._now() - self._drawn >= self._grid_s:
            self.draw(progress, network)
            self._drawn = self._now()

    def draw(self, progress: Progress, network: ViewTransformer) -> Path | None:
        """Make a picture now: its path, or None where the cache holds no views for one."""
        size = progress.resolution
        if size not in self._cases:
            self._cases[size] = self._chosen(size)
        rows, errors = [], {"expectation": 0.0, "sample": 0.0}
        device = next(network.parameters()).device
        training = network.training
        network.eval()
        for case in self._cases[size]:
            noise = _noise(len(case.views), size, device)
            made = {
                name: synthesize(
                    network,
                    case.source.to(device),
                    case.source_view,
                    case.views,
                    noise,
                    field_mm=case.field_mm,
                    steps=steps,
                ).cpu()
                for name, steps in (("expectation", 1), ("sample", _STEPS))
            }
            blank = torch.full_like(case.source, -1.0)
            for name, images in (("truth", case.truth), *made.items()):
                first = case.source if name == "truth" else blank
                rows.append(torch.stack([first, *images]))
                if name in errors:
                    error = (images - case.truth).square().mean(dim=(1, 2, 3))
                    errors[name] += float((10 * torch.log10(4.0 / error)).mean())
        network.train(training)
        if not rows:
            return None
        for name, total in errors.items():
            self._add({f"watched/psnr_{name}_db": total / len(self._cases[size])}, progress.total)
        path = self._folder / "grids" / f"{progress.total:09d}.png"
        grid = _grid(torch.stack(rows))
        self._writer.add_image("views", grid, progress.total, dataformats="HW")
        _save(grid, path)
        return path

    def close(self) -> None:
        """Write out what is still held."""
        self._writer.close()

    def _add(self, figures: dict[str, float], total: int) -> None:
        for name, value in figures.items():
            if not math.isnan(value):
                self._writer.add_scalar(name, value, total)

    def _chosen(self, size: int) -> list[_Case]:
        shards = [
            shard
            for shard in list_shards(Path(self._recipe.cache))
            if shard.variation == 0 and shard.size >= size
        ]
        kept_out = [shard for shard in shards if shard.patient in self._recipe.validate]
        cases = (_case(shard, size) for shard in (kept_out or shards)[:_PATIENTS])
        return [case for case in cases if case.views]


def _case(shard: Shard, size: int) -> _Case:
    source = shard.sources[0]
    level = [
        index
        for index, view in enumerate(shard.views)
        if index not in shard.sources and abs(view.secondary_deg) < LEVEL_DEG
    ]
    front = shard.views[source].primary_deg
    chosen: list[int] = []
    for azimuth in _AZIMUTHS_DEG:
        left = [index for index in level if index not in chosen]
        if left:
            chosen.append(
                min(left, key=lambda i: abs(shard.views[i].primary_deg - front - azimuth))
            )
    images = torch.from_numpy(np.stack([shard.image(i) for i in (source, *chosen)]))[:, None]
    images = F.interpolate(images, size=(size, size), mode="area") * (2.0 / SCALE.high) - 1.0
    return _Case(
        source=images[0],
        source_view=shard.views[source],
        truth=images[1:],
        views=tuple(shard.views[i] for i in chosen),
        field_mm=shard.field_mm,
    )


def _noise(count: int, size: int, device: torch.device) -> Float[Tensor, "targets steps h w"]:
    generator = torch.Generator("cpu").manual_seed(0)
    return torch.randn(count, _STEPS, size, size, generator=generator).to(device)


def _grid(
    rows: Float[Tensor, "rows columns 1 h w"],
) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """Grey picture (height, width), bright = dense, one window for all."""
    unit = ((rows + 1) / 2).clamp(0.0, 1.0)
    window = float(torch.quantile(unit[::3].flatten(), 0.999).clamp_min(0.1))
    grey = (unit / window).clamp(0.0, 1.0) * 255
    padded = F.pad(grey[:, :, 0], (0, _GAP, 0, _GAP), value=255.0)
    count, columns, height, width = padded.shape
    sheet = padded.permute(0, 2, 1, 3).reshape(count * height, columns * width)
    return sheet.round().to(torch.uint8).numpy()


def _save(grid: np.ndarray[tuple[int, ...], np.dtype[np.uint8]], path: Path) -> None:
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".part")
    Image.fromarray(grid).save(partial, format="PNG")
    partial.replace(path)
