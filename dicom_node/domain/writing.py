"""How a destination wants the views of a job written: the images, and what goes with them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Document", "Form", "Label", "Matrix", "Writing"]


class Form(StrEnum):
    """What kind of object a synthesized view is written as."""

    DX = "dx"
    SC = "sc"
    MULTIFRAME = "multiframe"

    @property
    def holds_all_views(self) -> bool:
        """Whether one object holds every view of a job, a frame each."""
        return self is Form.MULTIFRAME


class Matrix(StrEnum):
    """Which pixels a view is written in."""

    NATIVE = "native"
    MATCH_SOURCE = "match_source"


class Label(StrEnum):
    """Where the visible mark and the view's angle are."""

    PIXELS = "pixels"
    PRESENTATION_STATE = "presentation_state"
    NONE = "none"


class Document(StrEnum):
    """What may go with the images of a job, in the order it is sent after them."""

    PRESENTATION_STATE = "presentation_state"
    REPORT = "report"
    KEY_OBJECTS = "key_objects"


@dataclass(frozen=True, slots=True, kw_only=True)
class Writing:
    """One way to write the images of a job; each has a series and UIDs of its own.

    Attributes:
        form: The kind of object.
        banner: Whether the visible mark is burned in.
        matrix: The pixels it is written in.
    """

    form: Form
    banner: bool = True
    matrix: Matrix = Matrix.NATIVE

    @property
    def name(self) -> str:
        """A short name, which UIDs follow from: ``dx``, ``sc-plain``, ``dx-matched``."""
        return (
            self.form.value
            + ("" if self.banner else "-plain")
            + ("" if self.matrix is Matrix.NATIVE else "-matched")
        )

    def images(self, views: int) -> int:
        """How many objects hold this many views."""
        return 1 if self.form.holds_all_views else views
