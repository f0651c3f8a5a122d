"""The tables of the conformance statement say what the code does."""

from __future__ import annotations

import ast
import contextlib
import re
from pathlib import Path

import pytest
from pydicom import Dataset
from pydicom.datadict import tag_for_keyword
from pydicom.tag import Tag
from pydicom.uid import UID, ExplicitVRLittleEndian

from dicom_node import PRODUCT
from dicom_node.domain import errors
from dicom_node.domain.routes import Destination
from dicom_node.domain.security import TlsProfile
from dicom_node.domain.writing import Document, Form
from dicom_node.iod.conformance.documents import CLASSES
from dicom_node.iod.conformance.tables import FIXED, FIXED_FOR_FORM, FORBIDDEN
from dicom_node.iod.patient import copied_tags
from dicom_node.iod.reading import Source, read_source
from dicom_node.iod.report import CONSISTENCY, ELIGIBILITY, PERCENTILE, SPREAD
from dicom_node.network import commitment, contexts, querying, statuses, storing, tls, web
from dicom_node.network.associations import MAXIMUM_PDU_BYTES, Timeouts
from dicom_node.settings.sections import NodeSettings
from dicom_node.store import demands
from synthesis.types import View
from tests.iod.objects import build, build_all, read, real

ROOT = Path(__file__).parents[2]
STATEMENT = (ROOT / "deploy" / "CONFORMANCE.md").read_text(encoding="utf-8")
NETWORK = ROOT / "dicom_node" / "network"


def table(first_column: str) -> list[list[str]]:
    """The rows of the table whose head begins with that word."""
    (found,) = re.findall(
        rf"^\| {re.escape(first_column)} \|.*\n\|[-|]+\|\n((?:\|.*\n)+)",
        STATEMENT,
        flags=re.MULTILINE,
    )
    return [
        [cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1]] for row in found.splitlines()
    ]


def number(text: str) -> int:
    return int(text, 16)


def test_sop_classes_and_roles_are_those_of_the_contexts() -> None:
    rows = {uid: (name, scu, scp) for name, uid, scu, scp in table("SOP class")}
    accepted = {str(each.abstract_syntax) for each in contexts.accepted_contexts()}
    accepted.add(str(commitment.accepted_commitment_context().abstract_syntax))
    assert {uid for uid, (_, _, scp) in rows.items() if scp == "yes"} == accepted
    sent = {str(made(read(), form).SOPClassUID) for form in Form}
    sent |= {sop_class for sop_class, _ in CLASSES.values()}
    asked = {contexts.VERIFICATION_CLASS, commitment.COMMITMENT_CLASS}
    asked |= {querying.FIND_CLASS, querying.MOVE_CLASS, querying.GET_CLASS}
    assert {uid for uid, (_, scu, _) in rows.items() if scu == "yes"} == sent | asked
    assert all(UID(uid).name == name for uid, (name, _, _) in rows.items())


def test_transfer_syntaxes_are_those_that_are_accepted_in_this_order() -> None:
    rows = table("transfer syntax")
    assert [uid for _, uid in rows] == list(contexts.readable_transfer_syntaxes())
    assert all(UID(uid).name == name for name, uid in rows)


def test_the_application_entity_is_as_described() -> None:
    rows = dict(table("item"))
    assert rows["Implementation class UID"] == contexts.IMPLEMENTATION_CLASS_UID
    assert rows["Implementation version name"] == contexts.IMPLEMENTATION_VERSION_NAME
    assert int(rows["Maximum PDU size offered, bytes"]) == MAXIMUM_PDU_BYTES
    defaults, times = NodeSettings(ae_title="NODE"), Timeouts()
    for name, value in {
        "Associations accepted at one time": defaults.max_associations,
        "Longest object accepted, bytes": defaults.max_image_bytes,
        "Time to ask for an association (ARTIM), s": defaults.request_timeout_s,
        "Silence that ends an association, s": defaults.idle_timeout_s,
        "As SCU: time to connect, s": times.connect_s,
        "As SCU: time for an association or release response, s": times.acse_s,
        "As SCU: time for a DIMSE response, s": times.dimse_s,
    }.items():
        assert float(rows[name].split(",")[0]) == value, name


