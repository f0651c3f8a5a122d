"""``inspect``: what a checkpoint says about itself."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from synthesis.cli.screen import console

__all__ = ["inspect"]


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
    console().print(table)
