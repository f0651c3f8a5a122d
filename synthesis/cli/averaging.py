"""``mean-views``: the mean training view at every azimuth."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from synthesis.cli.screen import console

__all__ = ["average"]


def average(
    cache: Annotated[Path, typer.Option(metavar="DIR", help="Rendered shards.")],
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The table.", show_default="the packaged")
    ] = None,
    exclude: Annotated[
        list[str] | None, typer.Option(metavar="PATIENT", help="No training patient.")
    ] = None,
    size: Annotated[int, typer.Option(min=8, help="Side of the means in pixels.")] = 64,
) -> None:
    """Average the training views at every azimuth, the baseline that `evaluate` prints."""
    from synthesis.evaluation.baselines import bundled_mean_views, mean_views

    path = out or bundled_mean_views()
    table = mean_views(cache, exclude=exclude or (), size=size)
    table.store(path)
    console().print(
        f"{len(table.angles_deg)} mean views of {table.patients} patients in {path}",
        highlight=False,
    )
