"""Trying a destination: the same for pages and for programs, audited where something is sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dicom_node.console.failures import NotFoundError
from dicom_node.console.jobs import deeds
from dicom_node.console.routing import changing
from dicom_node.domain.errors import ConfigurationError

if TYPE_CHECKING:
    from fastapi import Request

    from dicom_node.domain.accounts import Identity
    from dicom_node.rulebook.probing import Probed

__all__ = ["echo", "store"]


def echo(request: Request, name: str) -> Probed:
    """Whether a destination answers.

    Raises:
        NotFoundError: There is none of this name in force.
    """
    try:
        return changing.desk_of(request).echo(name)
    except ConfigurationError:
        raise _unknown(name) from None


def store(request: Request, who: Identity, name: str) -> Probed:
    """Whether a destination takes a test object, which stays there.

    Raises:
        NotFoundError: There is none of this name in force.
    """
    try:
        found = changing.desk_of(request).test_store(name)
    except ConfigurationError:
        raise _unknown(name) from None
    deeds.audit(request.app.state.parts, who, f"destination {name}", "A test object was sent")
    return found


def _unknown(name: str) -> NotFoundError:
    return NotFoundError(f"There is no destination {name} in force.")
