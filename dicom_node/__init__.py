"""A DICOM node that turns one radiograph into the views that were never exposed."""

from typing import Final

__all__ = ["MANUFACTURER", "PRODUCT", "__version__"]

__version__: Final = "0.1.0"
PRODUCT: Final = "dicom-node"
"""Manufacturer's Model Name of this node in the objects it makes."""
MANUFACTURER: Final = "dicom-node project"
"""Manufacturer of this node in the objects it makes; also how it knows its own output."""
