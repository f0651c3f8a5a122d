"""From a checkpoint of the official trainer to the published layout.

The trainer stores its state by `accelerate`: a folder with the weights of the transformer and of
the projection in two files, beside optimizer and random states, and no configuration. What was not
trained (autoencoder, image encoder, scheduler) and the transformer's sizes come from a base: the
folder that the training began with, or a published model of the same kind.
"""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from safetensors.torch import save_file

from synthesis.errors import CheckpointError
from synthesis.families.svdrr.layout import (
    CONFIG,
    INDEX,
    WEIGHTS,
    fill,
    part_of,
    read_config,
    read_index,
    read_tensors,
)
from synthesis.families.svdrr.parts import (
    LATENT_CHANNELS,
    CCProjection,
    build_transformer,
    read_parts,
)

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["convert"]

_STATE: Final = re.compile(r"(model|pytorch_model)(_\d+)?\.(safetensors|bin)")
_PROJECTION: Final = {"projection.weight", "projection.bias"}
_ADDITIONAL: Final = "adaln_single.emb.resolution_embedder."

# What several GPUs, or compiling, put before every name.
_WRAPPED: Final = ("module.", "_orig_mod.")

_SHRINKAGE: Final = 8
_PIXELS_AT_SCALE_ONE: Final = 512
"""The trainer scales positions by its resolution over this."""

_INDEX: Final = {
    "_class_name": "SvdrrDiTPipeline",
    "cc_projection": ["pipeline_svdrr_DiT", "CCProjection"],
    "image_encoder": ["transformers", "CLIPVisionModelWithProjection"],
    "scheduler": ["diffusers", "DPMSolverMultistepScheduler"],
    "transformer": ["svdrr_transformer_2d", "SvdrrTransformer2DModel"],
    "vae": ["diffusers", "AutoencoderKL"],
}


def convert(checkpoint: Path, base: Path, out: Path, *, resolution: int) -> None:
    """Write a model in the published layout; it appears whole or not at all.

    Args:
        checkpoint: Folder that the trainer stored (``checkpoint-N``).
        base: Folder with ``vae/``, ``scheduler/``, ``image_encoder/`` and the configuration of a
            ``transformer/``, whose own weights are not needed.
        out: The model's folder, which must not be there yet.
        resolution: Side in pixels of the images that the training saw.

    Raises:
        CheckpointError: One of the three cannot be used; nothing is written then.
    """
    if out.exists():
        raise CheckpointError(f"{out} is there already: name a new folder")
    if resolution < 1 or resolution % (2 * _SHRINKAGE):
        raise CheckpointError(f"resolution is {resolution}: give a multiple of {2 * _SHRINKAGE}")
    transformer_weights, projection_weights = _trained(checkpoint)
    config = _transformer_config(base, resolution, additional=_has_additional(transformer_weights))
    transformer = build_transformer(config, base)
    fill(transformer, transformer_weights, checkpoint)
    width, inputs = projection_weights["projection.weight"].shape
    fill(CCProjection(inputs=inputs, outputs=width), projection_weights, checkpoint)

    partial = out.with_name(f"{out.name}.part")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        for name in ("vae", "scheduler", "image_encoder"):
            if not (base / name).is_dir():
                raise CheckpointError(
                    f"{base} lacks {name}/: name the model that the training began with"
                )
            shutil.copytree(base / name, partial / name)
        _store(partial / "transformer", config, transformer_weights)
        _store(
            partial / "cc_projection",
            {"_class_name": "CCProjection", "in_channel": inputs, "out_channel": width},
            projection_weights,
        )
        scheduler = read_config(partial, part_of("scheduler")).get("_class_name")
        index = {**_INDEX, "scheduler": ["diffusers", scheduler or _INDEX["scheduler"][1]]}
        (partial / INDEX).write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")
        read_index(partial)
        read_parts(partial)  # a model that could not be loaded must not appear
        partial.replace(out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _trained(checkpoint: Path) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Weights of the transformer and of the projection, told apart by their names."""
    if not checkpoint.is_dir():
        raise CheckpointError(f"there is no folder {checkpoint}: name a checkpoint of the trainer")
    files = sorted(file for file in checkpoint.iterdir() if _STATE.fullmatch(file.name))
    states = [_unwrapped(read_tensors(file)) for file in files]
    projections = [state for state in states if set(state) == _PROJECTION]
    transformers = [state for state in states if "pos_embed.proj.weight" in state]
    if len(projections) != 1 or len(transformers) != 1 or len(states) != 2:
        held = ", ".join(file.name for file in files) or "none"
        raise CheckpointError(
            f"{checkpoint} is no checkpoint of the official trainer: it needs the weights of one "
            f"transformer and one projection (model.safetensors, model_1.safetensors), it has "
            f"{held}"
        )
    return transformers[0], projections[0]


def _unwrapped(state: dict[str, Tensor]) -> dict[str, Tensor]:
    for prefix in (*_WRAPPED, *_WRAPPED):  # one may be around the other
        if state and all(name.startswith(prefix) for name in state):
            state = {name.removeprefix(prefix): value for name, value in state.items()}
    return state


def _has_additional(weights: dict[str, Tensor]) -> bool:
    return any(name.startswith(_ADDITIONAL) for name in weights)


def _transformer_config(base: Path, resolution: int, *, additional: bool) -> dict[str, Any]:
    """The base's sizes with what the trainer changes: channels, no captions, positions."""
    if not base.is_dir():
        raise CheckpointError(
            f"there is no folder {base}: name the model that the training began with"
        )
    return {
        **read_config(base, part_of("transformer")),
        "_class_name": "SvdrrTransformer2DModel",
        "in_channels": 2 * LATENT_CHANNELS,
        "out_channels": 2 * LATENT_CHANNELS,
        "caption_channels": None,
        "sample_size": resolution // _SHRINKAGE,
        "interpolation_scale": resolution / _PIXELS_AT_SCALE_ONE,
        "use_additional_conditions": additional,
    }


def _store(folder: Path, config: dict[str, Any], weights: dict[str, Tensor]) -> None:
    folder.mkdir(parents=True)
    text = json.dumps(config, indent=2, sort_keys=True)
    (folder / CONFIG).write_text(text + "\n", encoding="utf-8")
    tensors = {name: value.contiguous() for name, value in weights.items()}
    save_file(tensors, folder / WEIGHTS[0], metadata={"format": "pt"})
