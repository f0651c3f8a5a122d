"""``python -m synthesis``: render, train, sample, evaluate, mean-views, inspect.

Commands are thin: they read arguments, call the library and show what it says. Errors of the
library end in one place, `main`, as one sentence on stderr and exit status 2. Every command imports
what it needs when it runs, so that ``--help`` is quick.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from synthesis.errors import SynthesisError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as Bar

__all__ = ["app", "main"]

EXIT_ERROR: Final = 2
"""Exit status when a command could not do what was asked."""

app = typer.Typer(
    name="python -m synthesis",
    help="Views of a chest that were never exposed: render training data, train, sample, evaluate. "
    "Not a medical device.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

CheckpointOption = Annotated[
    str, typer.Option("--checkpoint", metavar="PATH|bundled", help="Weights; bundled = packaged.")
]
StepsOption = Annotated[
    int | None,
    typer.Option(min=1, help="Network evaluations a view.", show_default="the model's default"),
]
SeedOption = Annotated[int, typer.Option(help="Of every random draw.")]
DeviceOption = Annotated[str, typer.Option(help="Of torch: cpu, cuda, cuda:1 ...")]


class SetName(StrEnum):
    """Evaluation sets, as the command line names them."""

    SIMPLE = "simple"
    HEMISPHERE = "hemisphere"


@app.command()
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
    with _bar() as bar:
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
    _console().print(f"figures in {json_out}", highlight=False)


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
        _console().print(table)
        _console().print(f"{figures['seconds_per_view']:.3f} s a view", highlight=False)


def _short(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


@app.command("mean-views")
def mean_views_command(
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
    _console().print(
        f"{len(table.angles_deg)} mean views of {table.patients} patients in {path}",
        highlight=False,
    )


@app.command()
def inspect(
    checkpoint: Annotated[str, typer.Argument(metavar="PATH|bundled", help="Weights.")],
    json_wanted: Annotated[bool, typer.Option("--json", help="Write JSON for machines.")] = False,
) -> None:
    """Show what a checkpoint says about itself: sizes, card, digest, parameters."""
    import json

    from synthesis.checkpoint import read

    model = read(checkpoint)
    described = {
        "name": model.card.name,
        "version": model.card.version,
        "default_steps": model.card.steps,
        "digest": model.digest,
        "parameters": sum(p.numel() for p in model.model().parameters()),
        "config": model.config.to_dict(),
        "trained": dict(model.card.trained),
    }
    if json_wanted:
        typer.echo(json.dumps(described, indent=2))
    else:
        _show_described(described)


def _show_described(described: dict[str, Any]) -> None:
    from rich.table import Table

    table = Table(show_header=False)
    for key, value in described.items():
        if isinstance(value, dict):
            for name, inner in value.items():
                table.add_row(f"{key}.{name}", str(inner))
        else:
            table.add_row(key, f"{value:,}" if key == "parameters" else str(value))
    _console().print(table)


def _console() -> Console:
    from rich.console import Console

    return Console()


def _bar() -> Bar:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        arguments: Left out, those of the process.

    Returns:
        Its exit status.
    """
    try:
        app(args=list(arguments) if arguments is not None else None)
    except (SynthesisError, OSError) as error:
        sys.stderr.write(f"error: {error}\n")
        return EXIT_ERROR
    except SystemExit as stop:  # how the command line library ends
        return stop.code if isinstance(stop.code, int) else EXIT_ERROR
    except KeyboardInterrupt:
        return 130
    return 0
