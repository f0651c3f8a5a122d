"""Pictures and files of a job: rendered from the spool, kept in memory, for those who may see."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Annotated, Final

from fastapi import APIRouter, Path, Request
from fastapi.responses import Response

from dicom_node.audit.events import instances_accessed
from dicom_node.console.failures import NotFoundError
from dicom_node.console.registry import Section
from dicom_node.console.security.guard import Somebody, requires
from dicom_node.domain.accounts import Role
from dicom_node.domain.errors import ImageError, IntegrityError
from dicom_node.iod.picture import as_png

if TYPE_CHECKING:
    from dicom_node.console.parts import Parts
    from dicom_node.ports import ImageRow, Product
    from dicom_node.ports.console import JobRecord

__all__ = ["SECTION", "Key", "Number", "known", "known_image"]

router = APIRouter()

Key = Annotated[str, Path(pattern="^[0-9a-f]{6,64}$")]
Which = Annotated[str, Path(pattern=r"^(source|[0-9]{1,4}(-[0-9]{1,4})?)$")]

Number = Annotated[int, Path(ge=1, le=2**62)]

_SIDE_PX: Final = 640
_KEPT_BYTES: Final = 48_000_000


class _Kept:
    """Rendered pictures; the longest unused go first. Safe for many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._turn = threading.Semaphore(2)  # decoding takes memory, and the node has other work
        self._pictures: OrderedDict[str, bytes] = OrderedDict()
        self._bytes = 0

    def picture(
        self, parts: Parts, digest: str, frame: int | None, longest_px: int | None
    ) -> bytes:
        name = f"{digest} {frame} {longest_px}"
        with self._lock:
            if name in self._pictures:
                self._pictures.move_to_end(name)
                return self._pictures[name]
        with self._turn:
            made = as_png(parts.spool.read(digest), frame=frame, longest_px=longest_px)
        with self._lock:
            if name not in self._pictures:
                self._pictures[name] = made
                self._bytes += len(made)
            while self._bytes > _KEPT_BYTES and len(self._pictures) > 1:
                self._bytes -= len(self._pictures.popitem(last=False)[1])
        return made


_kept = _Kept()


def known(request: Request, key: str) -> JobRecord:
    """All about a job.

    Raises:
        NotFoundError: There is none of this key.
    """
    parts: Parts = request.app.state.parts
    found = parts.found.record_of(key)
    if found is None:
        raise NotFoundError("There is no job of this key, or more than one begins so.")
    return found


def known_image(request: Request, number: int) -> tuple[ImageRow, str]:
    """An image and its Accession Number.

    Raises:
        NotFoundError: There is none of this number.
    """
    parts: Parts = request.app.state.parts
    found = parts.found.image(number)
    if found is None:
        raise NotFoundError("There is no such image.")
    return found


@router.get("/jobs/{key}/pictures/{which}.png")
def picture(request: Request, who: Somebody, key: Key, which: Which) -> Response:
    """A picture for the filmstrip."""
    record = known(request, key)
    return _picture(request, record, which, _SIDE_PX)


@router.get("/jobs/{key}/files/{which}.png")
def whole_picture(request: Request, key: Key, which: Which) -> Response:
    """A picture with all its pixels, to keep."""
    who = requires(Role.OPERATOR)(request)
    record = known(request, key)
    answer = _picture(request, record, which, None)
    _audit(request, who.name, record, which)
    answer.headers["content-disposition"] = f'attachment; filename="{key[:12]}-{which}.png"'
    return answer


@router.get("/jobs/{key}/files/{which}.dcm")
def whole_file(request: Request, key: Key, which: Which) -> Response:
    """The DICOM file, byte for byte."""
    who = requires(Role.OPERATOR)(request)
    record = known(request, key)
    parts: Parts = request.app.state.parts
    data = _read(parts, _digest(record, which))
    _audit(request, who.name, record, which)
    return _attached(data, f"{key[:12]}-{which}.dcm")


def _picture(request: Request, record: JobRecord, which: str, longest_px: int | None) -> Response:
    frame = int(which.partition("-")[2]) if "-" in which else None
    return _shown(request, _digest(record, which), frame, longest_px)


@router.get("/images/{number}/picture.png")
def image_picture(request: Request, who: Somebody, number: Number) -> Response:
    """A received image, whatever was decided about it."""
    return _shown(request, known_image(request, number)[0].image.digest, None, _SIDE_PX)


@router.get("/images/{number}/file.dcm")
def image_file(request: Request, number: Number) -> Response:
    """Its DICOM file, byte for byte."""
    who = requires(Role.OPERATOR)(request)
    parts: Parts = request.app.state.parts
    image = known_image(request, number)[0].image
    data = _read(parts, image.digest)
    instance = (image.sop_class_uid, image.sop_instance_uid)
    parts.record(
        instances_accessed(
            parts.facts.ae_title, who.name, image.study_instance_uid, None, [instance]
        )
    )
    return _attached(data, f"image-{number}.dcm")


def _read(parts: Parts, digest: str) -> bytes:
    try:
        return parts.spool.read(digest)
    except IntegrityError:
        raise NotFoundError("The file is not kept any more.") from None


def _attached(data: bytes, name: str) -> Response:
    headers = {"content-disposition": f'attachment; filename="{name}"'}
    return Response(data, media_type="application/dicom", headers=headers)


def _shown(request: Request, digest: str, frame: int | None, longest_px: int | None) -> Response:
    parts: Parts = request.app.state.parts
    tag = f'"{digest[:24]}-{frame}-{longest_px}"'
    headers = {"etag": tag, "cache-control": "private, max-age=600"}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    try:
        data = _kept.picture(parts, digest, frame, longest_px)
    except IntegrityError:
        raise NotFoundError("The file is not kept any more.") from None
    except ImageError as error:
        raise NotFoundError(str(error)) from None
    return Response(data, media_type="image/png", headers=headers)


def _digest(record: JobRecord, which: str) -> str:
    if which == "source":
        return record.row.job.source_digest
    return _made(record, which).instance.digest


def _made(record: JobRecord, which: str) -> Product:
    number = int(which.partition("-")[0])
    if number >= len(record.products):
        raise NotFoundError("There is no such view.")
    return record.products[number]


def _audit(request: Request, who: str, record: JobRecord, which: str) -> None:
    parts: Parts = request.app.state.parts
    image = record.image.image
    instance = (image.sop_class_uid, image.sop_instance_uid)
    if which != "source":
        made = _made(record, which).instance
        instance = (made.sop_class_uid, made.sop_instance_uid)
    parts.record(
        instances_accessed(parts.facts.ae_title, who, image.study_instance_uid, None, [instance])
    )


SECTION: Final = Section(name="pictures", router=router)
