"""The folder of a published model: what has to lie in it, and what each part has to be.

    model_index.json     names the parts
    vae/                 AutoencoderKL of SDXL
    scheduler/           scheduler_config.json
    image_encoder/       CLIPVisionModelWithProjection
    transformer/         SvdrrTransformer2DModel, PixArt-Sigma's transformer of 8 channels
    cc_projection/       one linear layer, ``projection``

Parts hold ``config.json`` and weights as safetensors, or as a pickle of tensors alone (``.bin``).
Everything is checked: nothing missing, nothing left over, every shape as configured.
"""

from __future__ import annotations

import json
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from synthesis.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor, nn

__all__ = [
    "CONFIG",
    "INDEX",
    "PARTS",
    "SCHEDULER_CONFIG",
    "WEIGHTS",
    "Part",
    "fill",
    "part_of",
    "read_config",
    "read_index",
    "read_tensors",
    "read_weights",
]

INDEX: Final = "model_index.json"
CONFIG: Final = "config.json"
SCHEDULER_CONFIG: Final = "scheduler_config.json"

WEIGHTS: Final = (
    "diffusion_pytorch_model.safetensors",
    "model.safetensors",
    "diffusion_pytorch_model.bin",
    "pytorch_model.bin",
)
"""Names of a part's weights; the first that is there is read."""

_SHOWN: Final = 3

# What the two readers of weights say of a file that is cut short, garbled or forbidden.
_BROKEN: Final = (
    SafetensorError, pickle.UnpicklingError, EOFError, OSError, RuntimeError, ValueError, KeyError,
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One folder of the layout.

    Attributes:
        name: Of the folder.
        classes: What its configuration may call itself.
        config: Name of the file of its configuration.
        config_needed: False where the sizes follow from the other parts.
    """

    name: str
    classes: tuple[str, ...]
    config: str = CONFIG
    config_needed: bool = True


PARTS: Final = (
    Part(name="vae", classes=("AutoencoderKL",)),
    Part(
        name="scheduler",
        # The trainer stores its own scheduler, whose table of noise is the same.
        classes=("DPMSolverMultistepScheduler", "DDPMScheduler"),
        config=SCHEDULER_CONFIG,
    ),
    Part(name="image_encoder", classes=("CLIPVisionModelWithProjection",)),
    Part(name="transformer", classes=("SvdrrTransformer2DModel", "PixArtTransformer2DModel")),
    Part(name="cc_projection", classes=("CCProjection",), config_needed=False),
)
"""All parts of a model."""


def part_of(name: str) -> Part:
    """The part of this name."""
    return next(part for part in PARTS if part.name == name)


def read_index(folder: Path) -> None:
    """Check that the folder is a model of this layout, before anything large is read.

    Raises:
        CheckpointError: The folder, its index or a part is missing, or the index names a part of
            another kind.
    """
    if not folder.is_dir():
        raise CheckpointError(
            f"there is no folder {folder}: name the folder of a published model, with {INDEX} in it"
        )
    index = _read_json(folder / INDEX)
    for part in PARTS:
        if not (folder / part.name).is_dir():
            raise CheckpointError(
                f"{folder} lacks its part {part.name}/: copy the whole model, "
                f"{', '.join(each.name for each in PARTS)} and {INDEX}"
            )
        named = index.get(part.name)
        if part.name in index and not (
            isinstance(named, list) and len(named) == 2 and named[1] in part.classes
        ):
            raise CheckpointError(
                f"{folder / INDEX} says that {part.name} is {named}: this family reads "
                f"{' or '.join(part.classes)}"
            )


def read_config(folder: Path, part: Part) -> dict[str, Any]:
    """The configuration of a part; empty where it may be left out and is.

    Raises:
        CheckpointError: It is missing, broken, or of another class.
    """
    path = folder / part.name / part.config
    if not part.config_needed and not path.exists():
        return {}
    config = _read_json(path)
    # Transformers' own configurations list the class, those of diffusers name it.
    said = [config["_class_name"]] if "_class_name" in config else config.get("architectures") or []
    if said and not set(said) & set(part.classes):
        raise CheckpointError(
            f"{path} is of class {', '.join(map(str, said))}: this family reads "
            f"{' or '.join(part.classes)}"
        )
    return config


def read_weights(folder: Path, part: Part) -> dict[str, Tensor]:
    """The weights of a part, float32, by name.

    Raises:
        CheckpointError: They are missing or broken, or hold NaN or infinity.
    """
    for name in WEIGHTS:
        path = folder / part.name / name
        if path.is_file():
            return read_tensors(path)
    raise CheckpointError(
        f"{folder / part.name} holds no weights: it needs {WEIGHTS[0]} "
        f"(or {', '.join(WEIGHTS[1:])}); copy the part again"
    )


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Tensors of a safetensors file, or of a pickle that holds nothing else, as float32.

    Raises:
        CheckpointError: The file is broken, or holds other things, NaN or infinity.
    """
    try:
        if path.suffix == ".safetensors":
            found: Any = load_file(path)
        else:  # `weights_only` builds tensors and containers: the file cannot run anything
            found = torch.load(path, map_location="cpu", weights_only=True)
    except _BROKEN as error:
        reason = str(error).partition("\n")[0]
        raise CheckpointError(f"{path} cannot be read: {reason}; copy it again") from error
    if not isinstance(found, dict) or not all(torch.is_tensor(value) for value in found.values()):
        raise CheckpointError(f"{path} is no table of weights: copy the part again")
    for name, value in found.items():
        if not torch.isfinite(value).all():
            raise CheckpointError(f"{path}: {name} holds NaN or infinity")
    return {str(name): value.float() for name, value in found.items()}


def fill(module: nn.Module, weights: Mapping[str, Tensor], where: Path) -> None:
    """Put weights into a module, every one of both.

    Raises:
        CheckpointError: One is missing, left over, or of another shape.
    """
    wanted = {name: tuple(value.shape) for name, value in module.state_dict().items()}
    given = {name: tuple(value.shape) for name, value in weights.items()}
    problems = {
        "are missing": [name for name in wanted if name not in given],
        "are left over": [name for name in given if name not in wanted],
        "have another shape": [
            f"{name} {given[name]} instead of {shape}"
            for name, shape in wanted.items()
            if name in given and given[name] != shape
        ],
    }
    said = [
        f"{len(names)} {what} ({', '.join(names[:_SHOWN])}{', ...' if len(names) > _SHOWN else ''})"
        for what, names in problems.items()
        if names
    ]
    if said:
        raise CheckpointError(
            f"the weights in {where} do not fit the configuration beside them: {'; '.join(said)}; "
            "take both from the same model"
        )
    module.load_state_dict(dict(weights), strict=True)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise CheckpointError(f"there is no {path}: copy the whole model") from error
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} cannot be read as JSON: {error}; copy it again") from error
    if not isinstance(found, dict):
        raise CheckpointError(f"{path} is no JSON object: copy it again")
    return found
