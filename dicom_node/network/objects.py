"""A received object as it is kept: file meta information of ours, then the data set as it came.

The same object gives the same bytes, hence the same digest, whichever way it comes in.
"""

from __future__ import annotations

from io import BytesIO
from typing import Final

from pydicom import dcmread
from pydicom.errors import InvalidDicomError
from pydicom.uid import UID
from pynetdicom.dsutils import create_file_meta, encode_file_meta

from dicom_node.domain.errors import InputError, UnsupportedError
from dicom_node.network.contexts import (
    IMPLEMENTATION_CLASS_UID,
    IMPLEMENTATION_VERSION_NAME,
    STORAGE_CLASSES,
    readable_transfer_syntaxes,
)
from dicom_node.ports import ReceivedObject

__all__ = ["object_of_file", "received_object"]

_PREAMBLE_BYTES: Final = 132
_GROUP_LENGTH_BYTES: Final = 12


def received_object(
    *, sop_class_uid: str, sop_instance_uid: str, syntax_uid: str, dataset: bytes, ae_title: str
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


def object_of_file(data: bytes, ae_title: str) -> tuple[ReceivedObject, str]:
    """The object in a DICOM file (PS3.10), and its Study Instance UID, which may be empty.

    Raises:
        InputError: It is none.
        UnsupportedError: It is of a class or in a syntax that this node does not take.
    """
    try:
        read = dcmread(BytesIO(data), stop_before_pixels=True, specific_tags=["StudyInstanceUID"])
        meta, study_uid = read.file_meta, str(read.get("StudyInstanceUID", ""))
        length = int(meta.FileMetaInformationGroupLength)
        class_uid, uid = str(meta.MediaStorageSOPClassUID), str(meta.MediaStorageSOPInstanceUID)
        syntax = str(meta.TransferSyntaxUID)
    except InvalidDicomError:
        raise InputError("not a DICOM file: the DICM prefix is missing") from None
    except Exception as error:  # noqa: BLE001  the boundary of a foreign parser on foreign bytes
        raise InputError(
            f"the file meta information cannot be read ({type(error).__name__})"
        ) from None
    if class_uid not in STORAGE_CLASSES:
        raise UnsupportedError("the object is of a SOP class this node does not store")
    if syntax not in readable_transfer_syntaxes():
        raise UnsupportedError("the object is in a transfer syntax this node does not read")
    received = received_object(
        sop_class_uid=class_uid,
        sop_instance_uid=uid,
        syntax_uid=syntax,
        dataset=data[_PREAMBLE_BYTES + _GROUP_LENGTH_BYTES + length :],
        ae_title=ae_title,
    )
    return received, study_uid
