"""Renders many volumes into a cache: in parallel, in any number of goes, past broken files."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from itertools import groupby
from multiprocessing import get_context
from pathlib import Path
from typing import Final

from synthesis.data.cache import list_shards, pending, render_shard
from synthesis.data.series import is_slice
from synthesis.data.volumes import load_volume
from synthesis.errors import VolumeError

__all__ = ["Outcome", "Progress", "find_volumes", "render_volumes", "views_held"]

_BLOCK: Final = 8
"""Variations rendered from one reading of a volume."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Where a job stands.

    Attributes:
        done: Shards in the cache, earlier goes included.
        of: Shards wanted, without those of broken volumes.
        views: Views rendered in this go.
        seconds: Since it began.
    """

    done: int
    of: int
    views: int
    seconds: float

    @property
    def views_per_s(self) -> float:
        """Throughput of this go."""
        return self.views / self.seconds if self.seconds > 0 else 0.0


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What a job did: its last progress, and why volumes were skipped, by name."""

    progress: Progress
    broken: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Block:
    """Some variations of one volume."""

    path: Path
    variations: tuple[int, ...]


def find_volumes(paths: Sequence[Path]) -> list[Path]:
    """NIfTI files and folders of DICOM slices among files and folders, by name.

    A folder gives the NIfTI files in it; without any, itself or those of the folders below it that
    hold DICOM files, one series each.

    Raises:
        VolumeError: A path does not exist, a folder holds no CT, or two share a name.
    """
    found: list[Path] = []
    for path in map(Path, paths):
        if path.is_dir():
            inside = sorted([*path.glob("*.nii"), *path.glob("*.nii.gz")])
            if not inside:
                folders = [path, *sorted(each for each in path.rglob("*") if each.is_dir())]
                inside = [each for each in folders if _has_slices(each)]
            if not inside:
                raise VolumeError(f"{path} holds no .nii or .nii.gz file and no DICOM series")
            found += inside
        elif path.exists():
            found.append(path)
        else:
            raise VolumeError(f"{path} does not exist")
    names = [_name(path) for path in found]
    for name in names:
        if names.count(name) > 1:
            raise VolumeError(f"two volumes are named {name}: their shards would mix")
    return found


def _has_slices(folder: Path) -> bool:
    return any(each.is_file() and is_slice(each) for each in sorted(folder.iterdir()))


def _name(path: Path) -> str:
    if path.is_dir():
        return path.resolve().name
    return path.name.removesuffix(".gz").removesuffix(".nii")


def render_volumes(
    volumes: Sequence[Path],
    folder: Path,
    *,
    size: int,
    variations: int,
    seed: int,
    workers: int = 1,
    report: Callable[[Progress], None] = lambda progress: None,
) -> Outcome:
    """Render what the cache does not hold yet; a broken volume is left out and named.

    Args:
        volumes: Files, from `find_volumes`.
        folder: Of the cache.
        size: Pixels on a side.
        variations: Of each patient; 0 is the patient as scanned.
        seed: Of the whole cache.
        workers: Processes, each on one thread.
        report: Called at the start and after every finished block.

    Raises:
        VolumeError: The folder holds shards of another size, or a process died.
    """
    for shard in list_shards(folder):
        if shard.size != size:
            raise VolumeError(f"{folder} holds shards of {shard.size} px: give another folder")
    began = time.monotonic()
    blocks = list(_blocks(volumes, variations, folder))
    waiting = sum(len(block.variations) for block in blocks)
    of = len(volumes) * variations
    done, views = of - waiting, 0
    outcome = Outcome(progress=Progress(done=done, of=of, views=0, seconds=0.0))
    report(outcome.progress)
    if not blocks:
        return outcome
    queue = iter(blocks)
    # Fresh interpreters: a forked copy of torch may hang on its thread pool.
    with ProcessPoolExecutor(workers, get_context("spawn"), _one_thread) as pool:
        running: dict[Future[int], _Block] = {}

        def start_next() -> None:
            for block in queue:
                if _name(block.path) not in outcome.broken:
                    running[pool.submit(_render_block, block, folder, size, seed)] = block
                    return

        for _ in range(workers):
            start_next()
        while running:
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                block = running.pop(future)
                try:
                    views += future.result()
                    done += len(block.variations)
                except VolumeError as error:
                    outcome.broken[_name(block.path)] = str(error)
                except BrokenProcessPool as error:
                    raise VolumeError(
                        f"a process died while it rendered {_name(block.path)} (out of memory?): "
                        "run again, with fewer workers; what is finished is kept"
                    ) from error
                start_next()
                wanted = of - variations * len(outcome.broken)
                outcome.progress = Progress(
                    done=done, of=wanted, views=views, seconds=time.monotonic() - began
                )
                report(outcome.progress)
    return outcome


def views_held(folder: Path) -> int:
    """Views of a cache, of every finished shard."""
    return sum(len(shard.views) for shard in list_shards(folder))


def _blocks(volumes: Sequence[Path], variations: int, folder: Path) -> Iterator[_Block]:
    """The first variations of every volume before the next, so that a cut cache is balanced."""
    paths = {_name(path): path for path in volumes}
    missing: dict[str, list[int]] = {name: [] for name in paths}
    for name, variation in pending(list(paths), variations, folder):
        missing[name].append(variation)
    blocks = []
    for name, numbers in missing.items():
        for block, some in groupby(numbers, key=lambda number: number // _BLOCK):
            blocks.append((block, _Block(path=paths[name], variations=tuple(some))))
    for _, block_of in sorted(blocks, key=lambda pair: pair[0]):
        yield block_of


def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)


def _render_block(block: _Block, folder: Path, size: int, seed: int) -> int:
    volume = load_volume(block.path)
    return sum(
        len(render_shard(volume, variation, folder, size=size, seed=seed).views)
        for variation in block.variations
    )
