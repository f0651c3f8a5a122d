from __future__ import annotations

import io
import json
import struct
from dataclasses import replace

import numpy as np
import pytest

from dicom_node.engine import messages
from synthesis.errors import RadiographError
from synthesis.types import ModelIdentity, Radiograph, SynthesisResult
from tests.engine.requests import request

IDENTITY = ModelIdentity(
    name="m", version="1", family="vcdit", digest="a" * 64, resolution=128, default_steps=8
)


def through(message: messages.Message) -> messages.Message:
    stream = io.BytesIO()
    messages.write(stream, message)
    stream.seek(0)
    arrived = messages.read(stream)
    assert arrived is not None
    assert messages.read(stream) is None
    return arrived


def same_image(one: Radiograph, other: Radiograph) -> bool:
    return (
        one.pixels.dtype == other.pixels.dtype == np.float32
        and np.array_equal(one.pixels, other.pixels)
        and one.spacing_mm == other.spacing_mm
        and one.view == other.view
        and one.intensity == other.intensity
    )


@pytest.mark.parametrize("spacing_mm", [(0.1, 1 / 3), None])
def test_a_request_arrives_as_it_left_to_the_last_bit(
    spacing_mm: tuple[float, float] | None,
) -> None:
    sent = request(spacing_mm=spacing_mm)
    arrived = through(messages.Synthesize(model="chest", request=sent))
    assert isinstance(arrived, messages.Synthesize)
    assert arrived.model == "chest"
    got = arrived.request
    assert same_image(got.source, sent.source)
    assert got.views == sent.views
    assert (got.samples, got.steps, got.seed) == (2, 7, 2**40 + 1)
    assert got.allow_ineligible is False
    allowed = through(
        messages.Synthesize(model="chest", request=replace(sent, allow_ineligible=True))
    )
    assert isinstance(allowed, messages.Synthesize)
    assert allowed.request.allow_ineligible is True


def test_a_result_arrives_as_it_left() -> None:
    source = request().source
    sent = SynthesisResult(
        images=(source, source),
        model=IDENTITY,
        chosen=(1, 0),
        steps=7,
        seed=3,
        seconds=0.1,
        spacing_nominal=True,
        exposures=(0.0, 1.5),
        scores=(0.75, None),
        percentiles=(98.5, None),
        uncertainty=(source.pixels / 3, source.pixels * 2),
        eligibility=0.125,
        ineligible="it looks like noise",
    )
    arrived = through(messages.Done(result=sent))
    assert isinstance(arrived, messages.Done)
    got = arrived.result
    assert all(same_image(a, b) for a, b in zip(got.images, sent.images, strict=True))
    assert (got.model, got.chosen, got.steps, got.seed) == (IDENTITY, (1, 0), 7, 3)
    assert (got.seconds, got.spacing_nominal) == (0.1, True)
    assert (got.exposures, got.scores, got.percentiles) == ((0, 1.5), (0.75, None), (98.5, None))
    assert (got.eligibility, got.ineligible) == (0.125, "it looks like noise")
    assert got.uncertainty is not None and sent.uncertainty is not None
    for one, other in zip(got.uncertainty, sent.uncertainty, strict=True):
        assert np.array_equal(one, other)
    plain = through(messages.Done(result=replace(sent, uncertainty=None)))
    assert isinstance(plain, messages.Done)
    assert plain.result.uncertainty is None


@pytest.mark.parametrize(
    "message",
    [
        messages.Load(model="grün"),
        messages.Loaded(identity=IDENTITY),
        messages.Failed(reason="no", for_good=True),
        messages.Failed(reason="no", for_good=False),
    ],
)
def test_short_messages_arrive_as_they_left(message: messages.Message) -> None:
    assert through(message) == message


def test_messages_follow_each_other_on_one_stream() -> None:
    stream = io.BytesIO()
    sent = [messages.Load(model=str(n)) for n in range(3)]
    for message in sent:
        messages.write(stream, message)
    stream.seek(0)
    assert [messages.read(stream) for _ in range(3)] == sent


def test_a_frame_is_laid_out_as_documented() -> None:
    stream = io.BytesIO()
    messages.write(stream, messages.Synthesize(model="m", request=request()))
    data = stream.getvalue()
    (length,) = struct.unpack("<I", data[4:8])
    text = json.loads(data[8 : 8 + length])
    assert data[:4] == b"DNE1"
    assert text["arrays"] == [[8, 9]]
    pixels = np.frombuffer(data[8 + length :], "<f4").reshape(8, 9)
    assert np.array_equal(pixels, request().source.pixels)


def frame(text: bytes, arrays: bytes = b"") -> io.BytesIO:
    return io.BytesIO(b"DNE1" + struct.pack("<I", len(text)) + text + arrays)


@pytest.mark.parametrize(
    "stream",
    [
        io.BytesIO(b"hello, this is a library printing"),
        io.BytesIO(b"DNE1\xff\xff\xff\xff"),
        io.BytesIO(b"DNE1\x10\x00\x00\x00{"),
        frame(b"not json"),
        frame(b"{}"),
        frame(b'{"kind":"load","arrays":[]}'),
        frame(b'{"kind":"surprise","arrays":[]}'),
        frame(b'{"kind":"load","model":"m","arrays":[[4,4]]}', b"\0" * 63),
        frame(b'{"kind":"load","model":"m","arrays":[[-1]]}'),
        frame(b'{"kind":"load","model":"m","arrays":[[100000,100000]]}'),
        frame(b'{"kind":"load","model":"m","arrays":7}'),
    ],
    ids=range(11),
)
def test_what_is_no_frame_is_an_error(stream: io.BytesIO) -> None:
    with pytest.raises(messages.FrameError):
        messages.read(stream)


def test_pixels_that_are_not_finite_are_no_image_and_leave_the_stream_in_step() -> None:
    broken = request().source
    object.__setattr__(broken, "pixels", np.full((4, 4), np.nan, np.float32))
    sent = SynthesisResult(
        images=(broken,),
        model=IDENTITY,
        chosen=(0,),
        steps=1,
        seed=0,
        seconds=0.0,
        spacing_nominal=False,
    )
    stream = io.BytesIO()
    messages.write(stream, messages.Done(result=sent))
    messages.write(stream, messages.Load(model="next"))
    stream.seek(0)
    with pytest.raises(RadiographError):
        messages.read(stream)
    assert messages.read(stream) == messages.Load(model="next")
