"""The values of view synthesis: numpy only, no torch, no DICOM.

Everything is frozen and keyword-only, lengths are millimetres, angles degrees.

Conventions decided here, once, for the whole product:

- **Patient axes** are DICOM's LPS: +x towards the patient's left, +y towards the back,
  +z towards the head (PS3.3 C.7.6.2.1.1). The isocentre is the origin.
- **Angles** say where the *detector* is about the patient (PS3.3 C.8.7.5.1.2): at 0/0 the patient
  faces the detector (a PA view); primary +90 is at the patient's left (LAO), -90 at the right
  (RAO), 180 behind (an AP view); secondary +90 is cranial.
- **Images** are shown as radiologists hang them, with the patient's head up, by somebody who looks
  at the patient: from the detector's side for the frontal half of the circle (|primary| <= 90) and
  from the tube's side behind it, so that the patient's left is on the right of PA *and* AP.
- **Pixels**: larger = more attenuation, always.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import numpy as np

from synthesis.errors import RadiographError, ViewError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

__all__ = [
    "ASSUMED_FIELD_MM",
    "FIELD_MM",
    "FRONTAL_DENSE",
    "SOURCE_DETECTOR_MM",
    "SOURCE_ISOCENTER_MM",
    "IntensityScale",
    "ModelIdentity",
    "Radiograph",
    "SeenFrom",
    "SynthesisRequest",
    "SynthesisResult",
    "View",
    "ViewSet",
    "azimuth_sweep",
    "wrap_deg",
]

SOURCE_DETECTOR_MM: Final = 1800.0
"""Source-detector distance of the training geometry (SV-DRR, arXiv 2507.05148)."""

SOURCE_ISOCENTER_MM: Final = 1650.0
"""Source-isocentre distance of the training geometry (same source)."""

FIELD_MM: Final = 358.4
"""Side of the square detector of the training geometry: 512 pixels of 0.7 mm (same source)."""

ASSUMED_FIELD_MM: Final = 400.0
"""Longer side of a chest image whose pixel spacing is unknown: between the two sides of the usual
35 x 43 cm detector, where most chest images end after collimation."""

FRONTAL_DENSE: Final = 0.5
"""Where on the model's scale, from air to its end, the densest half percent of a frontal chest is:
the median over the training patients' rendered views is 5.06 of 10."""


class SeenFrom(StrEnum):
    """The side from which an image is looked at; it decides left and right on the screen."""

    DETECTOR = "detector"
    TUBE = "tube"


