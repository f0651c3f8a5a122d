"""The Store Instances response of DICOMweb (PS3.18 10.5.3 and Annex I), read and written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from xml.etree import ElementTree

from pydicom.datadict import keyword_for_tag

from dicom_node.domain.deliveries import Outcome
from dicom_node.network.statuses import outcome_of
from dicom_node.network.taking import PROCESSING_FAILURE

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["Answer", "answers_of", "as_xml", "response_of"]

_FAILED, _STORED, _OTHERS = "00081198", "00081199", "0008119A"
_RETRIEVE_URL = "00081190"
_CLASS, _INSTANCE = "00081150", "00081155"
_FAILURE_REASON, _WARNING_REASON = "00081197", "00081196"

_MODEL: Final = "http://dicom.nema.org/PS3.19/models/NativeDICOM"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What became of one instance: 0 stored, 0xB000 and the like stored with a warning, any other
    status the reason of a failure.
    """

    sop_class_uid: str
    sop_instance_uid: str
    status: int

    @property
    def outcome(self) -> Outcome:
        """What it means."""
        return outcome_of(self.status)


def answers_of(body: Any, asked: Sequence[str], *, all_stored: bool) -> dict[str, Answer]:
    """SOP Instance UID -> its answer, of those that were asked for. What is unreadable, says
    nothing.

    Args:
        body: JSON of the response; None when it has no such body.
        asked: SOP Instance UIDs of the request.
        all_stored: The response's status says so (200), which is enough for whatever the body
            does not speak of.
    """
    found: dict[str, Answer] = {}
    if all_stored:
        for uid in asked:
            found[uid] = Answer(sop_class_uid="", sop_instance_uid=uid, status=0)
    dataset = body[0] if isinstance(body, list) and body else body
    for sequence, reason, otherwise in (
        (_STORED, _WARNING_REASON, 0x0000),
        (_FAILED, _FAILURE_REASON, 0x0110),
    ):
        for item in _values(dataset, sequence):
            uid = str(_first(item, _INSTANCE, ""))
            status = _first(item, reason, otherwise)
            if uid in asked and isinstance(status, int) and 0 <= status <= 0xFFFF:
                found[uid] = Answer(
                    sop_class_uid=str(_first(item, _CLASS, "")),
                    sop_instance_uid=uid,
                    status=status,
                )
    return found


def _values(dataset: Any, tag: str) -> list[Any]:
    element = dataset.get(tag) if isinstance(dataset, dict) else None
    values = element.get("Value") if isinstance(element, dict) else None
    return values if isinstance(values, list) else []


def _first(dataset: Any, tag: str, otherwise: Any) -> Any:
    values = _values(dataset, tag)
    return values[0] if values else otherwise


def response_of(answers: Iterable[Answer]) -> tuple[int, dict[str, Any]]:
    """HTTP status (PS3.18 Table 10.5.3-1) and DICOM JSON for what became of a request's instances.

    What names no instance stands among the other failures. With nothing stored, the status tells
    whether it may help to send again: 503 when there was no room for an instance, 500 when the
    fault was ours, else 409.
    """
    stored: list[dict[str, Any]] = []
    failed: list[dict[str, Any]] = []
    others: list[dict[str, Any]] = []
    statuses: set[int] = set()
    for answer in answers:
        statuses.add(answer.status)
        reason = {"vr": "US", "Value": [answer.status]}
        if answer.outcome is not Outcome.STORED:
            if answer.sop_instance_uid:
                failed.append({**_named(answer), _FAILURE_REASON: reason})
            else:
                others.append({_FAILURE_REASON: reason})
        else:
            warning = {_WARNING_REASON: reason} if answer.status else {}
            stored.append({**_named(answer), _RETRIEVE_URL: {"vr": "UR"}, **warning})
    body: dict[str, Any] = {_RETRIEVE_URL: {"vr": "UR"}}
    for tag, items in ((_FAILED, failed), (_STORED, stored), (_OTHERS, others)):
        if items:
            body[tag] = {"vr": "SQ", "Value": items}
    return _status(bool(stored), statuses), body


def _status(stored: bool, statuses: set[int]) -> int:
    if not statuses:
        return 400
    if stored:
        return 200 if statuses == {0} else 202
    if any(0xA700 <= status <= 0xA7FF for status in statuses):
        return 503
    return 500 if PROCESSING_FAILURE in statuses else 409


def _named(answer: Answer) -> dict[str, Any]:
    return {
        _CLASS: {"vr": "UI", "Value": [answer.sop_class_uid] if answer.sop_class_uid else []},
        _INSTANCE: {"vr": "UI", "Value": [answer.sop_instance_uid]},
    }


def as_xml(dataset: dict[str, Any]) -> bytes:
    """DICOM JSON of such a response as the Native DICOM Model (PS3.19 A.1)."""
    root = ElementTree.Element("NativeDicomModel", {"xmlns": _MODEL, "xml:space": "preserve"})
    _write(root, dataset)
    return bytes(ElementTree.tostring(root, encoding="utf-8", xml_declaration=True))


def _write(parent: ElementTree.Element, dataset: dict[str, Any]) -> None:
    for tag, element in sorted(dataset.items()):
        known = {"tag": tag, "vr": element["vr"], "keyword": keyword_for_tag(tag)}
        attribute = ElementTree.SubElement(parent, "DicomAttribute", known)
        for number, value in enumerate(element.get("Value", ()), start=1):
            kind = "Item" if element["vr"] == "SQ" else "Value"
            child = ElementTree.SubElement(attribute, kind, {"number": str(number)})
            if kind == "Item":
                _write(child, value)
            else:
                child.text = str(value)
