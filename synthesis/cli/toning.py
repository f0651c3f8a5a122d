"""``train-tones``: what takes a vendor's tone curve back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from synthesis.cli.options import SeedOption
from synthesis.cli.screen import console, progress_bar

__all__ = ["train_tones"]


def train_tones(
    cache: Annotated[
        list[Path],
        typer.Option(
            metavar="DIR", help="Rendered shards of chest CTs, by `render`; several times."
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The weights.", show_default="the packaged"),
    ] = None,
    exclude: Annotated[
        list[str] | None, typer.Option(metavar="PATIENT", help="Left out; give it several times.")
    ] = None,
    updates: Annotated[int, typer.Option(min=1, help="Of the weights.")] = 2500,
    batch: Annotated[int, typer.Option(min=1, help="Images an update.")] = 64,
    seed: SeedOption = 0,
) -> None:
    """Train the network that estimates a radiograph's tone curve; minutes on one core."""
    from synthesis.tones import bundled_tones
    from synthesis.training.tones import Chests, store, teach

    path = out or bundled_tones()
    chests = Chests(cache, exclude=exclude or ())
    with progress_bar() as bar:
        task = bar.add_task("starting", total=updates)
        network = teach(
            chests,
            updates=updates,
            batch=batch,
            seed=seed,
            report=lambda update, error: bar.update(
                task, description=f"error {error:.4f} of dense", completed=update
            ),
        )
    store(network, path)
    console().print(f"{path}: of {', '.join(chests.patients)}", highlight=False)
