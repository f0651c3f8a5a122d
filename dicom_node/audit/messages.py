"""DICOM audit messages as values, and as the XML of PS3.15 A.5.1."""

from __future__ import annotations

import datetime
import re
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final
from xml.etree import ElementTree as ET

__all__ = ["AuditMessage", "AuditOutcome", "Code", "Object", "Participant", "Source", "to_xml"]

# What XML 1.0 cannot hold: a caller's AE title is whatever it sent.
_UNFIT: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

_IP_ADDRESS: Final = "2"
"""Network Access Point Type Code: an address, not a machine name."""

_APPLICATION_SERVER: Final = "4"
"""Audit Source Type Code: application server process."""


class AuditOutcome(IntEnum):
    """Event Outcome Indicator."""

    SUCCESS = 0
    MINOR_FAILURE = 4
    SERIOUS_FAILURE = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """A coded value."""

    code: str
    meaning: str
    system: str = "DCM"


@dataclass(frozen=True, slots=True, kw_only=True)
class Participant:
    """One who took part (ActiveParticipant).

    Attributes:
        user: Who: a process, a person, or AE titles as ``AETITLES=A``.
        requestor: Whether it began this.
        role: What it was in it.
        address: Network address; empty when there is none.
    """

    user: str
    requestor: bool
    role: Code
    address: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Object:
    """What it was about (ParticipantObjectIdentification).

    Attributes:
        type_code: 1 a person, 2 a system object.
        role_code: 1 patient, 3 report, 13 security resource.
        id_type: What kind of identifier it is.
        identifier: Of the object.
        name: Of the object; it never holds a patient's.
        instances: SOP class UID -> SOP instance UIDs.
    """

    type_code: int
    role_code: int
    id_type: Code
    identifier: str
    name: str
    instances: tuple[tuple[str, tuple[str, ...]], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Who keeps this trail: the AE title and the machine."""

    ae_title: str
    machine: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditMessage:
    """One event.

    Attributes:
        event: Which kind.
        action: C, R, U, D or E(xecute).
        outcome: How it ended.
        types: Kinds within the kind.
        participants: At least one.
        objects: What it was about.
        description: Of the outcome, in words, for failures.
    """

    event: Code
    action: str
    outcome: AuditOutcome
    participants: tuple[Participant, ...]
    types: tuple[Code, ...] = ()
    objects: tuple[Object, ...] = field(default=())
    description: str = ""


def to_xml(message: AuditMessage, source: Source, at: float) -> str:
    """The message in one line of XML.

    Args:
        message: What happened.
        source: Who tells.
        at: When, in Unix seconds.
    """
    root = ET.Element("AuditMessage")
    event = ET.SubElement(
        root,
        "EventIdentification",
        EventActionCode=message.action,
        EventDateTime=datetime.datetime.fromtimestamp(at, datetime.UTC).isoformat(
            timespec="milliseconds"
        ),
        EventOutcomeIndicator=str(int(message.outcome)),
    )
    _coded(event, "EventID", message.event)
    for code in message.types:
        _coded(event, "EventTypeCode", code)
    if message.description:
        ET.SubElement(event, "EventOutcomeDescription").text = _fit(message.description)
    for each in message.participants:
        _participant(root, each)
    told_by = ET.SubElement(
        root, "AuditSourceIdentification", AuditSourceID=f"{source.ae_title}@{source.machine}"
    )
    ET.SubElement(told_by, "AuditSourceTypeCode", {"csd-code": _APPLICATION_SERVER})
    for each_object in message.objects:
        _object(root, each_object)
    return ET.tostring(root, encoding="unicode").replace("\r", " ").replace("\n", " ")


def _fit(text: str) -> str:
    return _UNFIT.sub("?", text)


def _coded(parent: ET.Element, tag: str, code: Code) -> None:
    ET.SubElement(
        parent,
        tag,
        {"csd-code": code.code, "codeSystemName": code.system, "originalText": code.meaning},
    )


def _participant(root: ET.Element, participant: Participant) -> None:
    attributes = {
        "UserID": _fit(participant.user),
        "UserIsRequestor": "true" if participant.requestor else "false",
    }
    if participant.address:
        attributes["NetworkAccessPointID"] = _fit(participant.address)
        attributes["NetworkAccessPointTypeCode"] = _IP_ADDRESS
    _coded(ET.SubElement(root, "ActiveParticipant", attributes), "RoleIDCode", participant.role)


def _object(root: ET.Element, described: Object) -> None:
    element = ET.SubElement(
        root,
        "ParticipantObjectIdentification",
        ParticipantObjectID=_fit(described.identifier),
        ParticipantObjectTypeCode=str(described.type_code),
        ParticipantObjectTypeCodeRole=str(described.role_code),
    )
    _coded(element, "ParticipantObjectIDTypeCode", described.id_type)
    ET.SubElement(element, "ParticipantObjectName").text = _fit(described.name)
    for sop_class, instances in described.instances:
        listed = ET.SubElement(
            element, "SOPClass", UID=_fit(sop_class), NumberOfInstances=str(len(instances))
        )
        for uid in instances:
            ET.SubElement(listed, "Instance", UID=_fit(uid))
