"""Teaches `synthesis.tones` by rendered frontal chests under drawn tone curves."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from synthesis.data.cache import list_shards
from synthesis.errors import SynthesisError
from synthesis.tones import FEATURES, SIDE, STEPS, features, rising, thumbnail

if TYPE_CHECKING:
    from jaxtyping import Float
    from numpy.typing import NDArray
    from torch import Tensor

__all__ = ["Chests", "draw_curves", "store", "straightened", "teach"]

_WIDTH: Final = 128
_RATE: Final = 1e-3
_PLAIN: Final = 0.25
"""Share of images without any curve."""

_NOISE: Final = 0.03
_CROP: Final = 0.12


class Chests:
    """Frontal views of a cache, small, by patient.

    Args:
        caches: Folders of shards.
        exclude: Patients left out.

    Raises:
        SynthesisError: Nothing is left.
    """

    def __init__(self, caches: Collection[Path], *, exclude: Collection[str] = ()) -> None:
        found: dict[str, list[NDArray[np.float64]]] = {}
        for shard in (shard for cache in caches for shard in list_shards(cache)):
            if shard.patient not in exclude:
                found.setdefault(shard.patient, []).extend(
                    thumbnail(shard.image(index)) for index in shard.sources
                )
        if not found:
            raise SynthesisError("no rendered patients to learn tones of; run `render` first")
        self.patients = sorted(found)
        self._images = [np.stack(found[patient]) for patient in self.patients]

    def draw(self, count: int, rng: np.random.Generator) -> Float[Tensor, "n side side"]:
        """Bodies from air, 0, to dense, 1: mirrored, cut, half of them mixed of two."""
        return torch.stack([torch.from_numpy(self._one(rng)).float() for _ in range(count)])

    def _one(self, rng: np.random.Generator) -> NDArray[np.float64]:
        image = self._any(rng)
        if rng.random() < 0.5:
            share = rng.random()
            image = share * image + (1.0 - share) * self._any(rng)
        if rng.random() < 0.5:
            image = image[:, ::-1]
        if rng.random() < 0.7:
            top, bottom, left, right = rng.integers(0, int(_CROP * SIDE) + 1, 4)
            image = thumbnail(np.kron(image[top : SIDE - bottom, left : SIDE - right], _TWICE))
        air, dense = (float(value) for value in np.quantile(image, (0.005, 0.995)))
        return (image - air) / (dense - air)

    def _any(self, rng: np.random.Generator) -> NDArray[np.float64]:
        images = self._images[rng.integers(len(self._images))]
        image: NDArray[np.float64] = images[rng.integers(len(images))]
        return image


_TWICE: Final = np.ones((2, 2))


def draw_curves(
    unit: Float[Tensor, "n side side"], rng: np.random.Generator
) -> Float[Tensor, "n side side"]:
    """Each image under a curve of its own: a gamma, that of film, a logarithm, a bend, or none.

    Args:
        unit: From air, 0, to dense, 1; straight on beyond.
        rng: Of the draws.
    """
    inside = unit.clamp(0.0, 1.0)

    def draw(low: float, high: float) -> Tensor:
        return torch.from_numpy(rng.uniform(low, high, (len(unit), 1, 1))).float()

    def powered(values: Tensor) -> Tensor:
        return values.clamp_min(1e-6) ** torch.exp(draw(-0.5, 0.5))

    def film(values: Tensor) -> Tensor:
        steep = draw(1.0, 6.0)
        least = torch.sigmoid(-steep / 2)
        return (torch.sigmoid(steep * (values - 0.5)) - least) / (1 - 2 * least)

    bend, strength = draw(0.6, 1.6), draw(0.5, 5.0)
    bent = inside / (inside + bend * (1 - inside))
    logarithm = torch.log1p(strength * inside) / torch.log1p(strength)
    kinds = [powered(inside), powered(bent), film(inside), film(powered(inside)), logarithm]
    chosen = torch.from_numpy(rng.integers(0, len(kinds), len(unit)))
    curved = torch.stack(kinds)[chosen, torch.arange(len(unit))]
    plain = torch.from_numpy(rng.random((len(unit), 1, 1)) < _PLAIN)
    return torch.where(plain, inside, curved) + (unit - inside)


def straightened(
    unit: Float[Tensor, "n side side"], steps: Float[Tensor, "n steps"]
) -> Float[Tensor, "n side side"]:
    """Images under tones given by what each step adds; as `IntensityScale.to_model` does it."""
    tone = F.pad(steps.cumsum(dim=1), (1, 0))
    inside = unit.clamp(0.0, 1.0)
    place = inside.flatten(1) * STEPS
    below = place.floor().clamp_max(STEPS - 1).long()
    low, high = tone.gather(1, below), tone.gather(1, below + 1)
    return torch.lerp(low, high, place - below).view_as(unit) + (unit - inside)


def teach(
    chests: Chests,
    *,
    updates: int,
    batch: int,
    seed: int,
    report: Callable[[int, float], None] = lambda update, error: None,
) -> nn.Sequential:
    """A network trained from nothing; the same for the same seed and caches.

    Args:
        chests: To learn from.
        updates: Of the weights.
        batch: Images an update.
        seed: Of everything random.
        report: Told the update and the running root mean square error, in parts of dense.
    """
    rng = np.random.default_rng(seed)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = nn.Sequential(
            nn.Linear(FEATURES, _WIDTH),
            nn.SiLU(),
            nn.Linear(_WIDTH, _WIDTH),
            nn.SiLU(),
            nn.Linear(_WIDTH, STEPS),
        )
    last = network[-1]
    nn.init.zeros_(last.weight)  # type: ignore[arg-type]
    nn.init.zeros_(last.bias)  # type: ignore[arg-type]
    optimizer = torch.optim.AdamW(network.parameters(), lr=_RATE, weight_decay=0.05)
    running = 0.01
    for update in range(1, updates + 1):
        for group in optimizer.param_groups:
            group["lr"] = _RATE * min(1.0, update / 50) * max(0.02, 1 - update / updates)
        truth = chests.draw(batch, rng)
        noise = rng.standard_normal(truth.shape) * rng.uniform(0.0, _NOISE, (batch, 1, 1))
        seen = draw_curves(truth, rng) + torch.from_numpy(noise).float()
        read = torch.from_numpy(features(seen.numpy())).float()
        steps = rising(network(read).softmax(dim=1))
        loss = (straightened(seen, steps) - truth).square().mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        running += 0.02 * (loss.item() - running)
        report(update, running**0.5)
    return network.eval()


def store(network: nn.Sequential, path: Path) -> None:
    """Write the weights in half precision; the file appears whole or not at all."""
    layers = [layer for layer in network if isinstance(layer, nn.Linear)]
    arrays = {
        f"{index}.{name}": value.detach().numpy().astype(np.float16)
        for index, layer in enumerate(layers)
        for name, value in layer.named_parameters()
    }
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".part")
    with partial.open("wb") as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
    partial.replace(path)