def wrap_deg(angle_deg: float) -> float:
    """The same angle in (-180, 180]."""
    wrapped = math.fmod(angle_deg, 360.0)
    if wrapped > 180.0:
        wrapped -= 360.0
    elif wrapped <= -180.0:
        wrapped += 360.0
    return wrapped + 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """Where the detector and the tube stand about the patient, and from which side one looks.

    Attributes:
        primary_deg: Positioner Primary Angle, in (-180, 180]; + = towards the patient's left.
        secondary_deg: Positioner Secondary Angle, in [-90, 90]; + = cranial.
        source_detector_mm: Distance from the focal spot to the detector.
        source_isocenter_mm: Distance from the focal spot to the isocentre (the patient's middle).
        seen_from: Side of the onlooker; left out, it is the hanging rule of the module docstring.

    Raises:
        ViewError: An angle or distance is out of range or not finite.
    """

    primary_deg: float
    secondary_deg: float = 0.0
    source_detector_mm: float = SOURCE_DETECTOR_MM
    source_isocenter_mm: float = SOURCE_ISOCENTER_MM
    seen_from: SeenFrom = None  # type: ignore[assignment]  # filled in below, never None after

    def __post_init__(self) -> None:
        for name in ("primary_deg", "secondary_deg", "source_detector_mm", "source_isocenter_mm"):
            value = float(getattr(self, name))
            if not math.isfinite(value):
                raise ViewError(f"{name} is {value}: give a finite number")
            object.__setattr__(self, name, value + 0.0)  # -0.0 is the same view as 0.0
        object.__setattr__(self, "primary_deg", wrap_deg(self.primary_deg))
        if abs(self.secondary_deg) > 90.0:
            raise ViewError(f"secondary_deg is {self.secondary_deg}: give -90 to 90")
        if not 0.0 < self.source_isocenter_mm < self.source_detector_mm:
            raise ViewError(
                f"source_isocenter_mm is {self.source_isocenter_mm} and source_detector_mm "
                f"{self.source_detector_mm}: the isocentre lies between tube and detector"
            )
        if self.seen_from is None:
            side = SeenFrom.DETECTOR if abs(self.primary_deg) <= 90.0 else SeenFrom.TUBE
            object.__setattr__(self, "seen_from", side)
        else:
            object.__setattr__(self, "seen_from", SeenFrom(self.seen_from))

    def rotated(self, primary_deg: float, secondary_deg: float = 0.0) -> View:
        """This view with the detector moved on by these angles, seen from the same side."""
        return replace(
            self,
            primary_deg=self.primary_deg + primary_deg,
            secondary_deg=self.secondary_deg + secondary_deg,
        )

    @property
    def magnification(self) -> float:
        """Size on the detector over size at the isocentre."""
        return self.source_detector_mm / self.source_isocenter_mm

    @property
    def label(self) -> str:
        """Human words: ``LAO 30``, ``RAO 60 CRAN 10``, ``PA``, ``AP``, ``LEFT LATERAL``."""
        primary, secondary = self.primary_deg, self.secondary_deg
        named = {0.0: "PA", 180.0: "AP", 90.0: "LEFT LATERAL", -90.0: "RIGHT LATERAL"}
        if primary in named:
            words = [named[primary]]
        else:
            words = [f"{'LAO' if primary > 0 else 'RAO'} {abs(primary):g}"]
        if secondary:
            words.append(f"{'CRAN' if secondary > 0 else 'CAUD'} {abs(secondary):g}")
        return " ".join(words)


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewSet:
    """Views in order, without duplicates, under a name.

    Raises:
        ViewError: The set is empty, or a view stands in it twice.
    """

    name: str
    views: tuple[View, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "views", tuple(self.views))
        if not self.views:
            raise ViewError(f"view set {self.name!r} is empty: give at least one view")
        seen: set[View] = set()
        for view in self.views:
            if view in seen:
                raise ViewError(f"view set {self.name!r} holds {view.label} twice: remove one")
            seen.add(view)

    def __iter__(self) -> Iterator[View]:
        return iter(self.views)

    def __len__(self) -> int:
        return len(self.views)

    @property
    def digest(self) -> str:
        """SHA-256 over the views in order (the name does not count)."""
        text = json.dumps([_view_json(view) for view in self.views], separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


def _view_json(view: View) -> list[float | str]:
    return [
        view.primary_deg,
        view.secondary_deg,
        view.source_detector_mm,
        view.source_isocenter_mm,
        view.seen_from.value,
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class IntensityScale:
    """The recorded, invertible map between a detector's values and the model's [-1, 1].

    ``model = 2 * (value - low) / (high - low) - 1``. ``low`` is the value of air, ``high`` that of
    the densest matter expected; values beyond either are kept, not clipped.

    A radiograph for presentation went through a tone curve as well. Where one is known, ``tone``
    takes it back: from air (0) to the densest parts of a frontal image (1), at equal steps, the
    attenuation that a value stands for in parts of theirs. Beyond them the scale goes on straight.

    Raises:
        RadiographError: ``high`` is not above ``low``, a number is not finite, or ``tone`` does not
            rise from 0 to 1.
    """

    low: float
    high: float
    tone: tuple[float, ...] = ()

    @classmethod
    def of_frontal(cls, *, air: float, dense: float, tone: Sequence[float] = ()) -> IntensityScale:
        """The scale of a frontal chest image from the values of its air and of its densest parts.

        They take up `FRONTAL_DENSE` of the scale, as they do in a rendered one, so that a lateral
        view, which is denser, still fits.
        """
        return cls(low=air, high=air + (dense - air) / FRONTAL_DENSE, tone=tuple(tone))

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.high > self.low):
            raise RadiographError(
                f"intensity scale {self.low}..{self.high} is empty: the image is constant or broken"
            )
        object.__setattr__(self, "tone", tuple(self.tone))
        if self.tone and not (
            (self.tone[0], self.tone[-1]) == (0.0, 1.0)
            and all(low < high for low, high in pairwise(self.tone))
        ):
            raise RadiographError(f"tone {self.tone} does not rise from 0 to 1")

    def to_unit(self, values: NDArray[np.floating]) -> NDArray[np.float64]:
        """Detector values, any shape -> 0 (air) to 1 (the scale's end) in the look they have."""
        unit: NDArray[np.float64] = np.asarray(values, np.float64) - self.low
        return unit / (self.high - self.low)

    def to_model(self, values: NDArray[np.floating]) -> NDArray[np.float32]:
        """Detector values, any shape -> the model's [-1, 1]."""
        unit = self.to_unit(values)
        if self.tone:
            unit = _along(unit / FRONTAL_DENSE, self._steps, self.tone) * FRONTAL_DENSE
        return (2.0 * unit - 1.0).astype(np.float32)

    def from_model(self, values: NDArray[np.floating]) -> NDArray[np.float32]:
        """The model's values, any shape -> detector values; the exact inverse of `to_model`."""
        unit: NDArray[np.float64] = (np.asarray(values, np.float64) + 1.0) / 2.0
        if self.tone:
            unit = _along(unit / FRONTAL_DENSE, self.tone, self._steps) * FRONTAL_DENSE
        return (unit * (self.high - self.low) + self.low).astype(np.float32)

    @property
    def _steps(self) -> Sequence[float]:
        return [step / (len(self.tone) - 1) for step in range(len(self.tone))]


def _along(
    values: NDArray[np.float64], at: Sequence[float], are: Sequence[float]
) -> NDArray[np.float64]:
    """A curve from 0 to 1 through points, straight on beyond."""
    inside = np.clip(values, 0.0, 1.0)
    curved: NDArray[np.float64] = np.interp(inside, at, are) + (values - inside)
    return curved


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Radiograph:
    """One image of one view, in attenuation (larger = more).

    Attributes:
        pixels: float32, shape (height, width), in the detector's own values.
        spacing_mm: Row and column pitch at the detector; None when the source does not say.
        view: Where it was taken from.
        intensity: How ``pixels`` map to the model's range.

    Raises:
        RadiographError: The array is not a finite 2-D image of at least 2 x 2.
    """

    pixels: NDArray[np.float32]
    spacing_mm: tuple[float, float] | None
    view: View
    intensity: IntensityScale

    def __post_init__(self) -> None:
        pixels = np.asarray(self.pixels, np.float32)
        if pixels.ndim != 2 or min(pixels.shape) < 2:
            raise RadiographError(
                f"a radiograph has shape (height, width), at least 2 x 2, not {pixels.shape}"
            )
        if not np.isfinite(pixels).all():
            raise RadiographError("the radiograph holds NaN or infinite values")
        if self.spacing_mm is not None and not all(
            math.isfinite(s) and s > 0 for s in self.spacing_mm
        ):
            raise RadiographError(f"pixel spacing {self.spacing_mm} is not positive")
        pixels.setflags(write=False)
        object.__setattr__(self, "pixels", pixels)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelIdentity:
    """Which model made a pixel.

    Attributes:
        name: Short name people read, e.g. ``vcdit-small``.
        version: Of the weights, as their card says.
        family: ``vcdit`` or ``svdrr``.
        digest: SHA-256 of the checkpoint file.
        resolution: Side of the model's square output in pixels.
        default_steps: Network evaluations a view when a request does not say.
    """

    name: str
    version: str
    family: str
    digest: str
    resolution: int
    default_steps: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SynthesisRequest:
    """Everything that determines a synthesis, given the weights.

    Attributes:
        source: The radiograph that was exposed.
        views: The views to make.
        samples: Independent samples per view.
        steps: Network evaluations a view; None = the model's default.
        seed: Noise of (sample, view) comes from (seed, sample, view) alone, so a result never
            depends on batch size, order or device count.
        allow_ineligible: Make views also of what does not look like an upright frontal chest.

    Raises:
        ViewError: samples or steps is below 1.
    """

    source: Radiograph
    views: ViewSet
    samples: int = 1
    steps: int | None = None
    seed: int = 0
    allow_ineligible: bool = False

    def __post_init__(self) -> None:
        if self.samples < 1:
            raise ViewError(f"samples is {self.samples}: give 1 or more")
        if self.steps is not None and self.steps < 1:
            raise ViewError(f"steps is {self.steps}: give 1 or more, or none for the default")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SynthesisResult:
    """What came out, in the order of the request's views.

    Attributes:
        images: One per view; grey levels follow the source's intensity scale.
        model: The weights that made them.
        chosen: Which sample was kept of each view, from 0.
        steps: Network evaluations a view that were used.
        seed: As requested.
        seconds: Wall time of the synthesis.
        spacing_nominal: True when the source did not state its pixel spacing, so the images'
            spacing is that of the training geometry and lengths are not to be measured.
        exposures: What was subtracted from each view's attenuation, in the source's detector
            values, to expose it as the source was (0 where the view is no denser).
        scores: Consistency of each view with the source, at most 1 (`synthesis.consistency`); None
            where it says nothing, as at the source's own angle.
        percentiles: Of the scores: percent of pairs of views of two patients, at the same turn,
            that agree less; None likewise.
        uncertainty: Standard deviation over the samples, in the source's detector values, one map
            of the image's shape a view; None when there was one sample.
        eligibility: The source's score as an upright frontal chest radiograph, 0 to 1.
        ineligible: Why the source would have been refused; empty when it is eligible.
    """

    images: tuple[Radiograph, ...]
    model: ModelIdentity
    chosen: tuple[int, ...]
    steps: int
    seed: int
    seconds: float
    spacing_nominal: bool
    exposures: tuple[float, ...] = ()
    scores: tuple[float | None, ...] = ()
    percentiles: tuple[float | None, ...] = ()
    uncertainty: tuple[NDArray[np.float32], ...] | None = None
    eligibility: float | None = None
    ineligible: str = ""


def azimuth_sweep(
    *, source: View, from_deg: float, to_deg: float, step_deg: float, skip_source: bool, name: str
) -> ViewSet:
    """Views at equal steps about the source's primary angle, ascending.

    Args:
        source: The view that 0 degrees means.
        from_deg: First offset.
        to_deg: Last offset, included when a step falls on it.
        step_deg: Distance between neighbours, positive.
        skip_source: Leave out the offset 0.
        name: Of the resulting set.

    Raises:
        ViewError: The step is not positive, the range is empty, or two offsets are one view.
    """
    if not step_deg > 0:
        raise ViewError(f"step_deg is {step_deg}: give a positive number")
    if to_deg < from_deg:
        raise ViewError(f"to_deg {to_deg} is below from_deg {from_deg}: swap them")
    count = math.floor((to_deg - from_deg) / step_deg + 1e-9) + 1
    offsets = _offsets(from_deg, step_deg, count)
    return ViewSet(
        name=name,
        views=tuple(
            source.rotated(offset) for offset in offsets if not (skip_source and abs(offset) < 1e-9)
        ),
    )


def _offsets(first: float, step: float, count: int) -> Sequence[float]:
    return [round(first + step * index, 9) for index in range(count)]
