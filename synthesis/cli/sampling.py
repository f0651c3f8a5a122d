"""``sample``: views of one radiograph, as pictures."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from synthesis.cli.options import CheckpointOption, DeviceOption, SeedOption, StepsOption
from synthesis.errors import SynthesisError, ViewError

if TYPE_CHECKING:
    from synthesis.types import View, ViewSet

__all__ = ["SourcePosition", "sample"]


class SourcePosition(StrEnum):
    """How a frontal source was taken."""

    PA = "PA"
    AP = "AP"


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
    samples: Annotated[
        int,
        typer.Option(min=1, help="Drawn a view; the one most consistent with the source is kept."),
    ] = 1,
    uncertainty: Annotated[
        bool,
        typer.Option(
            "--uncertainty",
            help="Also write each view's spread over the samples, as numbers and as an overlay; "
            "needs --samples 2 or more.",
        ),
    ] = False,
    position: Annotated[SourcePosition, typer.Option(help="Of the source.")] = SourcePosition.PA,
    spacing_mm: Annotated[
        float | None, typer.Option(min=1e-3, help="Pixel pitch of the source at the detector.")
    ] = None,
    allow_ineligible: Annotated[
        bool,
        typer.Option(
            "--allow-ineligible",
            help="Make views also of what does not look like an upright frontal chest radiograph.",
        ),
    ] = False,
    line_integrals: Annotated[
        bool, typer.Option("--line-integrals", help="The source is a DRR on the fixed scale.")
    ] = False,
    inverted: Annotated[bool, typer.Option("--inverted", help="Bright = air.")] = False,
    device: DeviceOption = "cpu",
) -> None:
    """Synthesize views of one radiograph."""
    from synthesis.data.overlays import write_uncertainty
    from synthesis.data.pictures import read_radiograph, write_pictures
    from synthesis.engine import load
    from synthesis.types import SynthesisRequest, View

    if uncertainty and samples < 2:
        raise ViewError("--uncertainty needs --samples 2 or more: one sample has no spread")
    view = View(primary_deg=0.0 if position is SourcePosition.PA else 180.0)
    radiograph = read_radiograph(
        source, view=view, spacing_mm=spacing_mm, line_integrals=line_integrals, inverted=inverted
    )
    request = SynthesisRequest(
        source=radiograph,
        views=_views(views, view),
        samples=samples,
        steps=steps,
        seed=seed,
        allow_ineligible=allow_ineligible,
    )
    result = load(checkpoint, device=device).synthesize(request)
    paths = write_pictures(radiograph, result.images, out)
    if uncertainty and result.uncertainty is not None:
        write_uncertainty(result.images, result.uncertainty, out)
    for image, score in zip(result.images, result.scores, strict=True):
        typer.echo(f"{image.view.label}: consistency {'-' if score is None else f'{score:.3f}'}")
    if result.ineligible:
        typer.echo(f"the source was not eligible: {result.ineligible}", err=True)
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
