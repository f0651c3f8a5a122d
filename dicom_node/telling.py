"""Trying notifications from the command line."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from dicom_node.terminal import EXIT_NEGATIVE, ConfigOption, load, terminal

__all__ = ["notify"]


def notify(
    config: ConfigOption,
    channels: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME]...", help="Webhooks and emails; left out, all."),
    ] = None,
) -> None:
    """Send a trial to those who are notified when something is wrong.

    Exit status 1 when one does not take it.
    """
    from dicom_node.domain.errors import ConfigurationError
    from dicom_node.notifying.composing import channels_of
    from dicom_node.notifying.service import try_channels
    from dicom_node.settings.problems import did_you_mean

    settings = load(config)
    known = channels_of(settings)
    for name in channels or ():
        if name not in known:
            hint = did_you_mean(name, known, otherwise="there are")
            raise ConfigurationError(f"no webhook or email is named {name!r}{hint}")
    if not known:
        raise ConfigurationError("notifications: there are no webhooks and no emails")
    problems = try_channels(
        known, channels or list(known), node=settings.node.ae_title, now=time.time()
    )
    for name, problem in problems.items():
        said = f"did not take it: {problem}" if problem else "took it"
        terminal().print(f"{name} {said}", highlight=False, soft_wrap=True)
    if any(problems.values()):
        raise typer.Exit(EXIT_NEGATIVE)
