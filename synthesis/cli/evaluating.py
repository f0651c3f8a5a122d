"""``evaluate``: the figures of a checkpoint on patients it never saw."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from synthesis.cli.options import CheckpointOption, DeviceOption, SeedOption, StepsOption
from synthesis.cli.screen import console, progress_bar

__all__ = ["SetName", "evaluate"]


class SetName(StrEnum):
    """Evaluation sets, as the command line names them."""

    SIMPLE = "simple"
    HEMISPHERE = "hemisphere"


def evaluate(
    volume: Annotated[
        list[Path],
        typer.Option(metavar="FILE", help="NIfTI CT the model never saw; give it several times."),
    ],
    json_out: Annotated[Path, typer.Option("--json", metavar="OUT", help="Gets the figures.")],
    checkpoint: CheckpointOption = "bundled",
    view_set: Annotated[
        list[SetName], typer.Option("--set", help="Views to score; give it several times.")
    ] = [SetName.SIMPLE],  # noqa: B006  # typer copies it
    resolution: Annotated[
        int | None, typer.Option(min=11, help="Side in pixels.", show_default="the model's own")
    ] = None,
    steps: StepsOption = None,
    samples: Annotated[int, typer.Option(min=1, help="Independent samples a view.")] = 1,
    seed: SeedOption = 0,
    plots: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Gets curves and contact sheets as PNG.")
    ] = None,
    mean_views: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Mean training views.", show_default="the packaged"),
    ] = None,
    device: DeviceOption = "cpu",
) -> None:
    """Score a checkpoint on patients it never saw, beside copy, mean view and regression."""
    from synthesis.checkpoint import read
    from synthesis.evaluation.baselines import MeanViews, bundled_mean_views
    from synthesis.evaluation.report import write_json
    from synthesis.evaluation.running import evaluate as run

    table = mean_views or bundled_mean_views()
    means = MeanViews.load(table) if mean_views or table.exists() else None
    with progress_bar() as bar:
        task = bar.add_task("reading", total=None)
        done = run(
            read(checkpoint),
            volume,
            sets=list(dict.fromkeys(name.value for name in view_set)),
            resolution=resolution,
            steps=steps,
            samples=samples,
            seed=seed,
            means=means,
            device=device,
            advance=lambda doing, made, of: bar.update(
                task, description=doing, completed=made, total=of
            ),
        )
    write_json(json_out, done.report)
    _show_figures(done.report)
    if plots is not None:
        from synthesis.evaluation.plots import contact_sheet, curves

        about = done.report["about"]
        for name, measured in done.measured.items():
            title = f"{about['model']['name']}, {about['resolution']} px, {about['steps']} steps"
            curves(measured, plots / f"{name}_curves.png", title=f"{title}, {name} set")
            if name == SetName.SIMPLE:
                contact_sheet(measured, plots / f"{name}_contact_sheet.png", title=title)
    console().print(f"figures in {json_out}", highlight=False)


def _show_figures(report: dict[str, Any]) -> None:
    from rich.table import Table

    from synthesis.evaluation.measuring import METRICS
    from synthesis.evaluation.report import BASELINES

    for name, figures in report.items():
        if name == "about":
            continue
        columns = {"model": figures, **{baseline: figures[baseline] for baseline in BASELINES}}
        table = Table("", *columns, title=f"{name} set")
        for metric in METRICS:
            table.add_row(
                metric, *(_short(column and column[metric]) for column in columns.values())
            )
        console().print(table)
        console().print(f"{figures['seconds_per_view']:.3f} s a view", highlight=False)


def _short(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"
