"""``python -m synthesis``: render, train, sample, evaluate, mean-views, inspect.

Commands are thin: they read arguments, call the library and show what it says. Errors of the
library end in one place, `main`, as one sentence on stderr and exit status 2. Every command imports
what it needs when it runs, so that ``--help`` is quick.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from synthesis.errors import SynthesisError, ViewError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as Bar

    from synthesis.types import View, ViewSet

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


class SourcePosition(StrEnum):
    """How a frontal source was taken."""

    PA = "PA"
    AP = "AP"


@app.command()
def render(
    volume: Annotated[
        list[Path],
        typer.Option(metavar="FILE|DIR", help="NIfTI CTs, or folders of them; several times."),
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Gets the shards.")],
    size: Annotated[int, typer.Option(min=16, help="Side of the views in pixels.")] = 256,
    variations: Annotated[
        int, typer.Option(min=1, help="Of each patient; the first is as scanned.")
    ] = 1,
    seed: SeedOption = 0,
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = 1,
) -> None:
    """Render CT volumes into a cache to train from; run again, it goes on where it stopped."""
    from synthesis.data.rendering_job import Progress, find_volumes, render_volumes

    with _bar() as bar:
        task = bar.add_task("shards", total=None)

        def report(progress: Progress) -> None:
            words = f"shards, {progress.views_per_s:.1f} views/s"
            bar.update(task, description=words, completed=progress.done, total=progress.of)

        outcome = render_volumes(
            find_volumes(volume),
            out,
            size=size,
            variations=variations,
            seed=seed,
            workers=workers,
            report=report,
        )
    last = outcome.progress
    for name, reason in outcome.broken.items():
        sys.stderr.write(f"skipped {name}: {reason}\n")
    typer.echo(
        f"{last.done} of {last.of} shards in {out}; {last.views} views in {last.seconds:.0f} s "
        f"({last.views_per_s:.1f} views/s); {len(outcome.broken)} broken volumes skipped"
    )
    if outcome.broken and not last.done:
        raise typer.Exit(EXIT_ERROR)


@app.command()
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
) -> None:
    """Train by a recipe; SIGTERM or Ctrl-C stores the run, and run again it goes on."""
    from dataclasses import replace

    from synthesis.training.loop import Progress
    from synthesis.training.loop import train as run
    from synthesis.training.recipe import load_recipe

    plan = load_recipe(recipe)
    if cache is not None:
        plan = replace(plan, cache=str(cache))
    folder = out or Path(".training") / plan.name
    stopped = _stop_signal()
    with _bar() as bar:
        task = bar.add_task("starting", total=sum(stage.samples for stage in plan.stages))

        def report(progress: Progress) -> None:
            words = (
                f"{progress.resolution} px, loss {progress.loss:.4f}, error at 0 "
                f"{progress.error:.5f}, {progress.samples_per_s:.1f} samples/s"
            )
            bar.update(task, description=words, completed=progress.total)
            if not bar.console.is_terminal:
                sys.stderr.write(f"{progress.total} samples: {words}\n")

        weights = run(plan, folder, report=report, stop=stopped)
    typer.echo(f"{'stopped, stored' if stopped() else 'trained'}: {weights}")


def _stop_signal() -> Callable[[], bool]:
    """Asks whether SIGTERM or SIGINT has come since."""
    import signal
    import threading

    came = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: came.set())
    return came.is_set


@app.command()
def sample(
    source: Annotated[
        Path, typer.Option(metavar="IMAGE.png|.npy", help="Frontal radiograph, bright = dense.")
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Gets PNGs and a contact sheet.")],
    views: Annotated[
        str,
        typer.Option(
            help="FROM:TO:STEP about the source; or PRIMARY/SECONDARY,... in degrees, absolute "
            "(PRIMARY alone is PRIMARY/0); or simple, or hemisphere."
        ),
    ] = "-90:90:30",
    checkpoint: CheckpointOption = "bundled",
    steps: StepsOption = None,
    seed: SeedOption = 0,
    samples: Annotated[int, typer.Option(min=1, help="Drawn a view; one is kept.")] = 1,
    position: Annotated[SourcePosition, typer.Option(help="Of the source.")] = SourcePosition.PA,
    spacing_mm: Annotated[
        float | None, typer.Option(min=1e-3, help="Pixel pitch of the source at the detector.")
    ] = None,
    line_integrals: Annotated[
        bool, typer.Option("--line-integrals", help="The source is a DRR on the fixed scale.")
    ] = False,
    inverted: Annotated[bool, typer.Option("--inverted", help="Bright = air.")] = False,
    device: DeviceOption = "cpu",
) -> None:
    """Synthesize views of one radiograph."""
    from synthesis.data.pictures import read_radiograph, write_pictures
    from synthesis.engine import load
    from synthesis.types import SynthesisRequest, View

    view = View(primary_deg=0.0 if position is SourcePosition.PA else 180.0)
    radiograph = read_radiograph(
        source, view=view, spacing_mm=spacing_mm, line_integrals=line_integrals, inverted=inverted
    )
    request = SynthesisRequest(
        source=radiograph, views=_views(views, view), samples=samples, steps=steps, seed=seed
    )
    result = load(checkpoint, device=device).synthesize(request)
    paths = write_pictures(radiograph, result.images, out)
    typer.echo(
        f"{len(paths) - 1} views in {result.seconds:.1f} s ({result.steps} steps): {paths[-1]}"
    )


def _views(text: str, source: View) -> ViewSet:
    from synthesis.evaluation.protocol import SETS, view_set
    from synthesis.types import View, ViewSet, azimuth_sweep

    if text in SETS:
        return view_set(text)
    try:
        if ":" in text:
            first, last, step = map(float, text.split(":"))
            return azimuth_sweep(
                source=source,
                from_deg=first,
                to_deg=last,
                step_deg=step,
                skip_source=True,
                name=text,
            )
        angles = [[float(angle) for angle in part.split("/")] for part in text.split(",")]
        return ViewSet(
            name=text,
            views=tuple(
                View(primary_deg=primary, secondary_deg=secondary)
                for primary, secondary in (one if len(one) > 1 else (*one, 0.0) for one in angles)
            ),
        )
    except SynthesisError:
        raise
    except ValueError as error:
        raise ViewError(
            f"views {text!r}: give FROM:TO:STEP, PRIMARY/SECONDARY,..., or {' or '.join(SETS)}"
        ) from error


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
