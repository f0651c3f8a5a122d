"""The views an image would get, as pictures for eyes: made by the engine, never stored or sent."""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass, replace
from datetime import datetime
from io import BytesIO
from typing import TYPE_CHECKING, Final, cast

import numpy as np
from PIL import Image

from dicom_node.domain.errors import CapacityError, ConsistencyError, ImageError
from dicom_node.domain.jobs import Job, JobState, Target
from dicom_node.domain.writing import Form
from dicom_node.iod.decoding import stored_values
from dicom_node.iod.foreign import FOREIGN_ERRORS
from dicom_node.iod.parsing import parsed
from dicom_node.iod.reading import read_source
from dicom_node.ports import SpooledFile
from dicom_node.services import deriving
from synthesis.types import SynthesisRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray
    from pydicom.dataset import FileDataset

    from dicom_node.ports import Engine, Spool
    from dicom_node.rulebook.trying import Tried

__all__ = ["Picture", "Preview", "Previewing", "png_of"]

VIEWS_AT_MOST: Final = 24
"""A preview of more views shows some of them, evenly spaced."""

PICTURE_SIDE: Final = 384
"""Longest side of a picture in pixels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """One view.

    Attributes:
        label: As people name it.
        png: Its bytes; the mark that it is synthetic is burned in.
        score: Consistency with the source; None when nothing is said about it.
    """

    label: str
    png: bytes
    score: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What a route would make of a file.

    Attributes:
        source: The file itself.
        pictures: In order.
        views: How many the route makes.
        seconds: The engine took.
        refused: Why nothing of it would be sent; empty when it would be.
    """

    source: bytes
    pictures: tuple[Picture, ...]
    views: int
    seconds: float
    refused: str = ""


class _Kept:
    """A spool for moments: what is put stays in memory."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}

    def put(self, data: bytes) -> SpooledFile:
        digest = hashlib.sha256(data).hexdigest()
        self.files[digest] = data
        return SpooledFile(digest=digest, size_bytes=len(data))


class Previewing:
    """Makes previews, one at a time: the engine is there for the work of the node.

    Args:
        engine: That makes views.
        clock: Unix seconds.
        deadline_s: Of one preview, waiting for the engine included.
    """

    def __init__(self, engine: Engine, *, clock: Callable[[], float], deadline_s: float) -> None:
        self._engine = engine
        self._clock = clock
        self._deadline_s = deadline_s
        self._turn = threading.Lock()

    def preview(self, tried: Tried, data: bytes) -> Preview:
        """Make the views of a file that a route takes.

        Args:
            tried: The file, tried; its verdict has a job.
            data: The file.

        Raises:
            NodeError: The image cannot be decoded, is refused, or the engine fails or is busy.
            SynthesisError: What came of it is no image.
        """
        if tried.verdict.job is None or tried.header is None:
            raise ImageError("no route makes views of this file")
        if not self._turn.acquire(blocking=False):
            raise CapacityError("another preview is being made: try again when it is done")
        try:
            return self._made(_job(tried, data), data)
        finally:
            self._turn.release()

    def _made(self, job: Job, data: bytes) -> Preview:
        source = read_source(data)
        order = job.order
        result = self._engine.synthesize(
            order.model,
            SynthesisRequest(
                source=source.radiograph,
                views=order.views,
                samples=order.samples,
                steps=order.steps,
                seed=order.seed,
                allow_ineligible=order.allow_ineligible,
            ),
            deadline_s=self._deadline_s,
        )
        deriving.check_result(job, result)
        refused = ""
        try:
            deriving.check_consistency(job, result)
        except ConsistencyError as error:
            refused = str(error)
        kept = _Kept()
        at = datetime.fromtimestamp(self._clock()).astimezone()
        made = deriving.products(job, source, result, cast("Spool", kept), synthesized_at=at)
        chosen = set(_evenly(len(result.images)))
        pictures = tuple(
            Picture(
                label=result.images[product.instance.index].view.label,
                png=png_of(kept.files.pop(product.instance.digest)),
                score=result.scores[product.instance.index] if result.scores else None,
            )
            for product in made
            if product.instance.index in chosen
        )
        return Preview(
            source=png_of(data),
            pictures=pictures,
            views=len(result.images),
            seconds=result.seconds,
            refused=refused,
        )


def _job(tried: Tried, data: bytes) -> Job:
    """A job that is in no ledger; one target, an object a view, with the mark in the pixels."""
    assert tried.verdict.job is not None
    assert tried.header is not None
    order = tried.verdict.job.order
    wanted = order.targets[0]
    form = Form.SC if wanted.form is Form.SC else Form.DX
    first = Target(destination=wanted.destination, form=form, banner=True)
    return Job(
        key=tried.verdict.job.key,
        state=JobState.RUNNING,
        order=replace(order, targets=(first,)),
        source_digest=hashlib.sha256(data).hexdigest(),
        source_sop_class_uid=tried.header.first("SOPClassUID"),
        source_sop_instance_uid=tried.header.first("SOPInstanceUID"),
        calling_ae_title="",
        attempts=1,
        not_before=0.0,
        lease_until=None,
        last_error="",
        created_at=0.0,
        updated_at=0.0,
    )


def _evenly(count: int) -> Sequence[int]:
    if count <= VIEWS_AT_MOST:
        return range(count)
    return [round(each) for each in np.linspace(0, count - 1, VIEWS_AT_MOST)]


def png_of(data: bytes) -> bytes:
    """A grey image as it is to be seen, small enough for a page.

    Args:
        data: A DICOM file.

    Raises:
        ImageError: Its pixels cannot be decoded.
        InputError: It is no DICOM.
    """
    ds = parsed(data, pixels=True)
    try:
        pixels = _seen(ds, stored_values(ds))
    except FOREIGN_ERRORS as error:
        raise ImageError("the pixels cannot be decoded") from error
    picture = Image.fromarray(pixels)
    picture.thumbnail((PICTURE_SIDE, PICTURE_SIDE), Image.Resampling.LANCZOS)
    out = BytesIO()
    picture.save(out, format="PNG", optimize=True)
    return out.getvalue()


def _seen(ds: FileDataset, stored: NDArray[np.signedinteger]) -> NDArray[np.uint8]:
    from pydicom.pixels.processing import apply_modality_lut, apply_voi_lut

    values = apply_voi_lut(apply_modality_lut(stored, ds), ds).astype(np.float64)
    if "WindowCenter" not in ds and "VOILUTSequence" not in ds:
        low, high = np.percentile(values, (0.5, 99.5))
    else:
        low, high = float(values.min()), float(values.max())
    unit = np.clip((values - low) / max(high - low, 1e-9), 0.0, 1.0)
    if ds.get("PhotometricInterpretation") == "MONOCHROME1":
        unit = 1.0 - unit
    return np.asarray(np.rint(255.0 * unit), dtype=np.uint8)
