"""The documents that may go with the images, each by who builds it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dicom_node.domain.writing import Document
from dicom_node.iod import presentation, report, selection

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pydicom.dataset import Dataset

    from dicom_node.iod.referring import Account

__all__ = ["BUILDERS"]

BUILDERS: Final[Mapping[Document, Callable[[Account], Dataset]]] = {
    Document.PRESENTATION_STATE: presentation.build,
    Document.REPORT: report.build,
    Document.KEY_OBJECTS: selection.build,
}
"""Who makes which document."""
