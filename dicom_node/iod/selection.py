"""A Key Object Selection that lists the synthesized images (TID 2010), so that a list of a study's
key objects leads to them and says what they are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from highdicom.ko import KeyObjectSelection, KeyObjectSelectionDocument
from pydicom.sr.codedict import codes

from dicom_node.iod.banner import MARK
from dicom_node.iod.equipment import ascii_text
from dicom_node.iod.referring import finished
from dicom_node.iod.report import observer

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

    from dicom_node.iod.referring import Account

__all__ = ["build"]


def build(account: Account) -> Dataset:
    """The selection of all images, For Research.

    Raises:
        ImageError: The source's patient or study is too broken to be copied.
    """
    first = account.provenances[0]
    document = KeyObjectSelectionDocument(
        evidence=account.stubs,
        content=KeyObjectSelection(
            document_title=codes.DCM.ForResearch,
            referenced_objects=account.stubs,
            observer_device_context=observer(account),
            description=ascii_text(
                f"AI SYNTHETIC: {len(account.provenances)} views by {first.model.name} from the "
                f"{first.source_view.label} radiograph. {MARK}.",
                1024,
            ),
        ),
        **account.identity(),
    )
    return finished(document, account, description="selection of the views")
