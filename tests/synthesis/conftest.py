"""What holds for every test of the library: one thread, so that sums come out the same."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from synthesis.data.cache import render_shard
from synthesis.data.phantom import chest
from tests.weights import tiny_checkpoint

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def checkpoint_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_checkpoint(tmp_path_factory.mktemp("weights") / "tiny.safetensors")


@pytest.fixture(scope="session")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache of two phantom patients, two variations each, 32 px."""
    folder = tmp_path_factory.mktemp("cache")
    for name, size in (("small", 0.9), ("large", 1.05)):
        volume = chest(size=size).volume((60, 44, 72), (6.0, 6.0, 6.0), name=name)
        for variation in range(2):
            render_shard(volume, variation, folder, size=32, seed=3)
    return folder
