"""The patient of a derived object: the source's bytes, in the source's character set."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian

from dicom_node.domain.writing import Form
from dicom_node.iod.conformance import problems
from dicom_node.iod.derived import encode
from dicom_node.iod.reading import read_source
from synthesis.types import View
from tests.iod.objects import ONE_VIEW, build, chest, dciodvfy, file_of, radiograph, read

VIEW = View(primary_deg=-30)

# Names and their bytes as PS3.5 annexes H to K print them.
NAMES = {
    "latin": (["ISO_IR 100"], "Buc^Jérôme", b"Buc^J\xe9r\xf4me"),
    "arabic": (["ISO_IR 127"], "قباني^لنزار", b"\xe2\xc8\xc7\xe6\xea^\xe4\xe6\xd2\xc7\xd1"),
    "greek": (["ISO_IR 126"], "Διονυσιος", b"\xc4\xe9\xef\xed\xf5\xf3\xe9\xef\xf2"),
    "russian": (["ISO_IR 144"], "Люкceмбypг", b"\xbb\xee\xdace\xdc\xd1yp\xd3"),
    "japanese": (
        ["", "ISO 2022 IR 87"],
        "Yamada^Tarou=山田^太郎=やまだ^たろう",
        b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B",
    ),
    "japanese katakana": (
        ["ISO 2022 IR 13", "ISO 2022 IR 87"],
        "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう",
        b"\xd4\xcf\xc0\xde^\xc0\xdb\xb3=\x1b$B;3ED\x1b(J^\x1b$BB@O:\x1b(J="
        b"\x1b$B$d$^$@\x1b(J^\x1b$B$?$m$&\x1b(J",
    ),
    "korean": (
        ["", "ISO 2022 IR 149"],
        "Hong^Gildong=洪^吉洞=홍^길동",
        b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7=\x1b$)C\xc8\xab^\x1b$)C\xb1\xe6\xb5\xbf",
    ),
    "unicode": (
        ["ISO_IR 192"],
        "Wang^XiaoDong=王^小東",
        b"Wang^XiaoDong=\xe7\x8e\x8b^\xe5\xb0\x8f\xe6\x9d\xb1",
    ),
    "chinese": (["GB18030"], "Wang^XiaoDong=王^小东", b"Wang^XiaoDong=\xcd\xf5^\xd0\xa1\xb6\xab"),
}


def object_with(name: bytes, charset: list[str] | None) -> bytes:
    """A file whose Patient's Name has exactly these bytes, whatever pydicom thinks of them."""
    placeholder = "N" * len(name)
    ds = radiograph(
        SpecificCharacterSet=charset,
        PatientName=placeholder,
        IssuerOfPatientID="CLINIC",
        PatientComments="quiet",
    )
    data = file_of(ds)
    assert data.count(placeholder.encode()) == 1
    return data.replace(placeholder.encode(), name)


@pytest.mark.parametrize("form", ONE_VIEW)
@pytest.mark.parametrize("language", list(NAMES))
def test_names_arrive_byte_for_byte_with_their_character_set(
    language: str, form: Form, tmp_path: Path
) -> None:
    charset, name, raw = NAMES[language]
    source = read_source(object_with(raw, charset))
    ds, provenance = build(source, VIEW, form=form)
    assert problems(ds, source=source, provenance=provenance, form=form) == ()
    data = encode(ds)
    assert raw in data
    back = dcmread(BytesIO(data))
    stated = back.SpecificCharacterSet
    assert ([stated] if isinstance(stated, str) else list(stated)) == charset
    assert str(back.PatientName) == name
    assert not [line for line in dciodvfy(data, tmp_path) if line.startswith("Error")]


def test_names_that_break_their_character_set_still_arrive_byte_for_byte() -> None:
    # Latin-1 letters under no character set at all: wrong, frequent, and not ours to repair.
    raw = b"M\xfcller^J\xf6rg"
    source = read_source(object_with(raw, None))
    ds, provenance = build(source, VIEW)
    assert raw in encode(ds)
    assert problems(ds, source=source, provenance=provenance, form=Form.DX) == ()


def nested() -> Dataset:
    issuer = Dataset()
    issuer.UniversalEntityID, issuer.UniversalEntityIDType = "1.2.3", "ISO"
    other = Dataset()
    other.PatientID, other.TypeOfPatientID, other.IssuerOfPatientID = "X-9", "TEXT", "Müller"
    doctor = Dataset()
    doctor.InstitutionName = "Spital Zürich"
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "1", "99X", "Ärztin"
    doctor.PersonIdentificationCodeSequence = Sequence([code])
    return radiograph(
        SpecificCharacterSet="ISO_IR 100",
        IssuerOfPatientIDQualifiersSequence=Sequence([issuer]),
        OtherPatientIDsSequence=Sequence([other]),
        ReferringPhysicianIdentificationSequence=Sequence([doctor]),
        PregnancyStatus=4,
        PatientSize="1.7",
        PatientComments="Größe",
        ClinicalTrialSubjectID="T-1",
        ClinicalTrialSponsorName="Sponsor",
        ClinicalTrialSeriesID="series of the source",
        StudyDescription="THORAX",
        AdmittingDiagnosesDescription="Hüsteln",
        PatientIdentityRemoved="NO",
    )


@pytest.mark.parametrize(
    "syntax",
    [None, ImplicitVRLittleEndian, ExplicitVRBigEndian],
    ids=["explicit", "implicit", "big"],
)
def test_whole_modules_arrive_from_every_encoding(syntax: str | None) -> None:
    ds = nested()
    if syntax:
        ds.file_meta.TransferSyntaxUID = syntax
    if syntax == ExplicitVRBigEndian:
        ds.PixelData = chest().astype(">u2").tobytes()
    source = read_source(file_of(ds))
    derived, provenance = build(source, VIEW)
    assert problems(derived, source=source, provenance=provenance, form=Form.DX) == ()
    back = dcmread(BytesIO(encode(derived)))
    assert back.IssuerOfPatientIDQualifiersSequence[0].UniversalEntityID == "1.2.3"
    assert back.OtherPatientIDsSequence[0].IssuerOfPatientID == "Müller"
    doctor = back.ReferringPhysicianIdentificationSequence[0]
    assert doctor.InstitutionName == "Spital Zürich"
    assert doctor.PersonIdentificationCodeSequence[0].CodeMeaning == "Ärztin"
    assert (back.PregnancyStatus, back.PatientSize, back.PatientComments) == (4, 1.7, "Größe")
    assert back.AdmittingDiagnosesDescription == "Hüsteln"
    assert (back.ClinicalTrialSubjectID, back.ClinicalTrialSponsorName) == ("T-1", "Sponsor")
    assert "ClinicalTrialSeriesID" not in back
    assert back.PatientIdentityRemoved == "NO"


def test_what_the_source_does_not_know_is_present_and_empty() -> None:
    keywords = [
        "PatientName",
        "PatientID",
        "PatientBirthDate",
        "PatientSex",
        "StudyDate",
        "StudyTime",
    ]
    ds, _ = build(read(**dict.fromkeys(keywords)), VIEW)
    back = dcmread(BytesIO(encode(ds)))
    for keyword in keywords:
        assert keyword in back
        assert not back[keyword].value


def test_looking_at_a_derived_object_does_not_change_what_is_written() -> None:
    charset, _, raw = NAMES["japanese"]
    ds, _ = build(read_source(object_with(raw, charset)), VIEW)
    before = encode(ds)
    str(ds)  # converts every element
    assert encode(ds) == before
