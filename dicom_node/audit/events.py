"""One pure builder for each thing that is audited (PS3.15 A.5.3)."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from dicom_node.audit.messages import AuditMessage, AuditOutcome, Code, Object, Participant

__all__ = [
    "Transfer",
    "application_activity",
    "configuration_changed",
    "instances_accessed",
    "instances_transferred",
    "node_refused",
    "quarantine_settled",
    "security_changed",
    "transfer_begun",
    "user_authentication",
]

APPLICATION: Final = Code(code="110150", meaning="Application")
LAUNCHER: Final = Code(code="110151", meaning="Application Launcher")
DESTINATION: Final = Code(code="110152", meaning="Destination Role ID")
SOURCE: Final = Code(code="110153", meaning="Source Role ID")

STUDY_UID: Final = Code(code="110180", meaning="Study Instance UID")
NODE_ID: Final = Code(code="110182", meaning="Node ID")
PATIENT_NUMBER: Final = Code(code="2", meaning="Patient Number", system="RFC-3881")
URI: Final = Code(code="12", meaning="URI", system="RFC-3881")

_PSEUDONYMS: Final = uuid.UUID("7ab1f1a4-2a5d-5a9c-9d13-2b7f2d2c9a10")


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """Instances of one study on their way from one to another.

    Attributes:
        sender: AE title.
        sender_address: Empty when unknown.
        receiver: AE title.
        receiver_address: Empty when unknown.
        we_began: Whether this node asked for it.
        node: AE title of this node.
        study_uid: Study Instance UID; empty when unknown.
        patient_id: None keeps it out: a pseudonym made of the study's UID stands there.
        instances: (SOP class UID, SOP instance UID), in order.
    """

    sender: str
    sender_address: str
    receiver: str
    receiver_address: str
    we_began: bool
    node: str
    study_uid: str
    patient_id: str | None
    instances: Sequence[tuple[str, str]]


def _process(ae_title: str) -> str:
    return f"AETITLES={ae_title.strip()}"


def application_activity(node: str, user: str, *, starts: bool) -> AuditMessage:
    """The node starts or stops (A.5.3.1).

    Args:
        node: AE title.
        user: Who runs it.
        starts: Or stops.
    """
    kind = (
        Code(code="110120", meaning="Application Start")
        if starts
        else Code(code="110121", meaning="Application Stop")
    )
    return AuditMessage(
        event=Code(code="110100", meaning="Application Activity"),
        types=(kind,),
        action="E",
        outcome=AuditOutcome.SUCCESS,
        participants=(
            Participant(user=_process(node), requestor=False, role=APPLICATION),
            Participant(user=user, requestor=True, role=LAUNCHER),
        ),
    )


def node_refused(node: str, caller: str, address: str, reason: str) -> AuditMessage:
    """A connection or association was refused (A.5.3.11, Security Alert, Node Authentication).

    Args:
        node: AE title.
        caller: AE title it gave; empty when it came to none.
        address: It came from.
        reason: In words.
    """
    return AuditMessage(
        event=Code(code="110113", meaning="Security Alert"),
        types=(Code(code="110126", meaning="Node Authentication"),),
        action="E",
        outcome=AuditOutcome.MINOR_FAILURE,
        description=reason,
        participants=(
            Participant(user=_process(node), requestor=False, role=APPLICATION),
            Participant(
                user=_process(caller) if caller else address,
                requestor=True,
                role=SOURCE,
                address=address,
            ),
        ),
        objects=(
            Object(type_code=2, role_code=13, id_type=NODE_ID, identifier=address, name="caller"),
        ),
    )


def configuration_changed(node: str, user: str, digest: str) -> AuditMessage:
    """The node runs with another configuration than before (A.5.3.11, Software Configuration).

    Args:
        node: AE title.
        user: Who runs it.
        digest: Of the configuration.
    """
    return _alert(
        node,
        user,
        Code(code="110131", meaning="Software Configuration"),
        identifier=f"sha256:{digest}",
        name="configuration",
    )


def quarantine_settled(node: str, user: str, what: str, words: str) -> AuditMessage:
    """A person let something out of quarantine, or cancelled it (A.5.3.11, restricted function).

    Args:
        node: AE title.
        user: The person.
        what: Which thing, by its number, key or UID.
        words: What was done.
    """
    return _alert(
        node,
        user,
        Code(code="110132", meaning="Use of Restricted Function"),
        identifier=what,
        name=words,
    )


def security_changed(node: str, user: str, what: str, words: str) -> AuditMessage:
    """A person changed who may do what (A.5.3.11, User Security Attributes Changed).

    Args:
        node: AE title of this node.
        user: The person.
        what: Which account or token.
        words: What was changed.
    """
    return _alert(
        node,
        user,
        Code(code="110137", meaning="User Security Attributes Changed"),
        identifier=what,
        name=words,
    )


def user_authentication(
    node: str, user: str, address: str, *, logs_in: bool, succeeded: bool
) -> AuditMessage:
    """A person logs in to, or out of, the console (A.5.3.13).

    Args:
        node: AE title.
        user: As it named itself.
        address: It came from.
        logs_in: Or out.
        succeeded: Whether it was let in.
    """
    kind = (
        Code(code="110122", meaning="Login") if logs_in else Code(code="110123", meaning="Logout")
    )
    return AuditMessage(
        event=Code(code="110114", meaning="User Authentication"),
        types=(kind,),
        action="E",
        outcome=AuditOutcome.SUCCESS if succeeded else AuditOutcome.MINOR_FAILURE,
        participants=(
            Participant(user=user, requestor=True, role=SOURCE, address=address),
            Participant(user=_process(node), requestor=False, role=APPLICATION),
        ),
    )


def transfer_begun(transfer: Transfer) -> AuditMessage:
    """The first instances are about to go, or have come (A.5.3.3)."""
    return _transfer(
        transfer,
        Code(code="110102", meaning="Begin Transferring DICOM Instances"),
        "E",
        AuditOutcome.SUCCESS,
        "",
    )


def instances_transferred(
    transfer: Transfer, *, new: bool = True, failure: str = ""
) -> AuditMessage:
    """They are there (A.5.3.7).

    Args:
        transfer: All that are.
        new: Whether the receiver made them new; else it has read them.
        failure: Why not all of them are; empty when they are.
    """
    return _transfer(
        transfer,
        Code(code="110104", meaning="DICOM Instances Transferred"),
        "C" if new else "R",
        AuditOutcome.MINOR_FAILURE if failure else AuditOutcome.SUCCESS,
        failure,
    )


def instances_accessed(
    node: str,
    user: str,
    study_uid: str,
    patient_id: str | None,
    instances: Iterable[tuple[str, str]],
) -> AuditMessage:
    """A person looked at instances (A.5.3.6).

    Args:
        node: AE title.
        user: The person.
        study_uid: Study Instance UID.
        patient_id: None keeps it out.
        instances: (SOP class UID, SOP instance UID).
    """
    return AuditMessage(
        event=Code(code="110103", meaning="DICOM Instances Accessed"),
        action="R",
        outcome=AuditOutcome.SUCCESS,
        participants=(
            Participant(user=user, requestor=True, role=DESTINATION),
            Participant(user=_process(node), requestor=False, role=APPLICATION),
        ),
        objects=_study_and_patient(study_uid, patient_id, instances),
    )


def _alert(node: str, user: str, kind: Code, *, identifier: str, name: str) -> AuditMessage:
    return AuditMessage(
        event=Code(code="110113", meaning="Security Alert"),
        types=(kind,),
        action="E",
        outcome=AuditOutcome.SUCCESS,
        participants=(
            Participant(user=user, requestor=True, role=LAUNCHER),
            Participant(user=_process(node), requestor=False, role=APPLICATION),
        ),
        objects=(Object(type_code=2, role_code=13, id_type=URI, identifier=identifier, name=name),),
    )


def _transfer(
    transfer: Transfer, event: Code, action: str, outcome: AuditOutcome, description: str
) -> AuditMessage:
    we_send = transfer.sender == transfer.node
    return AuditMessage(
        event=event,
        action=action,
        outcome=outcome,
        description=description,
        participants=(
            Participant(
                user=_process(transfer.sender),
                requestor=transfer.we_began == we_send,
                role=SOURCE,
                address=transfer.sender_address,
            ),
            Participant(
                user=_process(transfer.receiver),
                requestor=transfer.we_began != we_send,
                role=DESTINATION,
                address=transfer.receiver_address,
            ),
        ),
        objects=_study_and_patient(transfer.study_uid, transfer.patient_id, transfer.instances),
    )


def _study_and_patient(
    study_uid: str, patient_id: str | None, instances: Iterable[tuple[str, str]]
) -> tuple[Object, Object]:
    by_class: dict[str, list[str]] = {}
    for sop_class, uid in instances:
        by_class.setdefault(sop_class, []).append(uid)
    pseudonym = f"2.25.{uuid.uuid5(_PSEUDONYMS, study_uid).int}"
    return (
        Object(
            type_code=2,
            role_code=3,
            id_type=STUDY_UID,
            identifier=study_uid,
            name="study",
            instances=tuple((key, tuple(uids)) for key, uids in by_class.items()),
        ),
        Object(
            type_code=1,
            role_code=1,
            id_type=PATIENT_NUMBER,
            identifier=pseudonym if patient_id is None else patient_id,
            name="pseudonym" if patient_id is None else "withheld",
        ),
    )
