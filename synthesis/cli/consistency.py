"""``evaluate-consistency``: how well true pairs of views are told from wrong ones."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from synthesis.cli.screen import console, progress_bar

__all__ = ["evaluate_consistency"]


def evaluate_consistency(
    volume: Annotated[
        list[Path],
        typer.Option(metavar="FILE", help="NIfTI CT of one patient; give it several times."),
    ],
    json_out: Annotated[Path, typer.Option("--json", metavar="OUT", help="Gets the figures.")],
    size: Annotated[int, typer.Option(min=64, help="Side of the views in pixels.")] = 128,
    calibration: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Gets the table that says what a score means."),
    ] = None,
) -> None:
    """Score true, wrong-patient, wrong-angle and blurred pairs of rendered views; report AUCs."""
    from synthesis.evaluation.consistency import calibrate, evaluate, report
    from synthesis.evaluation.report import write_json

    with progress_bar() as bar:
        task = bar.add_task("reading", total=len(volume) + 1)
        done = -1

        def advance(doing: str) -> None:
            nonlocal done
            done += 1
            bar.update(task, description=doing, completed=done)

        pairs = evaluate(volume, size=size, advance=advance)
    about = {
        "volumes": [path.name.split(".")[0] for path in volume],
        "size": size,
        "command": "python -m synthesis evaluate-consistency",
    }
    figures = {name: report(one) for name, one in pairs.items()}
    write_json(json_out, {"about": about, **figures})
    if calibration is not None:
        write_json(calibration, calibrate(list(pairs.values()), about).to_json())
    for name, one in figures.items():
        _show(name, one)
    console().print(f"figures in {json_out}", highlight=False)


def _show(bodies: str, figures: dict[str, Any]) -> None:
    from rich.table import Table

    for score, by_angle in figures.items():
        kinds = list(next(iter(by_angle.values()))["auc"])
        title = f"{score}, bodies {bodies.replace('_', ' ')}: AUC of true against"
        table = Table("angle", "mean true", *kinds, title=title)
        for angle, one in by_angle.items():
            values = (one["true"], *one["auc"].values())
            table.add_row(angle, *("-" if v is None else f"{v:.3f}" for v in values))
        console().print(table)
