"""A received object as it is kept: file meta information of ours, then the data set as it came.

The same object gives the same bytes, hence the same digest, whichever way it comes in.
"""

from __future__ import annotations

from dataclasses import dataclass

from pydicom.uid import UID
from pynetdicom.dsutils import create_file_meta, encode_file_meta

from dicom_node.domain.errors import SyntaxUnreadableError, UnsupportedError
from dicom_node.iod.elements import text
from dicom_node.iod.parsing import parsed_meta
from dicom_node.network.contexts import (
    IMPLEMENTATION_CLASS_UID,
    IMPLEMENTATION_VERSION_NAME,
    STORAGE_CLASSES,
    readable_transfer_syntaxes,
)
from dicom_node.ports import ReceivedObject

__all__ = ["FileHead", "head_of_file", "object_of_file", "received_object"]


def received_object(
    *,
    sop_class_uid: str,
    sop_instance_uid: str,
    syntax_uid: str,
    dataset: bytes | memoryview,
    ae_title: str,
) -> ReceivedObject:
    """Put our file meta information before a data set.

    Args:
        sop_class_uid: As whoever sent it said.
        sop_instance_uid: As whoever sent it said.
        syntax_uid: In which the data set is written.
        dataset: Its bytes.
        ae_title: Who sent it.
    """
    meta = create_file_meta(
        sop_class_uid=UID(sop_class_uid),
        sop_instance_uid=UID(sop_instance_uid),
        transfer_syntax=UID(syntax_uid),
        implementation_uid=UID(IMPLEMENTATION_CLASS_UID),
        implementation_version=IMPLEMENTATION_VERSION_NAME,
    )
    return ReceivedObject(
        data=b"".join((b"\0" * 128, b"DICM", encode_file_meta(meta), dataset)),
        sop_class_uid=sop_class_uid,
        sop_instance_uid=sop_instance_uid,
        transfer_syntax_uid=syntax_uid,
        calling_ae_title=ae_title,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class FileHead:
    """What the file meta information of a DICOM file says.

    Attributes:
        sop_class_uid: Media Storage SOP Class UID, as it stands there.
        sop_instance_uid: Media Storage SOP Instance UID, likewise.
        syntax_uid: Transfer Syntax UID.
        dataset_at: Where the data set begins, in bytes.
    """

    sop_class_uid: str
    sop_instance_uid: str
    syntax_uid: str
    dataset_at: int


def head_of_file(data: bytes) -> FileHead:
    """What a DICOM file (PS3.10) says it is; its data set is not looked at.

    Raises:
        InputError: It is none.
    """
    meta, dataset_at = parsed_meta(data)
    return FileHead(
        sop_class_uid=text(meta, "MediaStorageSOPClassUID"),
        sop_instance_uid=text(meta, "MediaStorageSOPInstanceUID"),
        syntax_uid=text(meta, "TransferSyntaxUID"),
        dataset_at=dataset_at,
    )


def object_of_file(data: bytes, ae_title: str, *, head: FileHead | None = None) -> ReceivedObject:
    """The object in a DICOM file (PS3.10), its data set untouched.

    Args:
        data: The file.
        ae_title: Who sent it.
        head: Of the file, where it was read already.

    Raises:
        InputError: It is none.
        UnsupportedError: It is of a class or in a syntax that this node does not take.
    """
    head = head or head_of_file(data)
    if head.sop_class_uid not in STORAGE_CLASSES:
        raise UnsupportedError("the object is of a SOP class this node does not store")
    if head.syntax_uid not in readable_transfer_syntaxes():
        raise SyntaxUnreadableError("the object is in a transfer syntax this node does not read")
    return received_object(
        sop_class_uid=head.sop_class_uid,
        sop_instance_uid=head.sop_instance_uid,
        syntax_uid=head.syntax_uid,
        dataset=memoryview(data)[head.dataset_at :],
        ae_title=ae_title,
    )
