"""A stored object as a picture for a screen, as a viewer would show it at first sight."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image
from pydicom.pixels.processing import apply_modality_lut, apply_voi_lut

from dicom_node.domain.errors import ImageError, InputError
from dicom_node.iod.decoding import stored_values
from dicom_node.iod.elements import number, text
from dicom_node.iod.foreign import FOREIGN_ERRORS
from dicom_node.iod.parsing import parsed

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from pydicom.dataset import FileDataset

__all__ = ["as_png"]


def as_png(data: bytes, *, frame: int | None = None, longest_px: int | None = None) -> bytes:
    """The image with its first window applied, brighter meaning more attenuation where it says so.

    Args:
        data: A DICOM file.
        frame: Which of several, from 0; None for a file with one.
        longest_px: Shrink the longer side to this; None keeps every pixel.

    Raises:
        ImageError: It cannot be shown.
    """
    try:
        ds = parsed(data, pixels=True)
        if frame is not None:
            _cut(ds, frame)
        values: NDArray[Any] = apply_modality_lut(stored_values(ds), ds)
        shown = np.asarray(apply_voi_lut(values, ds), dtype=np.float64)
    except ImageError:
        raise
    except (InputError, *FOREIGN_ERRORS) as error:
        raise ImageError(f"the image cannot be shown ({type(error).__name__})") from None
    low, high = float(shown.min()), float(shown.max())
    grey = (shown - low) * (255.0 / (high - low or 1.0))
    if text(ds, "PhotometricInterpretation") == "MONOCHROME1":
        grey = 255.0 - grey
    picture = Image.fromarray(grey.round().astype(np.uint8))
    if longest_px is not None:
        picture.thumbnail((longest_px, longest_px), Image.Resampling.LANCZOS)
    out = BytesIO()
    picture.save(out, format="PNG", compress_level=4)
    return out.getvalue()


def _cut(ds: FileDataset, frame: int) -> None:
    """Leave one frame of several, as they lie one after the other in what we write ourselves."""
    count = int(number(ds, "NumberOfFrames") or 1)
    if ds.file_meta.TransferSyntaxUID.is_compressed or not 0 <= frame < count:
        raise ImageError("there is no such frame, or the frames are compressed")
    size = int(ds.Rows) * int(ds.Columns) * int(ds.BitsAllocated) // 8
    ds.PixelData = bytes(ds.PixelData)[frame * size : (frame + 1) * size]
    ds.NumberOfFrames = "1"
