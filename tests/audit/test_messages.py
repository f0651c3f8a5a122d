"""Audit messages against the rules of PS3.15 A.5, written down here anew and read by expat."""

from __future__ import annotations

import datetime
from xml.dom import minidom

import pytest

from dicom_node.audit import events
from dicom_node.audit.messages import AuditMessage, Source, to_xml

SOURCE = Source(ae_title="SYNTH", machine="node7")
AT = 1_700_000_000.25

# PS3.15 A.5.1: element -> (required attributes, optional attributes, children in order: name -> at
# least, at most).
MANY = 10**6
CODED = ({"csd-code", "codeSystemName", "originalText"}, {"displayName"}, {})
SCHEMA: dict[str, tuple[set[str], set[str], dict[str, tuple[int, int]]]] = {
    "AuditMessage": (
        set(),
        set(),
        {
            "EventIdentification": (1, 1),
            "ActiveParticipant": (1, MANY),
            "AuditSourceIdentification": (1, 1),
            "ParticipantObjectIdentification": (0, MANY),
        },
    ),
    "EventIdentification": (
        {"EventDateTime", "EventOutcomeIndicator"},
        {"EventActionCode"},
        {"EventID": (1, 1), "EventTypeCode": (0, MANY), "EventOutcomeDescription": (0, 1)},
    ),
    "EventID": CODED,
    "EventTypeCode": CODED,
    "RoleIDCode": CODED,
    "ParticipantObjectIDTypeCode": CODED,
    "EventOutcomeDescription": (set(), set(), {}),
    "ActiveParticipant": (
        {"UserID", "UserIsRequestor"},
        {
            "AlternativeUserID",
            "UserName",
            "NetworkAccessPointID",
            "NetworkAccessPointTypeCode",
        },
        {"RoleIDCode": (0, MANY), "MediaIdentifier": (0, 1)},
    ),
    "AuditSourceIdentification": (
        {"AuditSourceID"},
        {"AuditEnterpriseSiteID"},
        {"AuditSourceTypeCode": (0, MANY)},
    ),
    "AuditSourceTypeCode": ({"csd-code"}, set(), {}),
    "ParticipantObjectIdentification": (
        {"ParticipantObjectID", "ParticipantObjectTypeCode"},
        {
            "ParticipantObjectTypeCodeRole",
            "ParticipantObjectDataLifeCycle",
            "ParticipantObjectSensitivity",
        },
        {
            "ParticipantObjectIDTypeCode": (1, 1),
            "ParticipantObjectName": (0, 1),
            "ParticipantObjectDetail": (0, MANY),
            "SOPClass": (0, MANY),
        },
    ),
    "ParticipantObjectName": (set(), set(), {}),
    "SOPClass": ({"NumberOfInstances"}, {"UID"}, {"Instance": (0, MANY)}),
    "Instance": ({"UID"}, set(), {}),
}


def transfer(patient_id: str | None = None) -> events.Transfer:
    return events.Transfer(
        sender="CT",
        sender_address="10.0.0.1",
        receiver="SYNTH",
        receiver_address="",
        we_began=False,
        node="SYNTH",
        study_uid="2.25.7",
        patient_id=patient_id,
        instances=[("1.2.3", "2.25.1"), ("1.2.4", "2.25.2"), ("1.2.3", "2.25.3")],
    )


MESSAGES = {
    ("110100", "110120"): events.application_activity("SYNTH", "root", starts=True),
    ("110100", "110121"): events.application_activity("SYNTH", "root", starts=False),
    ("110113", "110126"): events.node_refused("SYNTH", "EVIL", "192.0.2.1", "no peer"),
    ("110113", "110131"): events.configuration_changed("SYNTH", "root", "ab" * 32),
    ("110113", "110132"): events.quarantine_settled(
        "SYNTH", "anna", "jobs: 12ab", "1 job released"
    ),
    ("110114", "110122"): events.user_authentication(
        "SYNTH", "anna", "10.0.0.9", logs_in=True, succeeded=True
    ),
    ("110114", "110123"): events.user_authentication(
        "SYNTH", "anna", "10.0.0.9", logs_in=False, succeeded=True
    ),
    ("110102", ""): events.transfer_begun(transfer()),
    ("110104", ""): events.instances_transferred(transfer("4711")),
    ("110103", ""): events.instances_accessed(
        "SYNTH", "anna", "2.25.7", None, [("1.2.3", "2.25.1")]
    ),
}
"""By Event ID and Event Type Code of PS3.15 A.5.3 and PS3.16 CID 400 and 401."""


