"""Routes: to see, change, order and try; the configuration's text and its versions."""

from __future__ import annotations

from typing import Final

from dicom_node.console.registry import Section
from dicom_node.console.routing import api, editor, lists, text, trying, versions

__all__ = ["SECTIONS"]

SECTIONS: Final[tuple[Section, ...]] = (
    lists.SECTION,
    editor.SECTION,
    text.SECTION,
    trying.SECTION,
    versions.SECTION,
    api.SECTION,
)
