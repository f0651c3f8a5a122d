"""The Store Instances response of DICOMweb (PS3.18 10.5.3 and Annex I), read and written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dicom_node.domain.deliveries import Outcome
from dicom_node.network.statuses import outcome_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["Answer", "answers_of", "response_of"]

_FAILED, _STORED = "00081198", "00081199"
_CLASS, _INSTANCE = "00081150", "00081155"
_FAILURE_REASON, _WARNING_REASON = "00081197", "00081196"


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
    """HTTP status and DICOM JSON for what became of a request's instances."""
    stored, failed = [], []
    for answer in answers:
        item: dict[str, Any] = {
            _CLASS: {"vr": "UI", "Value": [answer.sop_class_uid] if answer.sop_class_uid else []},
            _INSTANCE: {
                "vr": "UI",
                "Value": [answer.sop_instance_uid] if answer.sop_instance_uid else [],
            },
        }
        if answer.outcome is not Outcome.STORED:
            failed.append({**item, _FAILURE_REASON: {"vr": "US", "Value": [answer.status]}})
        elif answer.status:
            stored.append({**item, _WARNING_REASON: {"vr": "US", "Value": [answer.status]}})
        else:
            stored.append(item)
    body = {}
    if stored:
        body[_STORED] = {"vr": "SQ", "Value": stored}
    if failed:
        body[_FAILED] = {"vr": "SQ", "Value": failed}
    if not failed:
        return 200, body
    return (202 if stored else 409), body
