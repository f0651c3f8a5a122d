"""Errors of the synthesis library.

    SynthesisError
    ├── ViewError          a view or view set that cannot exist
    ├── RadiographError    an image the library cannot read as a radiograph
    ├── IneligibleError    a radiograph that is not what views can be made from
    ├── VolumeError        a CT volume that cannot be rendered
    ├── DataError          a data set of rendered views that cannot be imported
    ├── CheckpointError    weights that are missing, broken or of another shape
    └── NonFiniteError     the model produced NaN or infinity

Messages say what is wrong, where, and what to do. They never hold patient data.
"""

from __future__ import annotations

__all__ = [
    "CheckpointError",
    "DataError",
    "IneligibleError",
    "NonFiniteError",
    "RadiographError",
    "SynthesisError",
    "ViewError",
    "VolumeError",
]


class SynthesisError(Exception):
    """Base of everything this library raises on purpose."""


class ViewError(SynthesisError, ValueError):
    """A view or view set that cannot exist."""


class RadiographError(SynthesisError, ValueError):
    """An array that cannot be read as a radiograph."""


class IneligibleError(SynthesisError, ValueError):
    """A source that is no upright frontal chest radiograph, as far as can be judged."""


class VolumeError(SynthesisError, ValueError):
    """A CT volume that cannot be read or rendered."""


class DataError(SynthesisError, ValueError):
    """A data set of rendered views that is not laid out as it should be."""


class CheckpointError(SynthesisError, ValueError):
    """Weights that are missing, broken, or do not fit their configuration."""


class NonFiniteError(SynthesisError, ArithmeticError):
    """The model produced NaN or infinity for a request."""
