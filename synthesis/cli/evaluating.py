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
    appearance: Annotated[
        bool,
        typer.Option(
            "--appearance",
            help="Score instead what looks of real radiographs cost: tone curves, noise, shutters, "
            "markers, bits, formats.",
        ),
    ] = False,
    device: DeviceOption = "cpu",
) -> None:
    """Score a checkpoint on patients it never saw, beside copy, mean view and regression."""
    if appearance:
        _appearance(volume, json_out, checkpoint, steps=steps, seed=seed, device=device)
        return
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


def _appearance(
    volumes: list[Path],
    json_out: Path,
    checkpoint: str,
    *,
    steps: int | None,
    seed: int,
    device: str,
) -> None:
    from synthesis.data.volumes import load_volume
    from synthesis.engine import load
    from synthesis.evaluation.appearance import costs, measure_appearances, views
    from synthesis.evaluation.protocol import render_truth
    from synthesis.evaluation.report import write_json

    engine = load(checkpoint, device=device)
    resolution = engine.identity.resolution
    patients = []
    names = []
    with progress_bar() as bar:
        task = bar.add_task("rendering", total=None)
        for path in volumes:
            volume = load_volume(path)
            names.append(volume.name)
            truth = render_truth(volume, views(), resolution=resolution)

            def advance(look: str, name: str = volume.name) -> None:
                bar.update(task, description=f"{name}, {look}", advance=1)

            patients.append(
                measure_appearances(
                    engine.synthesize, truth, steps=steps, seed=seed, advance=advance
                )
            )
    about = {
        "model": {
            "name": engine.identity.name,
            "version": engine.identity.version,
            "digest": engine.identity.digest,
        },
        "volumes": names,
        "resolution": resolution,
        "steps": steps or engine.identity.default_steps,
        "seed": seed,
        "scale": "fixed, after the known curve of each look is undone; views by 15 degrees",
    }
    report = costs(patients)
    write_json(json_out, {"about": about, "appearance": report})
    _show_costs(report)
    console().print(f"figures in {json_out}", highlight=False)


def _show_costs(report: dict[str, Any]) -> None:
    from rich.table import Table

    table = Table("look", "cost dB", "PSNR dB", "SSIM", "spectral ratio", title="appearance")
    for name, figures in report["looks"].items():
        shown = (figures[key] for key in ("psnr_db", "ssim", "spectral_ratio"))
        table.add_row(name, f"{figures['cost_db']:+.2f}", *map(_short, shown))
    console().print(table)
    console().print(
        f"tone curves cost {report['tone_cost_db']:.2f} dB in the mean, "
        f"{report['worst_tone_cost_db']:.2f} dB at worst",
        highlight=False,
    )


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