def test_rejections_are_those_of_admission_and_of_the_library() -> None:
    ours = set()
    for node in ast.walk(ast.parse((NETWORK / "admission.py").read_text())):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Refusal":
            given = {each.arg: each.value for each in node.keywords}
            ours.add(
                tuple(ast.literal_eval(given[k]) for k in ("result", "source", "diagnostic"))  # type: ignore[arg-type]
            )
    called_ae_title_not_recognised, local_limit_exceeded = (1, 1, 7), (2, 3, 2)
    rows = {tuple(int(cell) for cell in row[:3]) for row in table("result")}
    assert rows == ours | {called_ae_title_not_recognised, local_limit_exceeded}


def test_c_store_statuses_of_the_node_are_those_of_its_errors() -> None:
    known = [each for each in vars(errors).values() if isinstance(each, type)]
    ours = {
        each.dimse_status
        for each in known
        if issubclass(each, errors.NodeError) and each.dimse_status is not None
    }
    ours |= {0x0000, 0x0110}
    assert {number(row[0]) for row in table("status")} == ours


def test_c_store_statuses_of_destinations_are_the_table_of_the_code() -> None:
    rows = [(number(a), number(b), outcome, words) for a, b, outcome, words in table("from")]
    assert rows == [
        (each.first, each.last, each.outcome.value, each.meaning) for each in statuses.STATUS_TABLE
    ]


def test_n_action_statuses_are_those_the_handler_returns() -> None:
    tree = ast.parse((NETWORK / "commitment.py").read_text())
    (handler,) = (
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and node.name == "_on_action"
    )
    returned = {
        getattr(commitment, name.id)
        for statement in ast.walk(handler)
        if isinstance(statement, ast.Return) and statement.value is not None
        for name in ast.walk(statement.value)
        if isinstance(name, ast.Name) and name.id.isupper()
    }
    assert {number(row[0]) for row in table("N-ACTION status")} == returned
    reasons = {demands.NO_SUCH_INSTANCE, demands.CLASS_INSTANCE_CONFLICT}
    assert {number(row[0]) for row in table("failure reason in a report")} == reasons


def test_http_statuses_have_the_policy_of_the_code() -> None:
    to = Destination(name="a", ae_title="a", host="a", port=1)
    names = {
        "counts as away": "UnreachableError",
        "with more time": "BusyError",
        "is tried again": "PeerError",
        "refused": "RefusedError",
    }
    for codes, follows in table("HTTP status without such a response"):
        wanted = next(name for words, name in names.items() if words in follows)
        examples = codes.replace("redirects", "301, 302, 307").replace("5xx", "500, 502, 504")
        for code in examples.replace("other 4xx", "400, 406, 413, 415").split(", "):
            assert type(web.refusal(to, int(code))).__name__ == wanted, code


