"""Muon, beside the singular value decomposition and PyTorch's own."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from synthesis.training.muon import Muon, orthogonal


@pytest.mark.parametrize("shape", [(3, 8, 8), (2, 6, 20), (2, 20, 6)])
def test_updates_keep_their_directions_and_lose_their_sizes(shape: tuple[int, int, int]) -> None:
    matrices = torch.randn(shape, generator=torch.Generator().manual_seed(2))
    left, _, right = torch.linalg.svd(matrices, full_matrices=False)
    made = left.mT @ orthogonal(matrices) @ right.mT
    values = made.diagonal(dim1=1, dim2=2)
    assert values.min() > 0.3
    assert values.max() < 1.3
    torch.testing.assert_close(made, torch.diag_embed(values), atol=1e-3, rtol=0)


def test_a_step_is_that_of_pytorch_in_finer_arithmetic() -> None:
    generator = torch.Generator().manual_seed(3)
    shapes = [(16, 8), (8, 16), (16, 8)]
    ours = [nn.Parameter(torch.randn(shape, generator=generator)) for shape in shapes]
    theirs = [nn.Parameter(one.detach().clone()) for one in ours]
    before = [one.detach().clone() for one in ours]
    mine = Muon(ours, weight_decay=0.1)
    mine.param_groups[0]["lr"] = 0.05
    reference = torch.optim.Muon(theirs, lr=0.05, weight_decay=0.1, adjust_lr_fn="match_rms_adamw")
    for _ in range(3):
        for one, other in zip(ours, theirs, strict=True):
            one.grad = torch.randn(one.shape, generator=generator)
            other.grad = one.grad.clone()
        mine.step()
        reference.step()
    for one, other, old in zip(ours, theirs, before, strict=True):
        moved = (other - old).norm()
        assert (one - other).norm() < 0.02 * moved  # bfloat16 has three digits


def test_what_has_no_gradient_stays() -> None:
    still = nn.Parameter(torch.ones(4, 4))
    optimizer = Muon([still], weight_decay=0.1)
    optimizer.param_groups[0]["lr"] = 1.0
    optimizer.step()
    assert torch.equal(still.detach(), torch.ones(4, 4))
