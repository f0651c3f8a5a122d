"""The training loop: resumable at any moment, averaged weights, a line of figures as it goes."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from synthesis.checkpoint import Card, read, write
from synthesis.model import PRESETS, ViewTransformer
from synthesis.model.patching import at_resolution, resized_weights
from synthesis.training.batches import Batches
from synthesis.training.lessons import LESSONS
from synthesis.training.optimizer import Optimizer
from synthesis.training.precision import bfloat16_is_faster
from synthesis.training.processes import Processes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torch import Tensor

    from synthesis.training.recipe import Recipe, Stage

__all__ = ["Progress", "train"]


Lesson = tuple[float, float, float]
"""Loss, error and power of one update."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Where a run stands, every few updates.

    Attributes:
        stage: Index of the stage.
        resolution: Its resolution.
        samples: Targets seen in this stage.
        of: Targets the stage asks for.
        total: Targets seen in all.
        loss: Mean loss since the last report: squared error or energy score.
        error: Mean squared error of the expected image since then.
        power: Power of the detail drawn, in parts of the truth's, since then; NaN where the stage
            draws none.
        samples_per_s: Throughput since then.
    """

    stage: int
    resolution: int
    samples: int
    of: int
    total: int
    loss: float
    error: float
    power: float
    samples_per_s: float


def train(
    recipe: Recipe,
    folder: Path,
    *,
    report: Callable[[Progress], None],
    stop: Callable[[], bool] = lambda: False,
    watch: Callable[[Progress, ViewTransformer], None] = lambda progress, network: None,
    every: int = 50,
    processes: Processes | None = None,
) -> Path:
    """Run a recipe, or go on with it where its folder says it stopped.

    Args:
        recipe: What to do.
        folder: Gets ``state.pt`` (to go on) and ``ema.safetensors`` (to use).
        report: Called every ``every`` updates.
        stop: Asked after every update; True stores the state and returns.
        watch: Called after each report with the averaged network; it must leave it as it is.
        every: Updates between reports.
        processes: This one and its like, each with a device; left out, this one on the CPU. With
            several, only the first reports, watches and writes.

    Returns:
        Path of the averaged weights.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    if recipe.threads:
        torch.set_num_threads(recipe.threads)
    run = _Run(recipe, folder, processes or Processes("cpu"))
    while run.stage < len(recipe.stages):
        stage = recipe.stages[run.stage]
        _run_stage(run, stage, report, stop, watch, every)
        if run.samples < stage.samples:
            break
        run.next_stage()
    run.store()
    run.processes.wait()
    return folder / "ema.safetensors"


def _run_stage(
    run: _Run,
    stage: Stage,
    report: Callable[[Progress], None],
    stop: Callable[[], bool],
    watch: Callable[[Progress, ViewTransformer], None],
    every: int,
) -> None:
    processes = run.processes
    stored = reported = time.monotonic()
    taught: list[Lesson] = []
    while run.samples < stage.samples:
        taught.append(run.update(stage))
        now = time.monotonic()
        if len(taught) == every:
            if processes.first:
                progress = _progress(run, stage, taught, now - reported)
                report(progress)
                watch(progress, run.average)
            taught.clear()
            reported = time.monotonic()
        if now - stored > run.recipe.checkpoint_s:
            run.store()
            stored = now
        if processes.any(stop()):
            return


def _progress(run: _Run, stage: Stage, taught: Sequence[Lesson], seconds: float) -> Progress:
    count = len(taught)
    loss, error, power = (sum(column) / count for column in zip(*taught, strict=True))
    return Progress(
        stage=run.stage,
        resolution=stage.resolution,
        samples=run.samples,
        of=stage.samples,
        total=run.total,
        loss=loss,
        error=error,
        power=power,
        samples_per_s=count * run.batch(stage) / seconds,
    )


