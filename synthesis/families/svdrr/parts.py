"""The networks of a published model, built by their configurations and filled strictly."""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from torch import nn

from synthesis.errors import CheckpointError
from synthesis.families.svdrr.layout import (
    CONFIG,
    fill,
    part_of,
    read_config,
    read_index,
    read_weights,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

__all__ = [
    "LATENT_CHANNELS",
    "POSE_VALUES",
    "CCProjection",
    "Parts",
    "build_transformer",
    "read_parts",
]

LATENT_CHANNELS: Final = 4
"""Of the autoencoder; the transformer reads a noisy and a source latent, 8 together."""

POSE_VALUES: Final = 4
"""Numbers that describe the pose beside the image embedding."""

_NO_EXTRA: Final = (
    "the published weights need diffusers and transformers: install dicom-node[svdrr]"
)

# What the sampler's configuration may say, or leave out.
_SAMPLER: Final = {
    "algorithm_type": ("dpmsolver++",),
    "prediction_type": ("epsilon",),
    "variance_type": ("fixed_small", "fixed_small_log", "fixed_large", "fixed_large_log"),
}

# Names that the autoencoder's attention had in older files, and their names now.
_OLD_ATTENTION: Final = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}


class CCProjection(nn.Module):
    """Image embedding and pose -> the one token of the cross-attention."""

    def __init__(self, *, inputs: int, outputs: int) -> None:
        super().__init__()
        self.projection = nn.Linear(inputs, outputs)

    def forward(self, condition: Tensor) -> Tensor:
        """(..., inputs) -> (..., outputs)."""
        token: Tensor = self.projection(condition)
        return token


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Parts:
    """A model as read, in evaluation mode, float32.

    Attributes:
        vae: `diffusers.AutoencoderKL`.
        image_encoder: `transformers.CLIPVisionModelWithProjection`.
        transformer: `diffusers.PixArtTransformer2DModel`.
        projection: `CCProjection`.
        scheduler: Configuration of the sampler.
        clip_pixels: Side of the image that the image encoder reads.
        shrinkage: Pixels to one of the latent's.
        patch: Latent pixels to a token.
    """

    vae: Any
    image_encoder: Any
    transformer: Any
    projection: CCProjection
    scheduler: Mapping[str, Any]
    clip_pixels: int
    shrinkage: int
    patch: int

    @property
    def resolution(self) -> int:
        """Side in pixels of the images that the model was trained on."""
        return int(self.transformer.config.sample_size) * self.shrinkage


def read_parts(folder: Path) -> Parts:
    """Read a model of the published layout.

    Raises:
        CheckpointError: A part is missing, broken, or does not fit the others, or diffusers or
            transformers is not installed.
    """
    read_index(folder)
    vae = _build_vae(folder)
    encoder, clip_pixels, embedding = _build_encoder(folder)
    transformer = build_transformer(read_config(folder, part_of("transformer")), folder)
    fill(transformer, read_weights(folder, part_of("transformer")), folder / "transformer")
    projection = _build_projection(folder, embedding, int(transformer.config.cross_attention_dim))
    for module in (vae, encoder, transformer, projection):
        module.requires_grad_(False).eval()
    return Parts(
        vae=vae,
        image_encoder=encoder,
        transformer=transformer,
        projection=projection,
        scheduler=_scheduler_config(folder),
        clip_pixels=clip_pixels,
        shrinkage=2 ** (len(vae.config.block_out_channels) - 1),
        patch=int(transformer.config.patch_size),
    )


