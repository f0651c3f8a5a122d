"""A training run as one frozen value, read from YAML."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final

import yaml

from synthesis.errors import CheckpointError, SynthesisError
from synthesis.model import PRESETS
from synthesis.model.patching import at_resolution

__all__ = ["Recipe", "RecipeError", "Stage", "load_recipe"]

LESSONS: Final = ("expectation", "detail")
"""Values of `Stage.learns`."""

PRECISIONS: Final = ("auto", "float32", "bfloat16")
"""Values of `Recipe.precision`."""


class RecipeError(SynthesisError, ValueError):
    """A recipe that cannot be run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One step of the weak-to-strong curriculum.

    Attributes:
        resolution: Side of the images in pixels.
        samples: Targets to see in this stage.
        learns: ``expectation``, the trunk by squared error; or ``detail``, the network that draws
            samples around it by the energy score, while the trunk stays as it is.
        sources: Sources in a batch.
        targets: Targets of each source in a batch.
        learning_rate: After warm-up.
        decay: Share of the stage, at its end, over which the learning rate falls to a twentieth.
    """

    resolution: int
    samples: int
    learns: str = "expectation"
    sources: int = 6
    targets: int = 4
    learning_rate: float = 8e-4
    decay: float = 0.3

    @property
    def exact(self) -> bool:
        """Whether its bodies must be as sharp as scanned: detail is learned of no blurred ones."""
        return self.learns == "detail"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Everything a run depends on.

    Attributes:
        name: Of the weights it makes.
        preset: Sizes, a name of `synthesis.model.PRESETS`.
        cache: Folder of rendered shards.
        validate: Patients kept out of training.
        stages: In order.
        start: Checkpoint to start from (``bundled`` names the packaged one); nothing: random.
        seed: Of weights and draws.
        warmup: Updates of rising learning rate at the start of each stage.
        weight_decay: Of the matrices.
        ema: Decay of the averaged weights.
        time_start: Share of the detail's samples at time 0 exactly.
        tone_share: Share of sources (with their targets) under a random tone curve.
        mix_share: Share of sources (with their targets) whose body is mixed with another patient's.
        source_share: Share of sources made to look like exposures: noise, markers, collimation.
        checkpoint_s: Seconds between checkpoints.
        precision: Of the network's arithmetic: ``float32``, ``bfloat16`` or ``auto``, the faster of
            the two on this machine. Weights, loss and optimiser stay in float32.
        threads: Of torch; 0 leaves it alone.
    """

    name: str
    preset: str
    cache: str
    stages: tuple[Stage, ...]
    validate: tuple[str, ...] = ()
    start: str = ""
    seed: int = 0
    warmup: int = 300
    weight_decay: float = 0.05
    ema: float = 0.9995
    time_start: float = 0.5
    tone_share: float = 0.5
    source_share: float = 0.6
    mix_share: float = 0.0
    checkpoint_s: float = 180.0
    precision: str = "auto"
    threads: int = 0


def load_recipe(path: Path) -> Recipe:
    """Read a recipe.

    Raises:
        RecipeError: It is no YAML mapping, or a key is unknown, missing or of the wrong type.
    """
    try:
        data = yaml.safe_load(Path(path).read_text())
    except (OSError, yaml.YAMLError) as error:
        raise RecipeError(f"{path}: {error}") from error
    if not isinstance(data, dict):
        raise RecipeError(f"{path}: a recipe is a mapping")
    stages = data.pop("stages", None)
    if not isinstance(stages, list) or not stages:
        raise RecipeError(f"{path}: stages: give a list of at least one stage")
    kept_out = data.get("validate", [])
    if not isinstance(kept_out, list) or not all(isinstance(name, str) for name in kept_out):
        raise RecipeError(f"{path}: validate: give a list of patients")
    recipe: Recipe = _build(
        Recipe,
        {
            **data,
            "stages": tuple(
                _build(Stage, stage, f"{path}: stages[{i}]") for i, stage in enumerate(stages)
            ),
            "validate": tuple(kept_out),
        },
        str(path),
    )
    if recipe.preset not in PRESETS:
        raise RecipeError(f"{path}: preset: {recipe.preset!r} is not one of {sorted(PRESETS)}")
    if recipe.precision not in PRECISIONS:
        raise RecipeError(f"{path}: precision: {recipe.precision!r} is not one of {PRECISIONS}")
    for i, stage in enumerate(recipe.stages):
        if min(stage.resolution, stage.samples, stage.sources, stage.targets) < 1:
            raise RecipeError(
                f"{path}: stages[{i}]: resolution, samples, sources, targets are >= 1"
            )
        if stage.learns not in LESSONS:
            raise RecipeError(
                f"{path}: stages[{i}]: learns: {stage.learns!r} is not one of {LESSONS}"
            )
        try:
            at_resolution(PRESETS[recipe.preset], stage.resolution)
        except CheckpointError as error:
            raise RecipeError(f"{path}: stages[{i}]: {error}") from error
    return recipe


_KINDS = {"int": (int,), "float": (int, float), "str": (str,)}
"""What YAML may give for a field of a type. It reads 5e-4, without a point, as text."""


def _build(kind: type[Any], values: Any, where: str) -> Any:
    if not isinstance(values, dict):
        raise RecipeError(f"{where}: expected a mapping")
    unknown = sorted(set(values) - {f.name for f in fields(kind)})
    if unknown:
        raise RecipeError(f"{where}: unknown keys {', '.join(unknown)}")
    types = {f.name: str(f.type) for f in fields(kind)}
    for name, value in values.items():
        wanted = _KINDS.get(types[name], (object,))
        if not isinstance(value, wanted) or isinstance(value, bool):
            raise RecipeError(f"{where}: {name}: {value!r} is no {types[name]}")
    try:
        return kind(**values)
    except TypeError as error:
        raise RecipeError(f"{where}: {error}") from error
