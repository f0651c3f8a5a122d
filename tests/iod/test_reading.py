"""Headers: every attribute a rule may ask about, from files as they come."""

from __future__ import annotations

import random
import traceback
import warnings
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import RLELossless
from pynetdicom import AE, evt

from dicom_node import MANUFACTURER, PRODUCT
from dicom_node.domain.errors import ImageError, InputError, NodeError
from dicom_node.domain.header import ROUTING_KEYWORDS
from dicom_node.iod.reading import read_header, read_source, source_view
from tests.iod.objects import SOP_UID, chest, file_of, radiograph, read, real

SECRETS = ("Geheim", "Patientin", "19500607", "P-123", "Alma")


def code(value: str, scheme: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def test_the_header_of_a_real_radiograph_is_what_a_dump_of_it_shows() -> None:
    header = read_header(real("RG1_J2KR"), calling_ae_title="PACS ")
    assert dict(header.values) == {
        "SOPClassUID": ("1.2.840.10008.5.1.4.1.1.1",),
        "SOPInstanceUID": ("1.3.6.1.4.1.5962.1.1.9.1.2.20040826185059.5457",),
        "StudyInstanceUID": ("1.3.6.1.4.1.5962.1.2.9.20040826185059.5457",),
        "SeriesInstanceUID": ("1.3.6.1.4.1.5962.1.3.9.1.20040826185059.5457",),
        "ImageType": ("DERIVED", "PRIMARY"),
        "Modality": ("CR",),
        "Manufacturer": ("Philips Medical Systems",),
        "ManufacturerModelName": ("Cassette Holder Type 9840 500 70201",),
        "InstitutionName": ("Philips Medical Systems Hamburg",),
        "StationName": ("THORAVISION",),
        "StudyDescription": ("THORAX",),
        "BodyPartExamined": ("CHEST",),
        "ViewPosition": ("PA",),
        "PatientOrientation": ("L", "F"),
        "PatientSex": ("F",),
        "PhotometricInterpretation": ("MONOCHROME1",),
        "BitsStored": ("15",),
        "Rows": ("1955",),
        "Columns": ("1841",),
        "TransferSyntaxUID": ("1.2.840.10008.1.2.4.90",),
        "CallingAETitle": ("PACS",),
    }
    assert not header.manufactured_here


def test_every_routing_keyword_can_be_read() -> None:
    everything = {
        "ImageType": ["ORIGINAL", "PRIMARY"],
        "PresentationIntentType": "FOR PRESENTATION",
        "InstitutionName": "Clinic",
        "StudyDescription": "THORAX",
        "SeriesDescription": "pa",
        "ProtocolName": "chest pa",
        "RequestedProcedureDescription": "chest",
        "PerformedProcedureStepDescription": "chest x-ray",
        "AnatomicRegionSequence": Sequence([code("816094009", "SCT", "Chest")]),
        "ImageLaterality": "U",
        "PatientAge": "075Y",
        "SyntheticData": "NO",
        "QualityControlImage": "NO",
        "BurnedInAnnotation": "NO",
        "NumberOfFrames": "1",
    }
    header = read_header(file_of(radiograph(**everything)), calling_ae_title="X")
    assert sorted(header.values) == sorted(ROUTING_KEYWORDS)
    assert header.first("AnatomicRegionMeaning") == "Chest"
    assert header.first("PatientAge") == "075Y"
    assert header.get("Rows") == ("96",)


def test_a_path_is_read_like_its_bytes(tmp_path: Path) -> None:
    data = file_of(radiograph())
    (tmp_path / "x").write_bytes(data)
    assert read_header(tmp_path / "x") == read_header(data)


def test_a_view_stated_only_by_its_code_counts_as_view_position() -> None:
    ap = radiograph(
        ViewPosition=None,
        ViewCodeSequence=Sequence([code("399348003", "SCT", "antero-posterior")]),
    )
    old = radiograph(
        ViewPosition=None, ViewCodeSequence=Sequence([code("R-10214", "SNM3", "postero-anterior")])
    )
    lateral = radiograph(
        ViewPosition=None, ViewCodeSequence=Sequence([code("399173006", "SCT", "left lateral")])
    )
    assert read_header(file_of(ap)).first("ViewPosition") == "AP"
    assert read_header(file_of(old)).first("ViewPosition") == "PA"
    assert read_header(file_of(lateral)).get("ViewPosition") == ()


def test_pa_is_0_and_ap_is_180_degrees() -> None:
    assert source_view(read_header(file_of(radiograph()))).primary_deg == 0.0
    ap = source_view(read_header(file_of(radiograph(ViewPosition="AP"))))
    assert (ap.primary_deg, ap.secondary_deg) == (180.0, 0.0)


@pytest.mark.parametrize("position", ["LL", "RLO", "", "PAX"])
def test_any_other_view_is_no_source(position: str) -> None:
    with pytest.raises(ImageError, match="neither PA nor AP"):
        source_view(read_header(file_of(radiograph(ViewPosition=position))))


def test_our_own_output_is_known_by_its_equipment() -> None:
    ours = radiograph(Manufacturer=MANUFACTURER, ManufacturerModelName=PRODUCT)
    assert read_header(file_of(ours)).manufactured_here
    item = Dataset()
    item.Manufacturer, item.ManufacturerModelName = MANUFACTURER, PRODUCT
    touched = radiograph(ContributingEquipmentSequence=Sequence([item]))
    assert read_header(file_of(touched)).manufactured_here
    other = radiograph(Manufacturer=MANUFACTURER, ManufacturerModelName="another")
    assert not read_header(file_of(other)).manufactured_here


def test_values_that_break_their_vr_are_passed_on_and_never_quoted() -> None:
    data = file_of(radiograph())
    data = data.replace(b"19500607", b"Geheim07").replace(b"120 ", b"1x0 ")
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        header = read_header(data)
        source = read_source(data)
    assert header.first("SOPInstanceUID") == SOP_UID
    assert source.radiograph.pixels.shape == (96, 80)
    assert not [w for w in seen if any(secret in str(w.message) for secret in SECRETS)]


def test_text_is_decoded_with_the_character_set_of_the_object() -> None:
    ds = radiograph(SpecificCharacterSet=["", "ISO 2022 IR 87"], InstitutionName="病院")
    assert read_header(file_of(ds)).first("InstitutionName") == "病院"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"not dicom",
        bytes(200),
        bytes(128) + b"DICM",
        bytes(128) + b"DICM" + bytes(range(256)) * 4,
        random.Random(1).randbytes(5000),
        b"\x89PNG\r\n" + bytes(300),
    ],
)
def test_bytes_that_are_not_dicom_are_an_input_error(data: bytes) -> None:
    with pytest.raises(InputError):
        read_header(data)


