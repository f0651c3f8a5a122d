"""Muon in the arithmetic of its weights (K. Jordan et al., 2024).

PyTorch's own orthogonalizes in bfloat16 always, which a processor without such instructions
emulates: an update then takes half a minute instead of seconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import torch

if TYPE_CHECKING:
    from collections.abc import Iterable

    from jaxtyping import Float
    from torch import Tensor, nn

__all__ = ["Muon", "orthogonal"]

_MOMENTUM: Final = 0.95

_QUINTIC: Final = (3.4445, -4.7750, 2.0315)
"""Coefficients of an iteration that brings singular values near 1 in few steps, not quite to it."""

_STEPS: Final = 5

_LIKE_ADAM: Final = 0.2
"""Root mean square of an update of AdamW at a learning rate of 1 (arXiv 2502.16982)."""


def orthogonal(
    matrices: Float[Tensor, "n rows columns"], *, half: bool = False
) -> Float[Tensor, "n rows columns"]:
    """Each matrix with its singular values brought between 0.5 and 1.5, by Newton-Schulz steps.

    Args:
        matrices: Of one shape.
        half: In bfloat16, where that is fast.
    """
    a, b, c = _QUINTIC
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.mT if tall else matrices
    x = x / x.norm(dim=(1, 2), keepdim=True).clamp_min(1e-7)
    x = x.bfloat16() if half else x
    for _ in range(_STEPS):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return (x.mT if tall else x).to(matrices.dtype)


class Muon(torch.optim.Optimizer):
    """Momentum, made orthogonal, as large as an update of AdamW.

    Matrices of one shape are orthogonalized together.

    Args:
        parameters: Matrices.
        weight_decay: Decoupled.
        half: Orthogonalize in bfloat16.
    """

    def __init__(
        self, parameters: Iterable[nn.Parameter], *, weight_decay: float, half: bool = False
    ) -> None:
        super().__init__(list(parameters), {"lr": 0.0, "weight_decay": weight_decay})
        self._half = half

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]
        """One update (Nesterov's momentum)."""
        for group in self.param_groups:
            alike: dict[torch.Size, list[Tensor]] = {}
            for parameter in group["params"]:
                if parameter.grad is not None:
                    alike.setdefault(parameter.shape, []).append(parameter)
            for (rows, columns), parameters in alike.items():
                updates = orthogonal(
                    torch.stack([self._gathered(one) for one in parameters]), half=self._half
                )
                size = group["lr"] * _LIKE_ADAM * max(rows, columns) ** 0.5
                for parameter, update in zip(parameters, updates, strict=True):
                    parameter.mul_(1 - group["lr"] * group["weight_decay"])
                    parameter.sub_(update, alpha=size)

    def _gathered(self, parameter: Tensor) -> Tensor:
        gradient = parameter.grad
        assert gradient is not None
        state = self.state[parameter]
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(parameter)
        momentum: Tensor = state["momentum_buffer"]
        momentum.lerp_(gradient, 1 - _MOMENTUM)
        return gradient.lerp(momentum, _MOMENTUM)