def build_transformer(config: Mapping[str, Any], folder: Path) -> Any:
    """An untrained transformer of this configuration.

    Args:
        config: Of the part.
        folder: Of the model, for error messages.

    Raises:
        CheckpointError: It is not that of a published model.
    """
    where = folder / "transformer" / CONFIG
    for key, wanted in (
        ("in_channels", 2 * LATENT_CHANNELS),
        ("out_channels", 2 * LATENT_CHANNELS),
        ("caption_channels", None),
        ("attention_type", "default"),
    ):
        if key in config and config[key] != wanted:
            raise CheckpointError(
                f"{where}: {key} is {config[key]}, a published model has {wanted}: take a model "
                "trained by the official trainer"
            )
    try:
        from diffusers import PixArtTransformer2DModel
    except ImportError as error:
        raise CheckpointError(_NO_EXTRA) from error
    fixed = {"in_channels": 2 * LATENT_CHANNELS, "out_channels": 2 * LATENT_CHANNELS}
    transformer = _built(PixArtTransformer2DModel, {**config, **fixed}, where)
    if transformer.config.cross_attention_dim is None:
        raise CheckpointError(f"{where}: cross_attention_dim is null, so no condition is read")
    return transformer


def _build_vae(folder: Path) -> Any:
    try:
        from diffusers import AutoencoderKL
    except ImportError as error:
        raise CheckpointError(_NO_EXTRA) from error
    part = part_of("vae")
    where = folder / part.name / CONFIG
    vae = _built(AutoencoderKL, read_config(folder, part), where)
    for key, wanted in (("latent_channels", LATENT_CHANNELS), ("in_channels", 3)):
        if vae.config[key] != wanted:
            raise CheckpointError(
                f"{where}: {key} is {vae.config[key]}, a published model has {wanted}"
            )
    weights = {_renamed(name): value for name, value in read_weights(folder, part).items()}
    fill(vae, weights, folder / part.name)
    return vae


def _build_encoder(folder: Path) -> tuple[Any, int, int]:
    try:
        from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection
    except ImportError as error:
        raise CheckpointError(_NO_EXTRA) from error
    part = part_of("image_encoder")
    where = folder / part.name / CONFIG
    try:
        config = CLIPVisionConfig.from_dict(read_config(folder, part))
        encoder = CLIPVisionModelWithProjection(config)
    except (TypeError, ValueError, KeyError, ZeroDivisionError) as error:
        raise CheckpointError(f"{where} cannot be built: {error}") from error
    weights = read_weights(folder, part)
    weights.pop("vision_model.embeddings.position_ids", None)  # a constant that old files hold
    fill(encoder, weights, folder / part.name)
    return encoder, int(config.image_size), int(config.projection_dim)


def _build_projection(folder: Path, embedding: int, width: int) -> CCProjection:
    part = part_of("cc_projection")
    config = read_config(folder, part)
    for key, wanted, source in (
        ("in_channel", embedding + POSE_VALUES, "image_encoder's projection_dim and the pose"),
        ("out_channel", width, "transformer's cross_attention_dim"),
    ):
        if config.get(key, wanted) != wanted:
            raise CheckpointError(
                f"{folder / part.name / part.config}: {key} is {config[key]}, but {source} make "
                f"{wanted}: take all parts from the same model"
            )
    projection = CCProjection(inputs=embedding + POSE_VALUES, outputs=width)
    fill(projection, read_weights(folder, part), folder / part.name)
    return projection


def _scheduler_config(folder: Path) -> Mapping[str, Any]:
    part = part_of("scheduler")
    config = read_config(folder, part)
    where = folder / part.name / part.config
    for key, good in _SAMPLER.items():
        if config.get(key) not in (*good, None):
            raise CheckpointError(
                f"{where}: {key} is {config[key]}, a published model has {good[0]}"
            )
    return {name: value for name, value in config.items() if not name.startswith("_")}


def _built(kind: Any, config: Mapping[str, Any], where: Path) -> Any:
    """A module of diffusers with those of the settings that it knows."""
    known = set(inspect.signature(kind.__init__).parameters)
    try:
        return kind(**{name: value for name, value in config.items() if name in known})
    except (TypeError, ValueError, KeyError, NotImplementedError, ZeroDivisionError) as error:
        raise CheckpointError(f"{where} cannot be built: {error}") from error


def _renamed(name: str) -> str:
    old = re.fullmatch(r"(.*\.attentions\.\d+\.)(query|key|value|proj_attn)(\..*)", name)
    return f"{old[1]}{_OLD_ATTENTION[old[2]]}{old[3]}" if old else name