def test_a_good_file_meta_over_garbage_is_an_input_error() -> None:
    data = file_of(radiograph())
    start = data.index(b"\x08\x00\x16\x00UI")
    for seed in range(20):
        with pytest.raises(InputError), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            read_header(data[:start] + random.Random(seed).randbytes(3000))


def test_bytes_flipped_anywhere_raise_node_errors_without_patient_data() -> None:
    data = file_of(radiograph())
    head = len(data) - 96 * 80 * 2
    outcomes = {"read": 0, "refused": 0}
    for seed in range(300):
        rng = random.Random(seed)
        mutant = bytearray(data)
        for _ in range(rng.randint(1, 12)):
            mutant[rng.randrange(132, head)] = rng.randrange(256)
        if rng.random() < 0.2:
            del mutant[rng.randrange(200, len(mutant)) :]
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                read_source(bytes(mutant))
            outcomes["read"] += 1
        except NodeError as error:
            shown = "".join(traceback.format_exception(error))
            assert not any(secret in f"{error}" for secret in SECRETS)
            assert not any(secret in shown for secret in SECRETS)
            outcomes["refused"] += 1
    assert outcomes["read"] and outcomes["refused"]


def test_an_object_without_study_or_series_is_no_source() -> None:
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID"):
        with pytest.raises(ImageError, match=keyword):
            read(**{keyword: None})


def test_the_source_keeps_its_attributes_and_not_its_pixels() -> None:
    source = read()
    assert "PixelData" not in source.dataset
    assert source.dataset.PatientID == "P-123"
    assert source.radiograph.view.label == "PA"


def test_a_file_as_the_storage_service_writes_it_is_read() -> None:
    # pynetdicom's `event.encoded_dataset()`: its own file meta before the bytes as received.
    received: list[bytes] = []

    def store(event: evt.Event) -> int:
        received.append(event.encoded_dataset())
        return 0x0000

    ds = radiograph()
    ds.compress(RLELossless, generate_instance_uid=False)
    scp = AE("NODE")
    scp.add_supported_context(ds.SOPClassUID, [RLELossless])
    server = scp.start_server(
        ("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, store)]
    )
    try:
        scu = AE("MODALITY")
        scu.add_requested_context(ds.SOPClassUID, [RLELossless])
        assoc = scu.associate("127.0.0.1", server.server_address[1])
        assert assoc.is_established
        assert assoc.send_c_store(ds).Status == 0x0000
        assoc.release()
    finally:
        server.shutdown()
    assert read_header(received[0]).first("TransferSyntaxUID") == RLELossless
    np.testing.assert_array_equal(read_source(received[0]).radiograph.pixels, chest())
