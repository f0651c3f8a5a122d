"""Large blocks go back to the system when they are freed."""

from __future__ import annotations

import contextlib
import ctypes
from typing import Final

__all__ = ["give_back_large_blocks"]

_ARENA_MAX: Final = -8  # numbers of glibc's malloc.h
_MMAP_THRESHOLD: Final = -3

_LARGE_BYTES: Final = 1 << 20


def give_back_large_blocks() -> None:
    """Keep the allocator from hoarding images.

    glibc raises the size from which a block is mapped by itself with every such block it frees, so
    after a few images each thread's arena keeps tens of megabytes that are in use by nobody. Fixed
    at 1 MiB, and with two arenas for all threads, the node stays at its size however many images
    went through. Elsewhere than on glibc this does nothing.
    """
    with contextlib.suppress(AttributeError, OSError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_MMAP_THRESHOLD, _LARGE_BYTES)
        mallopt(_ARENA_MAX, 2)