class _Run:
    """The state of a run: weights, their average, the optimiser, how far."""

    def __init__(self, recipe: Recipe, folder: Path, processes: Processes) -> None:
        self.recipe = recipe
        self.processes = processes
        self.folder = folder
        self.stage = self.samples = self.total = self.updates = 0
        self.batches = Batches(recipe)
        self.half = recipe.precision == "bfloat16" or (
            recipe.precision == "auto" and bfloat16_is_faster(processes.device)
        )
        torch.manual_seed(recipe.seed)
        self._build(recipe.stages[0].resolution)
        path = folder / "state.pt"
        if path.exists():
            self._restore(torch.load(path, map_location="cpu", weights_only=True))
        elif recipe.start:
            found = read(recipe.start)
            config = self.model.config
            self._carry(resized_weights(found.weights, found.config, config))

    def _build(self, resolution: int) -> None:
        config = at_resolution(PRESETS[self.recipe.preset], resolution)
        device = self.processes.device
        self.model = ViewTransformer(config).to(device)
        self.average = ViewTransformer(config).to(device)
        self.average.load_state_dict(self.model.state_dict())
        self._new_optimizer()

    def _carry(self, weights: Mapping[str, Tensor]) -> None:
        self.model.load_state_dict(weights)
        self.average.load_state_dict(weights)

    def _new_optimizer(self) -> None:
        stage = self.recipe.stages[min(self.stage, len(self.recipe.stages) - 1)]
        learning = LESSONS[stage.learns].learns
        for name, parameter in self.model.named_parameters():
            parameter.requires_grad_(learning(name))
        self.optimizer = Optimizer(
            self.model, weight_decay=self.recipe.weight_decay, half=self.half
        )

    def batch(self, stage: Stage) -> int:
        """Targets of one update, of all processes."""
        return stage.sources * stage.targets * self.processes.count

    def update(self, stage: Stage) -> Lesson:
        """One batch: its loss, the error of the expected image, the power of the detail."""
        if self.updates % 100 == 0:
            self.batches.refresh()
        recipe, processes = self.recipe, self.processes
        # A process's batches begin where the last one's end: no two draw the same.
        number = self.total + processes.rank * stage.sources * stage.targets
        batch = self.batches.draw(stage, number).to(processes.device)
        generator = torch.Generator().manual_seed(hash((recipe.seed, number, 7)) % 2**62)
        with torch.autocast(processes.device.type, torch.bfloat16, enabled=self.half):
            loss, error, power = LESSONS[stage.learns].teach(
                self.model, batch, stage.targets, generator, recipe.time_start
            )
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        processes.average_gradients(self.optimizer.parameters)
        torch.nn.utils.clip_grad_norm_(self.optimizer.parameters, 1.0)
        self.optimizer.step(self._learning_rate(stage))
        count = self.batch(stage)
        self.updates += 1
        self.samples += count
        self.total += count
        decay = min(recipe.ema, (1 + self.updates) / (10 + self.updates))
        with torch.no_grad():
            torch._foreach_lerp_(
                list(self.average.parameters()), list(self.model.parameters()), 1 - decay
            )
        return float(loss.detach()), error, power

    def _learning_rate(self, stage: Stage) -> float:
        done = self.samples / stage.samples
        warm = min(1.0, (self.samples / self.batch(stage) + 1) / self.recipe.warmup)
        left = min(1.0, (1 - done) / stage.decay) if stage.decay else 1.0
        return stage.learning_rate * warm * max(left, 0.05)

    def next_stage(self) -> None:
        """Carry the weights to the next resolution."""
        self.stage += 1
        self.samples = 0
        if self.stage == len(self.recipe.stages):
            return
        old = self.model.config
        average = {name: value.cpu() for name, value in self.average.state_dict().items()}
        self._build(self.recipe.stages[self.stage].resolution)
        self._carry(resized_weights(average, old, self.model.config))
        self.store()

    def store(self) -> None:
        """Write the state, then the weights to use; each file appears whole."""
        if not self.processes.first:
            return
        state: dict[str, Any] = {
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "progress": [self.stage, self.samples, self.total, self.updates],
        }
        partial = self.folder / "state.part"
        torch.save(state, partial)
        partial.replace(self.folder / "state.pt")
        trained = {
            "recipe": json.loads(json.dumps(asdict(self.recipe))),
            "samples": self.total,
            "resolution": self.model.config.resolution,
        }
        trained["recipe"].pop("cache")
        trained["recipe"].pop("start")
        write(
            self.folder / "ema.safetensors",
            self.average,
            Card(name=self.recipe.name, version=f"{self.total} samples", steps=2, trained=trained),
        )

    def _restore(self, state: dict[str, Any]) -> None:
        self.stage, self.samples, self.total, self.updates = state["progress"]
        last = min(self.stage, len(self.recipe.stages) - 1)  # a finished run stays in its last
        self._build(self.recipe.stages[last].resolution)
        self.model.load_state_dict(state["model"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
