"""Trains the classifier, and counts its mistakes."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import torch
import torch.nn.functional as F

from synthesis.eligibility.examples import SHARES, Examples
from synthesis.eligibility.judging import LEAST_SCORE
from synthesis.eligibility.network import KINDS, EligibilityNetwork, Kind, prepared

if TYPE_CHECKING:
    from jaxtyping import Float, Int
    from torch import Tensor

__all__ = ["confusion", "store", "train"]

_RATE: Final = 2e-3


def train(
    examples: Examples,
    *,
    steps: int,
    batch: int,
    seed: int,
    report: Callable[[int, float], None] = lambda step, loss: None,
) -> EligibilityNetwork:
    """A network trained from nothing; the same for the same seed and caches.

    Args:
        examples: To learn from.
        steps: Of the optimizer.
        batch: Examples a step.
        seed: Of everything random.
        report: Told the step and its running loss.
    """
    rng = np.random.default_rng(seed)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = EligibilityNetwork()
    average = {name: value.clone() for name, value in network.state_dict().items()}
    optimizer = torch.optim.AdamW(network.parameters(), lr=_RATE, weight_decay=0.02)
    running = math.log(len(KINDS))
    for step in range(1, steps + 1):
        for group in optimizer.param_groups:
            warm = min(1.0, step / 50)
            group["lr"] = _RATE * warm * (0.5 + 0.5 * math.cos(math.pi * step / steps))
        images, kinds = _batch(examples, batch, rng)
        loss = F.cross_entropy(network(images), kinds, label_smoothing=0.02)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        keep = min(0.995, step / (step + 10))
        for name, value in network.state_dict().items():
            average[name].lerp_(value, 1 - keep)
        running += 0.02 * (loss.item() - running)
        report(step, running)
    network.load_state_dict(average)
    return network.eval()


def _batch(
    examples: Examples, count: int, rng: np.random.Generator
) -> tuple[Float[Tensor, "n 2 side side"], Int[Tensor, " n"]]:
    drawn = rng.choice(len(KINDS), count, p=[SHARES[kind] for kind in KINDS])
    images = torch.stack([prepared(examples.draw(KINDS[kind], rng)) for kind in drawn])
    return images, torch.from_numpy(drawn)


@torch.inference_mode()
def confusion(
    network: EligibilityNetwork, examples: Examples, *, count: int, seed: int
) -> dict[str, dict[str, float]]:
    """For each kind, what part of its examples is accepted, and what part is taken for each."""
    rng = np.random.default_rng(seed)
    table = {}
    for kind in Kind:
        images = torch.stack([prepared(examples.draw(kind, rng)) for _ in range(count)])
        shares = network(images).softmax(dim=1)
        best = shares.argmax(dim=1)
        accepted = shares[:, KINDS.index(Kind.FRONTAL)] >= LEAST_SCORE
        table[kind.value] = {
            "accepted": float(accepted.float().mean()),
            **{k.value: float((best == i).float().mean()) for i, k in enumerate(KINDS)},
        }
    return table


def store(network: EligibilityNetwork, path: Path) -> None:
    """Write the weights in half precision; the file appears whole or not at all."""
    from safetensors.torch import save_file

    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".part")
    save_file({k: v.half().contiguous() for k, v in network.state_dict().items()}, partial)
    partial.replace(path)
