"""What node and engine process say to each other: plain data, nothing that can execute.

A frame on the wire is the four bytes ``DNE1``, the length of a JSON text (uint32, little endian),
that text in UTF-8, and then the bytes of its arrays, one after the other, as little-endian float32
in row-major order. The text holds the message's kind, its fields, and the shape of every array.
"""

from __future__ import annotations

import json
import math
import struct
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from synthesis.types import (
    IntensityScale,
    ModelIdentity,
    Radiograph,
    SynthesisRequest,
    SynthesisResult,
    View,
    ViewSet,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

    from numpy.typing import NDArray

__all__ = [
    "Done",
    "Failed",
    "FrameError",
    "Load",
    "Loaded",
    "Message",
    "Ping",
    "Pong",
    "Synthesize",
    "read",
    "write",
]

_MAGIC: Final = b"DNE1"
_LENGTH: Final = struct.Struct("<I")
_TEXT_AT_MOST: Final = 1 << 24
_ARRAYS_AT_MOST: Final = 1 << 31
_PIXEL: Final = np.dtype("<f4")


class FrameError(ValueError):
    """Bytes that are no message: the other side is broken or gone in the middle of one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """Node to engine: have this model ready."""

    model: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Synthesize:
    """Node to engine: make these views by this model."""

    model: str
    request: SynthesisRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """Engine to node: the model is ready."""

    identity: ModelIdentity


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """Engine to node: the views."""

    result: SynthesisResult


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """Engine to node: no views.

    Attributes:
        reason: Why, in words that hold nothing about a patient.
        for_good: True when the same request can never succeed; False when the engine broke down,
            and then it exits after this message.
    """

    reason: str
    for_good: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Ping:
    """Node to engine: answer, if you can."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pong:
    """Engine to node: I can."""


Message = Load | Synthesize | Ping | Loaded | Done | Pong | Failed


def write(stream: BinaryIO, message: Message) -> None:
    """Put one frame on a stream and flush it.

    Raises:
        OSError: The other side is gone.
    """
    fields, arrays = _encode(message)
    fields["arrays"] = [list(array.shape) for array in arrays]
    text = json.dumps(fields, allow_nan=False).encode()
    stream.write(b"".join((_MAGIC, _LENGTH.pack(len(text)), text)))
    for array in arrays:
        stream.write(np.ascontiguousarray(array, _PIXEL).data)
    stream.flush()


def read(stream: BinaryIO) -> Message | None:
    """Take one frame from a stream; None when it ended before one began.

    Raises:
        FrameError: What came is no frame, or it ends in the middle.
        SynthesisError: It is a frame whose values cannot exist, such as pixels that are NaN.
    """
    magic = stream.read(len(_MAGIC))
    if not magic:
        return None
    if magic != _MAGIC:
        raise FrameError("the stream holds something else than messages")
    (length,) = _LENGTH.unpack(_exactly(stream, _LENGTH.size))
    if length > _TEXT_AT_MOST:
        raise FrameError(f"a message of {length} bytes is too long")
    try:
        fields = json.loads(_exactly(stream, length))
        shapes = [tuple(int(side) for side in shape) for shape in fields["arrays"]]
    except (ValueError, KeyError, TypeError) as error:
        raise FrameError("a message cannot be read") from error
    arrays = iter([_array(stream, shape) for shape in shapes])
    try:
        return _decode(fields, arrays)
    except (KeyError, TypeError, StopIteration) as error:
        raise FrameError("a message lacks a field") from error


def _exactly(stream: BinaryIO, count: int) -> bytes:
    data = stream.read(count)
    if len(data) != count:
        raise FrameError("the stream ended in the middle of a message")
    return data


def _array(stream: BinaryIO, shape: tuple[int, ...]) -> NDArray[np.float32]:
    size = math.prod(shape) * _PIXEL.itemsize
    if not 0 <= size <= _ARRAYS_AT_MOST or min(shape, default=0) < 0:
        raise FrameError(f"an array of shape {shape} is too large")
    return np.frombuffer(_exactly(stream, size), _PIXEL).reshape(shape).astype(np.float32)


def _encode(message: Message) -> tuple[dict[str, Any], list[NDArray[np.float32]]]:
    match message:
        case Load(model=model):
            return {"kind": "load", "model": model}, []
        case Synthesize(model=model, request=request):
            fields = {
                "kind": "synthesize",
                "model": model,
                "source": _radiograph_fields(request.source),
                "views": {"name": request.views.name, "views": [asdict(v) for v in request.views]},
                "samples": request.samples,
                "steps": request.steps,
                "seed": request.seed,
                "allow_ineligible": request.allow_ineligible,
            }
            return fields, [request.source.pixels]
        case Loaded(identity=identity):
            return {"kind": "loaded", "identity": asdict(identity)}, []
        case Done(result=result):
            fields = {
                "kind": "done",
                "images": [_radiograph_fields(image) for image in result.images],
                "model": asdict(result.model),
                "chosen": list(result.chosen),
                "exposures": list(result.exposures),
                "scores": list(result.scores),
                "percentiles": list(result.percentiles),
                "uncertainty": result.uncertainty is not None,
                "eligibility": result.eligibility,
                "ineligible": result.ineligible,
                "steps": result.steps,
                "seed": result.seed,
                "seconds": result.seconds,
                "spacing_nominal": result.spacing_nominal,
            }
            pixels = [image.pixels for image in result.images]
            return fields, [*pixels, *(result.uncertainty or ())]
        case Ping():
            return {"kind": "ping"}, []
        case Pong():
            return {"kind": "pong"}, []
        case Failed(reason=reason, for_good=for_good):
            return {"kind": "failed", "reason": reason, "for_good": for_good}, []


def _decode(fields: dict[str, Any], arrays: Iterator[NDArray[np.float32]]) -> Message:
    match fields["kind"]:
        case "load":
            return Load(model=fields["model"])
        case "synthesize":
            request = SynthesisRequest(
                source=_radiograph(fields["source"], next(arrays)),
                views=ViewSet(
                    name=fields["views"]["name"],
                    views=tuple(View(**view) for view in fields["views"]["views"]),
                ),
                samples=fields["samples"],
                steps=fields["steps"],
                seed=fields["seed"],
                allow_ineligible=fields["allow_ineligible"],
            )
            return Synthesize(model=fields["model"], request=request)
        case "loaded":
            return Loaded(identity=ModelIdentity(**fields["identity"]))
        case "done":
            images = tuple(_radiograph(image, next(arrays)) for image in fields["images"])
            result = SynthesisResult(
                images=images,
                model=ModelIdentity(**fields["model"]),
                chosen=tuple(fields["chosen"]),
                exposures=tuple(fields["exposures"]),
                scores=tuple(fields["scores"]),
                percentiles=tuple(fields["percentiles"]),
                uncertainty=tuple(next(arrays) for _ in images) if fields["uncertainty"] else None,
                eligibility=fields["eligibility"],
                ineligible=fields["ineligible"],
                steps=fields["steps"],
                seed=fields["seed"],
                seconds=fields["seconds"],
                spacing_nominal=fields["spacing_nominal"],
            )
            return Done(result=result)
        case "ping":
            return Ping()
        case "pong":
            return Pong()
        case "failed":
            return Failed(reason=fields["reason"], for_good=fields["for_good"])
        case kind:
            raise FrameError(f"there is no message of kind {kind!r}")


def _radiograph_fields(radiograph: Radiograph) -> dict[str, Any]:
    return {
        "spacing_mm": radiograph.spacing_mm,
        "view": asdict(radiograph.view),
        "intensity": asdict(radiograph.intensity),
    }


def _radiograph(fields: dict[str, Any], pixels: NDArray[np.float32]) -> Radiograph:
    spacing = fields["spacing_mm"]
    return Radiograph(
        pixels=pixels,
        spacing_mm=None if spacing is None else (spacing[0], spacing[1]),
        view=View(**fields["view"]),
        intensity=IntensityScale(**fields["intensity"]),
    )
