"""``train``: a recipe into weights."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from synthesis.cli.screen import progress_bar

__all__ = ["train"]


def train(
    recipe: Annotated[Path, typer.Option(metavar="FILE", help="What to train, as YAML.")],
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Of the run.", show_default=".training/NAME"),
    ] = None,
    cache: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Rendered shards.", show_default="the recipe's"),
    ] = None,
    device: Annotated[str, typer.Option(help="Of torch: auto, cpu, cuda ...")] = "auto",
    pictures: Annotated[
        float, typer.Option(min=0.0, help="Minutes between pictures of fixed views; 0 = none.")
    ] = 10.0,
    tensorboard: Annotated[
        bool, typer.Option(help="Write figures and pictures into the run's folder.")
    ] = True,
) -> None:
    """Train by a recipe; SIGTERM or Ctrl-C stores the run, and run again it goes on."""
    from dataclasses import replace

    from synthesis.training.loop import Progress
    from synthesis.training.loop import train as run
    from synthesis.training.processes import Processes
    from synthesis.training.recipe import load_recipe
    from synthesis.training.watching import Watcher

    plan = load_recipe(recipe)
    if cache is not None:
        plan = replace(plan, cache=str(cache))
    folder = out or Path(".training") / plan.name
    stopped = _stop_signal()
    processes = Processes(device)
    watcher = (
        Watcher(plan, folder, grid_s=60.0 * pictures) if tensorboard and processes.first else None
    )
    with progress_bar(shown=processes.first) as bar:
        task = bar.add_task("starting", total=sum(stage.samples for stage in plan.stages))

        def report(progress: Progress) -> None:
            power = "" if math.isnan(progress.power) else f", power {progress.power:.2f}"
            words = (
                f"{progress.resolution} px, loss {progress.loss:.4f}, error "
                f"{progress.error:.5f}{power}, {progress.samples_per_s:.1f} samples/s"
            )
            bar.update(task, description=words, completed=progress.total)
            if not bar.console.is_terminal:
                sys.stderr.write(f"{progress.total} samples: {words}\n")

        weights = run(
            plan,
            folder,
            report=report,
            stop=stopped,
            watch=watcher or (lambda progress, network: None),
            processes=processes,
        )
    if watcher is not None:
        watcher.close()
    if processes.first:
        typer.echo(f"{'stopped, stored' if stopped() else 'trained'}: {weights}")


def _stop_signal() -> Callable[[], bool]:
    """Asks whether SIGTERM or SIGINT has come since."""
    import signal
    import threading

    came = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: came.set())
    return came.is_set
