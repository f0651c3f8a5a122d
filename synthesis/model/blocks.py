"""Building blocks: modulation, attention with rotary positions, SwiGLU, convolutions."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import nn

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

__all__ = [
    "ConvBlock",
    "CrossBlock",
    "EncoderBlock",
    "Rotary",
    "modulate",
    "sinusoids",
]


def modulate(
    x: Float[Tensor, "b n d"], shift: Float[Tensor, "b d"], scale: Float[Tensor, "b d"]
) -> Float[Tensor, "b n d"]:
    """Adaptive normalisation's shift and scale (DiT, arXiv 2212.09748)."""
    return torch.addcmul(shift[:, None], x, 1 + scale[:, None])


def sinusoids(values: Float[Tensor, " b"], width: int) -> Float[Tensor, "b width"]:
    """Sine and cosine features of a number in [0, 1], from one period to a thousand."""
    count = width // 2
    rates = torch.exp(torch.linspace(0.0, math.log(1000.0), count, device=values.device))
    angles = values[:, None] * rates
    return torch.cat([angles.sin(), angles.cos()], dim=1)


class Rotary(nn.Module):
    """Rotary positions in two dimensions, in units that do not depend on the number of tokens.

    The side of the image is 16 units at every resolution, so that weights trained on one token
    grid read another.
    """

    sine: Tensor
    cosine: Tensor

    def __init__(self, token_grid: int, head_width: int) -> None:
        super().__init__()
        rates = 100.0 ** -(torch.arange(head_width // 4) / (head_width // 4))
        place = (torch.arange(token_grid) + 0.5) / token_grid * 16.0
        rows, columns = torch.meshgrid(place, place, indexing="ij")
        angles = torch.cat(
            [rows.flatten()[:, None] * rates, columns.flatten()[:, None] * rates], dim=1
        )
        self.register_buffer("sine", angles.sin(), persistent=False)
        self.register_buffer("cosine", angles.cos(), persistent=False)

    def forward(self, x: Float[Tensor, "b heads n c"]) -> Float[Tensor, "b heads n c"]:
        """Turn each pair of channels by its position's angle."""
        a, b = x.chunk(2, dim=-1)
        return torch.cat([a * self.cosine - b * self.sine, a * self.sine + b * self.cosine], dim=-1)


class Attention(nn.Module):
    """Multi-head attention with normalised queries and keys."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width, bias=False)
        self.key_value = nn.Linear(width, 2 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.query_norm = nn.RMSNorm(width // heads)
        self.key_norm = nn.RMSNorm(width // heads)

    def _split(self, x: Float[Tensor, "b n d"]) -> Float[Tensor, "b heads n c"]:
        return x.view(*x.shape[:2], self.heads, -1).transpose(1, 2)

    def keys_values(self, x: Float[Tensor, "b n d"], rotary: Rotary) -> tuple[Tensor, Tensor]:
        """Keys and values (b, heads, n, c) of what is attended to."""
        key, value = self.key_value(x).chunk(2, dim=-1)
        return rotary(self.key_norm(self._split(key))), self._split(value)

    def forward(
        self, x: Float[Tensor, "b n d"], rotary: Rotary, key: Tensor, value: Tensor
    ) -> Float[Tensor, "b n d"]:
        """Attend from x to the given keys and values."""
        query = rotary(self.query_norm(self._split(self.query(x))))
        mixed = F.scaled_dot_product_attention(query, key, value)
        out: Tensor = self.out(mixed.transpose(1, 2).flatten(2))
        return out


class SwiGLU(nn.Module):
    """Gated feed-forward of two thirds of four times the width (arXiv 2002.05202)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        hidden = 8 * round(width / 3)
        self.gate_up = nn.Linear(width, 2 * hidden, bias=False)
        self.down = nn.Linear(hidden, width, bias=False)

    def forward(self, x: Float[Tensor, "b n d"]) -> Float[Tensor, "b n d"]:
        """One position at a time."""
        gate, up = self.gate_up(x).chunk(2, dim=-1)
        out: Tensor = self.down(F.silu(gate) * up)
        return out


class EncoderBlock(nn.Module):
    """A plain block that reads the source."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.attention_norm = nn.RMSNorm(width)
        self.attention = Attention(width, heads)
        self.feed_norm = nn.RMSNorm(width)
        self.feed = SwiGLU(width)

    def forward(self, x: Float[Tensor, "b n d"], rotary: Rotary) -> Float[Tensor, "b n d"]:
        """Self-attention, then feed-forward."""
        h = self.attention_norm(x)
        x = x + self.attention(h, rotary, *self.attention.keys_values(h, rotary))
        out: Tensor = x + self.feed(self.feed_norm(x))
        return out


class CrossBlock(nn.Module):
    """A block of the trunk: self-attention, attention to the source, feed-forward.

    Modulation comes from one projection shared by all blocks plus a table of each block's own
    (PixArt's adaLN-single, arXiv 2310.00426).
    """

    MODULATIONS = 9

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.self_norm = nn.RMSNorm(width, elementwise_affine=False)
        self.self_attention = Attention(width, heads)
        self.cross_norm = nn.RMSNorm(width, elementwise_affine=False)
        self.cross_attention = Attention(width, heads)
        self.feed_norm = nn.RMSNorm(width, elementwise_affine=False)
        self.feed = SwiGLU(width)
        self.table = nn.Parameter(torch.zeros(self.MODULATIONS, width))

    def forward(
        self,
        x: Float[Tensor, "b n d"],
        modulation: Float[Tensor, "b 9 d"],
        rotary: Rotary,
        source: tuple[Tensor, Tensor],
    ) -> Float[Tensor, "b n d"]:
        """One block; ``source`` holds this block's keys and values of the source."""
        m = (modulation + self.table).unbind(dim=1)
        h = modulate(self.self_norm(x), m[0], m[1])
        keys_values = self.self_attention.keys_values(h, rotary)
        x = x + m[2][:, None] * self.self_attention(h, rotary, *keys_values)
        h = modulate(self.cross_norm(x), m[3], m[4])
        x = x + m[5][:, None] * self.cross_attention(h, rotary, *source)
        h = modulate(self.feed_norm(x), m[6], m[7])
        out: Tensor = x + m[8][:, None] * self.feed(h)
        return out


class ConvBlock(nn.Module):
    """A residual pair of 3 x 3 convolutions, modulated between them where a condition is given."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(8, width)
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)

    def forward(
        self,
        x: Float[Tensor, "b c h w"],
        shift_scale: tuple[Float[Tensor, "b c"], Float[Tensor, "b c"]] | None = None,
    ) -> Float[Tensor, "b c h w"]:
        """Same shape."""
        h = self.first(F.silu(self.norm(x)))
        if shift_scale is not None:
            shift, scale = (part[:, :, None, None] for part in shift_scale)
            h = torch.addcmul(shift, h, 1 + scale)
        out: Tensor = x + self.second(F.silu(h))
        return out
