"""``evaluate-steps``: how many network evaluations a view is worth."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from synthesis.cli.options import CheckpointOption, DeviceOption, SeedOption
from synthesis.cli.screen import console, progress_bar

__all__ = ["evaluate_steps"]


def evaluate_steps(
    volume: Annotated[
        list[Path],
        typer.Option(metavar="FILE", help="NIfTI CT the model never saw; give it several times."),
    ],
    json_out: Annotated[Path, typer.Option("--json", metavar="OUT", help="Gets the figures.")],
    checkpoint: CheckpointOption = "bundled",
    steps: Annotated[
        str, typer.Option(metavar="K,...", help="Network evaluations a view, to compare.")
    ] = "1,2,4,8,16",
    resolution: Annotated[
        int | None, typer.Option(min=11, help="Side in pixels.", show_default="the model's own")
    ] = None,
    samples: Annotated[int, typer.Option(min=1, help="Independent samples a view.")] = 1,
    seed: SeedOption = 0,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Gets the curve as PNG.")
    ] = None,
    device: DeviceOption = "cpu",
) -> None:
    """Score a checkpoint on the simple set at several numbers of evaluations a view."""
    from rich.table import Table

    from synthesis.checkpoint import read
    from synthesis.evaluation import steps as curve
    from synthesis.evaluation.report import write_json

    try:
        counts = sorted({int(part) for part in steps.split(",")})
    except ValueError:
        counts = [0]
    if counts[0] < 1:
        raise typer.BadParameter(
            f"{steps!r}: give numbers of 1 or more with commas between", param_hint="--steps"
        )
    with progress_bar() as bar:
        task = bar.add_task("reading", total=None)
        report = curve.evaluate_steps(
            read(checkpoint),
            volume,
            resolution=resolution,
            steps=counts,
            samples=samples,
            seed=seed,
            device=device,
            advance=lambda doing: bar.update(task, description=doing),
        )
    write_json(json_out, report)
    table = Table("evaluations", *report["steps"], title="simple set")
    for name in (*curve.LOST, "seconds_per_view"):
        table.add_row(name, *(f"{figures[name]:.4g}" for figures in report["steps"].values()))
    console().print(table)
    if plot is not None:
        curve.plot_steps(report, plot)
    console().print(f"figures in {json_out}", highlight=False)