def problems(element: minidom.Element) -> list[str]:
    required, optional, children = SCHEMA[element.tagName]
    names = set(element.attributes.keys())
    found = [f"{element.tagName} lacks {name}" for name in required - names]
    found += [f"{element.tagName} has {name}" for name in names - required - optional]
    inside = [node for node in element.childNodes if isinstance(node, minidom.Element)]
    tags = [node.tagName for node in inside]
    order = list(children)
    known = [tag for tag in tags if tag in children]
    found += [f"{element.tagName} holds {tag}" for tag in tags if tag not in children]
    if known != sorted(known, key=order.index):
        found.append(f"{element.tagName}: order {tags}")
    for tag, (least, most) in children.items():
        if not least <= tags.count(tag) <= most:
            found.append(f"{element.tagName}: {tags.count(tag)} {tag}")
    return found + [problem for node in inside for problem in problems(node)]


def parse(message: AuditMessage, at: float = AT) -> minidom.Element:
    root = minidom.parseString(to_xml(message, SOURCE, at).encode()).documentElement
    assert root is not None
    return root


@pytest.mark.parametrize("kind", MESSAGES)
def test_every_message_has_the_structure_of_the_standard(kind: tuple[str, str]) -> None:
    root = parse(MESSAGES[kind])
    assert problems(root) == []
    (event,) = root.getElementsByTagName("EventID")
    types = [e.getAttribute("csd-code") for e in root.getElementsByTagName("EventTypeCode")]
    assert (event.getAttribute("csd-code"), "".join(types)) == kind
    assert event.getAttribute("codeSystemName") == "DCM"
    (identification,) = root.getElementsByTagName("EventIdentification")
    assert identification.getAttribute("EventActionCode") in tuple("CRUDE")
    assert identification.getAttribute("EventOutcomeIndicator") in ("0", "4", "8", "12")
    requestors = [
        each.getAttribute("UserIsRequestor")
        for each in root.getElementsByTagName("ActiveParticipant")
    ]
    assert requestors.count("true") == 1


def test_the_time_is_an_instant_anywhere_in_the_world() -> None:
    (event,) = parse(MESSAGES["110102", ""]).getElementsByTagName("EventIdentification")
    told = datetime.datetime.fromisoformat(event.getAttribute("EventDateTime"))
    assert told.utcoffset() is not None
    assert told.timestamp() == AT


def test_instances_are_listed_by_class() -> None:
    listed = parse(MESSAGES["110104", ""]).getElementsByTagName("SOPClass")
    assert [
        (
            each.getAttribute("UID"),
            each.getAttribute("NumberOfInstances"),
            [uid.getAttribute("UID") for uid in each.getElementsByTagName("Instance")],
        )
        for each in listed
    ] == [("1.2.3", "2", ["2.25.1", "2.25.3"]), ("1.2.4", "1", ["2.25.2"])]


def patient(message: AuditMessage) -> str:
    return next(
        each.getAttribute("ParticipantObjectID")
        for each in parse(message).getElementsByTagName("ParticipantObjectIdentification")
        if each.getAttribute("ParticipantObjectTypeCode") == "1"
    )


def test_a_patient_id_is_written_only_where_it_is_wanted() -> None:
    assert patient(events.instances_transferred(transfer("4711"))) == "4711"
    pseudonym = patient(events.instances_transferred(transfer(None)))
    assert pseudonym.startswith("2.25.")
    assert pseudonym == patient(events.transfer_begun(transfer(None)))
    assert len(pseudonym) <= 64


def test_who_began_a_transfer_is_told() -> None:
    def requestor(we_began: bool) -> str:
        from dataclasses import replace

        message = events.transfer_begun(replace(transfer(), we_began=we_began))
        return next(
            each.getAttribute("UserID")
            for each in parse(message).getElementsByTagName("ActiveParticipant")
            if each.getAttribute("UserIsRequestor") == "true"
        )

    assert requestor(False) == "AETITLES=CT"
    assert requestor(True) == "AETITLES=SYNTH"


def test_what_a_stranger_calls_itself_cannot_break_the_message() -> None:
    nasty = 'A"/><x a="\n\r\x00\x1b\ud800&'
    text = to_xml(events.node_refused("SYNTH", nasty, nasty, nasty), SOURCE, AT)
    assert "\n" not in text
    assert "\r" not in text
    assert problems(parse(events.node_refused("SYNTH", nasty, nasty, nasty))) == []
