"""``import-drr``: a data set of rendered views into a cache."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from synthesis.cli.options import EXIT_ERROR, EXIT_PARTLY
from synthesis.cli.screen import progress_bar

__all__ = ["import_drr"]


def import_drr(
    folder: Annotated[
        Path, typer.Option(metavar="DIR", help="Holds camera_views.json and the patients' folders.")
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Gets one shard a patient.")],
    size: Annotated[int, typer.Option(min=16, help="Side of the views in pixels.")] = 256,
    orientation: Annotated[
        Literal["all", "PA", "AP"], typer.Option(help="Which of the views.")
    ] = "all",
) -> None:
    """Bring LIDC-IDRI-DRR (or what is laid out like it) into a cache; run again, it goes on.

    A patient with a picture missing or broken is skipped, named and counted; the exit status is
    then 3, or 2 where nobody could be imported.
    """
    from synthesis.data.cache import shard_name
    from synthesis.data.drr_folder import import_patient, read_layout
    from synthesis.errors import DataError

    layout = read_layout(folder, orientation=orientation)
    skipped: list[str] = []
    with progress_bar() as bar:
        task = bar.add_task("patients", total=len(layout.patients))
        for patient in layout.patients:
            try:
                if not (out / f"{shard_name(patient, 0)}.json").exists():
                    import_patient(layout, patient, out, size=size)
            except DataError as error:
                skipped.append(str(error))
            bar.advance(task)
    for reason in skipped:
        sys.stderr.write(f"skipped {reason}\n")
    held = len(layout.patients) - len(skipped)
    typer.echo(
        f"{held} of {len(layout.patients)} patients in {out}, {len(layout.views)} views each, "
        f"every view on its own scale; {len(skipped)} broken patients skipped"
    )
    if skipped:
        raise typer.Exit(EXIT_PARTLY if held else EXIT_ERROR)
