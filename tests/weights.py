"""Weights for tests: a network of the smallest preset, untrained, whose views differ."""

from __future__ import annotations

from pathlib import Path

import torch

from synthesis.checkpoint import Card, write
from synthesis.model import PRESETS, ViewTransformer


def tiny_network(seed: int = 0) -> ViewTransformer:
    """In evaluation mode; what is zero at the start of training is random here."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = ViewTransformer(PRESETS["tiny"])
        with torch.no_grad():
            for part in (network.pixels, network.modulation, network.detail.pixels):
                part.weight.normal_(std=0.05)
                assert part.bias is not None
                part.bias.normal_(std=0.02)
    return network.eval()


def tiny_checkpoint(path: Path) -> Path:
    """Write a 32 px checkpoint that answers in milliseconds; views and seeds differ."""
    write(path, tiny_network(), Card(name="tiny", version="0", steps=2, trained={"samples": 0}))
    return path
