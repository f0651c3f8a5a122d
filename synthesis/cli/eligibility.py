"""``train-eligibility`` and ``evaluate-eligibility``: what views may be made from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from synthesis.cli.options import SeedOption
from synthesis.cli.screen import console, progress_bar

__all__ = ["evaluate_eligibility", "train_eligibility"]

ChestsOption = Annotated[
    Path, typer.Option(metavar="DIR", help="Rendered shards of chest CTs, by `render`.")
]
OthersOption = Annotated[
    list[Path],
    typer.Option(metavar="DIR", help="Rendered shards of other CTs; give it several times."),
]
ExcludeOption = Annotated[
    list[str] | None, typer.Option(metavar="PATIENT", help="Left out; give it several times.")
]


def train_eligibility(
    chests: ChestsOption,
    others: OthersOption,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The weights.", show_default="the packaged"),
    ] = None,
    exclude: ExcludeOption = None,
    steps: Annotated[int, typer.Option(min=1, help="Of the optimizer.")] = 1500,
    batch: Annotated[int, typer.Option(min=1, help="Examples a step.")] = 48,
    seed: SeedOption = 0,
) -> None:
    """Train the classifier that refuses what is no upright frontal chest radiograph."""
    from synthesis.eligibility.examples import Examples
    from synthesis.eligibility.judging import bundled_weights
    from synthesis.eligibility.learning import store, train

    path = out or bundled_weights()
    examples = Examples(chests, others, exclude=exclude or ())
    with progress_bar() as bar:
        task = bar.add_task("starting", total=steps)
        network = train(
            examples,
            steps=steps,
            batch=batch,
            seed=seed,
            report=lambda step, loss: bar.update(
                task, description=f"loss {loss:.3f}", completed=step
            ),
        )
    store(network, path)
    console().print(f"{path}: of {', '.join(examples.patients)}", highlight=False)


def evaluate_eligibility(
    chests: ChestsOption,
    others: OthersOption,
    json_out: Annotated[Path, typer.Option("--json", metavar="OUT", help="Gets the figures.")],
    weights: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Of the classifier.", show_default="the packaged"),
    ] = None,
    exclude: ExcludeOption = None,
    count: Annotated[int, typer.Option(min=1, help="Images of each kind.")] = 200,
    seed: SeedOption = 0,
) -> None:
    """Count what the classifier accepts of each kind of image, with all tone curves and marks."""
    from rich.table import Table

    from synthesis.eligibility.examples import Examples
    from synthesis.eligibility.judging import bundled_weights, load_network
    from synthesis.eligibility.learning import confusion
    from synthesis.evaluation.report import write_json

    examples = Examples(chests, others, exclude=exclude or ())
    path = weights or bundled_weights()
    figures = confusion(load_network(path), examples, count=count, seed=seed)
    about = {"patients": list(examples.patients), "count": count, "seed": seed}
    write_json(json_out, {"about": about, "kinds": figures})
    table = Table("kind", "accepted", "taken for itself", "else most often for")
    for kind, parts in figures.items():
        rest = {name: part for name, part in parts.items() if name not in (kind, "accepted")}
        most = max(rest, key=lambda name: rest[name])
        table.add_row(
            kind, f"{parts['accepted']:.3f}", f"{parts[kind]:.3f}", f"{most} {rest[most]:.3f}"
        )
    console().print(table)
    console().print(f"figures in {json_out}", highlight=False)
