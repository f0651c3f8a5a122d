"""Cross-attention to one token, as the constant that it is.

A softmax over one key is 1, so the attention's output is its value, whatever is asked: one vector
a block, the same for every position and every step. It is computed once for each view, and the
queries and keys never are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

__all__ = ["collapse", "constants"]


class _Constant:
    """Stands for the attention of one block: takes its vector out of those of all blocks."""

    def __init__(self, block: int) -> None:
        self._block = block

    def __call__(
        self,
        attention: Any,  # of diffusers, whose signature this is
        hidden_states: Tensor,
        encoder_hidden_states: Float[Tensor, "batch blocks width"],
        attention_mask: Tensor | None = None,
    ) -> Float[Tensor, "batch tokens width"]:
        vector = encoder_hidden_states[:, self._block, None]
        return vector.expand(-1, hidden_states.shape[1], -1)


def collapse(transformer: Any) -> None:
    """Make a `PixArtTransformer2DModel` take `constants` for its ``encoder_hidden_states``."""
    for index, block in enumerate(transformer.transformer_blocks):
        block.attn2.set_processor(_Constant(index))


def constants(
    transformer: Any, tokens: Float[Tensor, "batch channels"]
) -> Float[Tensor, "batch blocks width"]:
    """What the cross-attention of every block answers, for batches of one token each."""
    return torch.stack(
        [
            block.attn2.to_out[0](block.attn2.to_v(tokens)) / block.attn2.rescale_output_factor
            for block in transformer.transformer_blocks
        ],
        dim=1,
    )
