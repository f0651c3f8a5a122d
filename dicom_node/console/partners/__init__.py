"""Peers, destinations and models: seen, changed in forms, tried."""

from __future__ import annotations

from typing import Final

from dicom_node.console.partners import api, editor, lists, trials
from dicom_node.console.registry import Section

__all__ = ["SECTIONS"]

SECTIONS: Final[tuple[Section, ...]] = (lists.SECTION, editor.SECTION, trials.SECTION, api.SECTION)