def test_http_statuses_of_the_node_are_those_of_the_code() -> None:
    """A status is the first argument of what answers, or what `_status` gives."""
    given = set()
    for name in ("storing.py", "webserver.py"):
        for node in ast.walk(ast.parse((NETWORK / name).read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("refused", "_later"):
                with contextlib.suppress(ValueError):
                    given.add(ast.literal_eval(node.args[0]))
    tree = ast.parse((NETWORK / "stow.py").read_text())
    (status,) = (
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and node.name == "_status"
    )
    for found in ast.walk(status):
        if isinstance(found, ast.Return) and found.value is not None:
            given |= {
                each.value
                for each in ast.walk(found.value)
                if isinstance(each, ast.Constant) and each.value in range(200, 600)
            }
    assert {int(row[0]) for row in table("HTTP status of the node")} == given
    assert f"0x{storing.OTHER_STUDY:X}" in STATEMENT
    assert f"({storing.INSTANCES_AT_MOST})" in STATEMENT
    assert all(path.startswith(f"`POST {storing.ROOT}/studies") for path, _ in table("request"))


def test_tls_profiles_have_the_suites_of_the_code() -> None:
    rows = {name.strip("`"): tuple(suites.split()) for _, name, suites in table("profile")}
    assert rows == {profile.value: tls.CIPHERS[profile] for profile in TlsProfile}


def attributes(kind: str) -> set[str]:
    """Those of one form, or those that stand there ``if`` the source gives cause."""
    return {
        row[0]
        for row in table("attribute")
        if kind in row[2].split(", ") or (row[2] == "all" and kind != "if")
    }


def made(source: Source, form: Form) -> Dataset:
    if form.holds_all_views:
        return build_all(source, [View(primary_deg=30), View(primary_deg=60)])[0]
    return build(source, View(primary_deg=30), form=form)[0]


@pytest.mark.parametrize("form", list(Form))
def test_derived_objects_have_the_listed_attributes_and_no_others(form: Form) -> None:
    source = read()
    ds = made(source, form)
    assert _own(ds, source.dataset) == attributes(form.value)
    for row in table("form"):
        if row[0] == form.value:
            assert row[1:] == [str(ds.SOPClassUID), str(ds.file_meta.TransferSyntaxUID)]


@pytest.mark.parametrize("form", list(Form))
@pytest.mark.parametrize("name", ["RG1_UNCR", "RG1_J2KI"])
def test_real_sources_give_no_attribute_that_is_not_listed(form: Form, name: str) -> None:
    source = read_source(real(name))
    listed = attributes(form.value) | attributes("if")
    assert _own(made(source, form), source.dataset) <= listed


def _own(ds: Dataset, source: Dataset) -> set[str]:
    """Keywords beside those of patient and study and the private block."""
    copied = set(copied_tags(source))
    private = {Tag(0x0099, 0x0010), Tag(0x0099, 0x1001)}
    assert {each.tag for each in ds if each.tag.is_private} == private
    assert ds[0x0099, 0x0010].value == PRODUCT
    patient = {0x0010, 0x0012}
    return {
        each.keyword
        for each in ds
        if each.tag not in copied | private
        and each.tag.group not in patient
        and each.keyword not in _EMPTY_WHEN_UNKNOWN
    }


_EMPTY_WHEN_UNKNOWN = {
    "StudyDate",
    "StudyTime",
    "ReferringPhysicianName",
    "StudyID",
    "AccessionNumber",
}


def test_documents_are_those_of_the_code() -> None:
    rows = {name: (sop_class, modality) for name, _, sop_class, modality, _ in table("document")}
    assert rows == {document.value: CLASSES[document] for document in Document}
    assert {row[-1] for row in table("document")} == {str(ExplicitVRLittleEndian)}
    for code in (CONSISTENCY, PERCENTILE, SPREAD, ELIGIBILITY):
        assert f"`{code.value}`" in STATEMENT


def test_listed_attributes_have_their_tags_and_fixed_values() -> None:
    for keyword, tag, _, value in table("attribute"):
        assert tag == str(Tag(tag_for_keyword(keyword) or 0)).replace(" ", "").upper()
        for fixed in (FIXED, *FIXED_FOR_FORM.values()):
            said = value.replace("\\\\", "\\")
            texts = fixed.get(keyword, ())
            if texts and texts[0] in ("YES", "NO", "SYN", "RESEARCH", "CARM", "1", "0", "DX"):
                assert f"`{texts[0]}`" in said, keyword
    assert {row[0] for row in table("attribute")}.isdisjoint(FORBIDDEN)


def test_the_statement_has_the_parts_of_the_standard() -> None:
    titles = re.findall(r"^##+ (.+)$", STATEMENT, flags=re.MULTILINE)
    for part in (
        "Conformance statement overview",
        "Networking",
        "Support of character sets",
        "Security",
    ):
        assert part in titles
