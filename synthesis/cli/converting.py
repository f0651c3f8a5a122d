"""``convert``: a checkpoint of the official SV-DRR trainer into the published layout."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["convert"]


def convert(
    checkpoint: Annotated[
        Path, typer.Option(metavar="DIR", help="What the trainer stored: checkpoint-N.")
    ],
    base: Annotated[
        Path,
        typer.Option(
            metavar="DIR",
            help="What the training began with: vae, scheduler, image_encoder, transformer config.",
        ),
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="A new folder; gets the model.")],
    resolution: Annotated[int, typer.Option(min=16, help="Side of the training images.")] = 256,
) -> None:
    """Turn a checkpoint of the official SV-DRR trainer into a folder that family svdrr loads."""
    from synthesis.families.svdrr.conversion import convert as run

    run(checkpoint, base, out, resolution=resolution)
    typer.echo(f"{out}: a model of {resolution} px; in a node: {{family: svdrr, path: {out}}}")
