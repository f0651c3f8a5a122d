"""``render``: CT volumes into a cache of views to train from."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from synthesis.cli.options import EXIT_ERROR, EXIT_PARTLY, SeedOption
from synthesis.cli.screen import progress_bar

__all__ = ["render"]


def render(
    volume: Annotated[
        list[Path],
        typer.Option(
            metavar="FILE|DIR", help="NIfTI CTs, folders of them or of DICOM series; several times."
        ),
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Gets the shards.")],
    size: Annotated[int, typer.Option(min=16, help="Side of the views in pixels.")] = 256,
    variations: Annotated[
        int, typer.Option(min=1, help="Of each patient; the first is as scanned.")
    ] = 1,
    seed: SeedOption = 0,
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = 1,
) -> None:
    """Render CT volumes into a cache to train from; run again, it goes on where it stopped.

    A broken volume is skipped, named and counted; the exit status is then 3, or 2 where nothing
    could be rendered.
    """
    from synthesis.data.rendering_job import Progress, find_volumes, render_volumes, views_held

    with progress_bar() as bar:
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
    held = views_held(out)
    if held:
        typer.echo(
            f"{held} views in the cache: a run of 100 000 samples reads each of them "
            f"{100_000 / held:.0f} times"
        )
    if outcome.broken:
        raise typer.Exit(EXIT_PARTLY if last.done else EXIT_ERROR)
