"""What is looked for, as conditions on the rows of jobs and images."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import sqlalchemy as sa

from dicom_node.domain.images import ImageState
from dicom_node.ports import DecidedAs
from dicom_node.store import schema

if TYPE_CHECKING:
    from dicom_node.ports.console import Search

__all__ = ["IN_QUARANTINE", "images", "jobs"]

_images, _jobs, _deliveries = schema.images, schema.jobs, schema.deliveries

IN_QUARANTINE: Final = sa.and_(
    _images.c.decided_as == DecidedAs.QUARANTINE.value,
    _images.c.cancelled_at.is_(None),
    sa.not_(_images.c.conflicting),
)

_STATES: Final = {
    ImageState.WAITING: _images.c.decided_as.is_(None),
    ImageState.ACCEPTED: _images.c.decided_as == DecidedAs.ACCEPT.value,
    ImageState.IGNORED: _images.c.decided_as == DecidedAs.IGNORE.value,
    ImageState.QUARANTINED: IN_QUARANTINE,
    ImageState.CONFLICTING: sa.and_(_images.c.conflicting, _images.c.cancelled_at.is_(None)),
    ImageState.CANCELLED: _images.c.cancelled_at.is_not(None),
}


def jobs(search: Search) -> list[sa.ColumnElement[bool]]:
    """Of jobs that are joined with their images."""
    found = _of_image(search)
    if search.state:
        found.append(_jobs.c.state == search.state)
    if search.since is not None:
        found.append(_jobs.c.created_at >= search.since)
    if search.until is not None:
        found.append(_jobs.c.created_at < search.until)
    if search.destination:
        found.append(
            sa.exists().where(
                _deliveries.c.job_id == _jobs.c.id, _deliveries.c.destination == search.destination
            )
        )
    if re.fullmatch(r"[0-9a-f]{6,64}", search.text):
        found.append(_jobs.c.key.startswith(search.text))
    elif search.text:
        found.append(_images.c.sop_instance_uid == search.text)
    return found


def images(search: Search) -> list[sa.ColumnElement[bool]]:
    """Of images; a destination is none of theirs."""
    found = _of_image(search)
    if search.state in list(ImageState):
        found.append(_STATES[ImageState(search.state)])
    if search.since is not None:
        found.append(_images.c.received_at >= search.since)
    if search.until is not None:
        found.append(_images.c.received_at < search.until)
    if search.text:
        found.append(_images.c.sop_instance_uid == search.text)
    return found


def _of_image(search: Search) -> list[sa.ColumnElement[bool]]:
    wanted = (
        (_images.c.route, search.route),
        (_images.c.calling_ae_title, search.peer),
        (_images.c.accession_number, search.accession),
        (_images.c.study_instance_uid, search.study),
    )
    return [column == value for column, value in wanted if value]
