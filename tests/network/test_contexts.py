from __future__ import annotations

from pathlib import Path

import pydicom.pixels.decoders as installed
from pydicom.uid import (
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
)

from dicom_node.network import contexts
from tests.network.objects import COMPUTED_RADIOGRAPHY, DIGITAL_X_RAY, derived

LOSSY = {
    "1.2.840.10008.1.2.4.50",
    "1.2.840.10008.1.2.4.51",
    "1.2.840.10008.1.2.4.81",
    "1.2.840.10008.1.2.4.91",
    "1.2.840.10008.1.2.4.203",
}


def test_every_syntax_that_an_installed_decoder_reads_is_taken() -> None:
    decodable = {
        str(decoder.UID)
        for name, decoder in vars(installed).items()
        if name.endswith("Decoder") and decoder.is_available
    }
    assert len(decodable) >= 14
    assert set(contexts.readable_transfer_syntaxes()) == decodable


def test_uncompressed_is_preferred_and_lossy_comes_last() -> None:
    taken = contexts.readable_transfer_syntaxes()
    assert taken[:2] == (ExplicitVRLittleEndian, ImplicitVRLittleEndian)
    first_lossy = min(taken.index(uid) for uid in LOSSY)
    assert set(taken[first_lossy:]) == LOSSY
    assert {JPEGBaseline8Bit, JPEGExtended12Bit} == set(taken[-2:])


def test_the_node_takes_radiographs_and_secondary_captures_and_echoes() -> None:
    taken = {str(context.abstract_syntax) for context in contexts.accepted_contexts()}
    assert taken == {
        "1.2.840.10008.1.1",
        COMPUTED_RADIOGRAPHY,
        DIGITAL_X_RAY,
        "1.2.840.10008.5.1.4.1.1.1.1.1",
        "1.2.840.10008.5.1.4.1.1.7",
    }


def test_what_is_sent_is_proposed_as_written_and_in_the_default_syntax(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"")
    instances = [derived(tmp_path / "a", uid=f"2.25.{n}", index=n) for n in range(3)]
    proposed = [
        (str(c.abstract_syntax), [str(s) for s in c.transfer_syntax])
        for c in contexts.proposed_contexts(instances)
    ]
    assert proposed == [
        (DIGITAL_X_RAY, [ExplicitVRLittleEndian]),
        (DIGITAL_X_RAY, [ImplicitVRLittleEndian]),
    ]


def test_a_compressed_object_is_never_proposed_in_another_syntax() -> None:
    assert not contexts.rewritable(JPEG2000Lossless)
    assert contexts.rewritable(ExplicitVRLittleEndian)


def test_the_implementation_names_are_legal() -> None:
    assert len(contexts.IMPLEMENTATION_CLASS_UID) <= 64
    assert contexts.IMPLEMENTATION_CLASS_UID.startswith("2.25.")
    assert len(contexts.IMPLEMENTATION_VERSION_NAME) <= 16
