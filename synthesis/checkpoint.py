"""Checkpoints: one safetensors file with sizes and card inside, strict, known by its digest."""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from synthesis.errors import CheckpointError
from synthesis.model import ModelConfig, ViewTransformer
from synthesis.types import ModelIdentity

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["BUNDLED", "Card", "Checkpoint", "bundled_path", "read", "write"]

BUNDLED: Final = "bundled"
"""Stands for the path of the weights that come with the package."""

_FORMAT: Final = "vcdit-3"


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """What a checkpoint says about itself.

    Attributes:
        name: Short name.
        version: Of the weights.
        steps: Default network evaluations a view.
        trained: How it came to be (resolution, samples, patients ...), for people and for records.
    """

    name: str
    version: str
    steps: int
    trained: Mapping[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoint:
    """A file as read: sizes, card, weights (float32) and the digest of its bytes."""

    config: ModelConfig
    card: Card
    weights: Mapping[str, Tensor]
    digest: str

    def identity(self) -> ModelIdentity:
        """For requests and records."""
        return ModelIdentity(
            name=self.card.name,
            version=self.card.version,
            family="vcdit",
            digest=self.digest,
            resolution=self.config.resolution,
            default_steps=self.card.steps,
        )

    def model(self) -> ViewTransformer:
        """The network in evaluation mode.

        Raises:
            CheckpointError: The weights do not fit the sizes.
        """
        network = ViewTransformer(self.config)
        try:
            network.load_state_dict(self.weights, strict=True)
        except (RuntimeError, KeyError) as error:
            raise CheckpointError(f"weights do not fit their configuration: {error}") from error
        return network.eval()


def bundled_path() -> Path:
    """The weights that come with the package."""
    return Path(__file__).parent / "weights" / "chest.safetensors"


def write(path: Path, model: ViewTransformer, card: Card, *, half: bool = False) -> None:
    """Store a network; with ``half`` as float16, which halves the file.

    The file appears whole or not at all.
    """
    dtype = torch.float16 if half else torch.float32
    weights = {
        name: value.detach().to("cpu", dtype).contiguous()
        for name, value in model.state_dict().items()
    }
    described = {
        "name": card.name,
        "version": card.version,
        "steps": card.steps,
        "trained": dict(card.trained),
    }
    metadata = {
        "format": _FORMAT,
        "config": json.dumps(model.config.to_dict(), sort_keys=True),
        "card": json.dumps(described, sort_keys=True),
    }
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".part")
    partial.write_bytes(save(weights, metadata=metadata))
    partial.replace(path)


def read(path: Path | str) -> Checkpoint:
    """Read and check a checkpoint; `BUNDLED` names the packaged one.

    Raises:
        CheckpointError: The file is missing, broken, of another format, or not finite.
    """
    path = bundled_path() if str(path) == BUNDLED else Path(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"no checkpoint at {path}: {error.strerror}") from error
    try:
        metadata = _metadata(data)
        weights = load(data)
    except (SafetensorError, ValueError, struct.error) as error:
        raise CheckpointError(f"{path.name} is no safetensors file: {error}") from error
    if metadata.get("format") != _FORMAT:
        raise CheckpointError(
            f"{path.name} has format {metadata.get('format')!r}, this version reads {_FORMAT!r}"
        )
    try:
        config = ModelConfig.from_dict(json.loads(metadata["config"]))
        card = Card(**json.loads(metadata["card"]))
    except (KeyError, TypeError, json.JSONDecodeError) as error:
        raise CheckpointError(f"{path.name} lacks its configuration or card: {error}") from error
    for name, value in weights.items():
        if not torch.isfinite(value).all():
            raise CheckpointError(f"{path.name}: {name} holds NaN or infinity")
    return Checkpoint(
        config=config,
        card=card,
        weights={name: value.float() for name, value in weights.items()},
        digest=hashlib.sha256(data).hexdigest(),
    )


def _metadata(data: bytes) -> dict[str, str]:
    # Layout of the format: length of the header (8 bytes, little endian), then JSON.
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    metadata = header.get("__metadata__") if isinstance(header, dict) else None
    return metadata if isinstance(metadata, dict) else {}
