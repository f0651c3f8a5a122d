"""Sending a radiograph as a modality does."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pydicom import dcmread
from pydicom.errors import InvalidDicomError
from pynetdicom import AE

from dicom_node.demo.configuration import MODALITY_AE_TITLE, NODE_AE_TITLE
from dicom_node.domain.errors import ConfigurationError, PeerError, RefusedError

if TYPE_CHECKING:
    from pydicom.dataset import FileDataset

__all__ = ["read_identity", "send"]

SUCCESS: Final = 0x0000


def read_identity(path: Path) -> FileDataset:
    """What has to be known of a file to send it; pixels are not read.

    Raises:
        ConfigurationError: It is not there or is no DICOM object.
    """
    try:
        dataset = dcmread(path, stop_before_pixels=True)
    except FileNotFoundError:
        raise ConfigurationError(f"--source: there is no file {path}") from None
    except (InvalidDicomError, OSError) as error:
        raise ConfigurationError(f"--source: {path} is not a DICOM file ({error})") from None
    if not dataset.get("SOPClassUID") or "TransferSyntaxUID" not in dataset.file_meta:
        raise ConfigurationError(f"--source: {path} names no SOP class or transfer syntax")
    return dataset


def send(path: Path, *, port: int) -> None:
    """C-STORE a file to the demo's node, in the transfer syntax it is stored in.

    The association is made by a thread of its own, which Ctrl-C does not reach: an interrupted
    caller of pynetdicom leaves a thread of it behind that the interpreter waits for without end.

    Raises:
        PeerError: No association.
        RefusedError: The node did not take it.
    """
    with ThreadPoolExecutor(1, "modality") as modality:
        modality.submit(_store, path, port).result()


def _store(path: Path, port: int) -> None:
    identity = read_identity(path)
    ae = AE(ae_title=MODALITY_AE_TITLE)
    ae.add_requested_context(identity.SOPClassUID, identity.file_meta.TransferSyntaxUID)
    association = ae.associate("127.0.0.1", port, ae_title=NODE_AE_TITLE)
    if not association.is_established:
        if association.rejected_contexts:
            raise RefusedError(
                f"the node does not take {identity.SOPClassUID.name} "
                f"in {identity.file_meta.TransferSyntaxUID.name}"
            )
        raise PeerError("the node gave no association")
    try:
        answer = association.send_c_store(path)
    finally:
        association.release()
    status = answer.get("Status")
    if status is None:
        raise PeerError("the node gave no answer to C-STORE")
    if status != SUCCESS:
        raise RefusedError(f"the node refused the radiograph with status 0x{status:04X}")
