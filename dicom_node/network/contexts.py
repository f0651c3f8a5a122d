"""Presentation contexts: which objects the node takes and sends, and in which encodings.

Taken: the two Digital X-Ray classes, Computed Radiography and Secondary Capture, in every transfer
syntax that the installed pixel decoders can read. Sent: the classes of what is being sent, in the
syntax it was written in, with Implicit VR Little Endian beside it for uncompressed objects, because
that one is the default every peer has to accept (PS3.5 10.1).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import UID, ImplicitVRLittleEndian
from pynetdicom import build_context

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pynetdicom.presentation import PresentationContext

    from dicom_node.domain.deliveries import DerivedInstance
    from dicom_node.domain.routes import Peer

__all__ = [
    "IMPLEMENTATION_CLASS_UID",
    "IMPLEMENTATION_VERSION_NAME",
    "STORAGE_CLASSES",
    "TRANSFER_SYNTAXES",
    "VERIFICATION_CLASS",
    "accepted_contexts",
    "permitted_contexts",
    "proposed_contexts",
    "readable_transfer_syntaxes",
    "rewritable",
    "verification_contexts",
]

VERIFICATION_CLASS: Final = "1.2.840.10008.1.1"
"""C-ECHO (PS3.4 A.4)."""

IMPLEMENTATION_CLASS_UID: Final = "2.25.157227821483126095057375779078179253488"
"""Names this implementation to peers and in stored files (PS3.7 D.3.3.2)."""

IMPLEMENTATION_VERSION_NAME: Final = "DICOM_NODE"
"""At most 16 characters. It names no version on purpose: it is part of stored files, and the same
object received by two releases of the node must give the same bytes, hence the same digest."""

STORAGE_CLASSES: Final = (
    "1.2.840.10008.5.1.4.1.1.1",
    "1.2.840.10008.5.1.4.1.1.1.1",
    "1.2.840.10008.5.1.4.1.1.1.1.1",
    "1.2.840.10008.5.1.4.1.1.7",
)
"""Computed Radiography, Digital X-Ray For Presentation and For Processing, Secondary Capture."""

TRANSFER_SYNTAXES: Final = (
    "1.2.840.10008.1.2.1",  # Explicit VR Little Endian
    "1.2.840.10008.1.2",  # Implicit VR Little Endian
    "1.2.840.10008.1.2.1.99",  # Deflated Explicit VR Little Endian
    "1.2.840.10008.1.2.2",  # Explicit VR Big Endian
    "1.2.840.10008.1.2.5",  # RLE Lossless
    "1.2.840.10008.1.2.4.70",  # JPEG Lossless, first-order prediction
    "1.2.840.10008.1.2.4.57",  # JPEG Lossless
    "1.2.840.10008.1.2.4.80",  # JPEG-LS Lossless
    "1.2.840.10008.1.2.4.90",  # JPEG 2000 Lossless
    "1.2.840.10008.1.2.4.201",  # High-Throughput JPEG 2000 Lossless
    "1.2.840.10008.1.2.4.202",  # High-Throughput JPEG 2000 Lossless, RPCL
    "1.2.840.10008.1.2.4.81",  # JPEG-LS Near-Lossless
    "1.2.840.10008.1.2.4.91",  # JPEG 2000
    "1.2.840.10008.1.2.4.203",  # High-Throughput JPEG 2000
    "1.2.840.10008.1.2.4.51",  # JPEG Extended
    "1.2.840.10008.1.2.4.50",  # JPEG Baseline
)
"""In order of preference: a peer that offers several in one context is asked for the one that loses
nothing and needs least of it, so lossy ones stand last."""


def readable_transfer_syntaxes() -> tuple[str, ...]:
    """Those of `TRANSFER_SYNTAXES` that the decoders installed here can read."""
    return tuple(uid for uid in TRANSFER_SYNTAXES if get_decoder(UID(uid)).is_available)


def verification_contexts() -> list[PresentationContext]:
    """What C-ECHO needs."""
    return [build_context(VERIFICATION_CLASS)]


def accepted_contexts() -> list[PresentationContext]:
    """What the node takes: Verification, and every storage class in every readable syntax."""
    syntaxes = list(readable_transfer_syntaxes())
    return [*verification_contexts(), *(build_context(uid, syntaxes) for uid in STORAGE_CLASSES)]


def permitted_contexts(
    contexts: Iterable[PresentationContext], peer: Peer
) -> list[PresentationContext]:
    """Those of the node's contexts that a peer is offered: storage only if it may send."""
    return [
        each for each in contexts if peer.may_send or each.abstract_syntax not in STORAGE_CLASSES
    ]


def proposed_contexts(instances: Iterable[DerivedInstance]) -> list[PresentationContext]:
    """What the node proposes as SCU: one context per pair of class and syntax, so that the peer's
    answer says of each whether it is taken.
    """
    pairs: dict[tuple[str, str], None] = {}
    for instance in instances:
        pairs[instance.sop_class_uid, instance.transfer_syntax_uid] = None
    for sop_class, syntax in list(pairs):
        if rewritable(syntax):
            pairs[sop_class, str(ImplicitVRLittleEndian)] = None
    return [build_context(sop_class, syntax) for sop_class, syntax in pairs]


def rewritable(transfer_syntax_uid: str) -> bool:
    """Whether an object may be sent as Implicit VR Little Endian instead, without loss."""
    uid = UID(transfer_syntax_uid)
    return uid.is_little_endian and not uid.is_compressed
