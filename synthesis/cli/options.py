"""Options that several commands have, and the exit status of a failure."""

from __future__ import annotations

from typing import Annotated, Final

import typer

__all__ = [
    "EXIT_ERROR",
    "EXIT_PARTLY",
    "CheckpointOption",
    "DeviceOption",
    "SeedOption",
    "StepsOption",
]

EXIT_ERROR: Final = 2
"""Exit status when a command could not do what was asked."""
EXIT_PARTLY: Final = 3
"""Exit status when it did it for some of its inputs and skipped broken ones."""

CheckpointOption = Annotated[
    str, typer.Option("--checkpoint", metavar="PATH|bundled", help="Weights; bundled = packaged.")
]
StepsOption = Annotated[
    int | None,
    typer.Option(min=1, help="Network evaluations a view.", show_default="the model's default"),
]
SeedOption = Annotated[int, typer.Option(help="Of every random draw.")]
DeviceOption = Annotated[str, typer.Option(help="Of torch: cpu, cuda, cuda:1 ...")]
