"""Family ``svdrr``: the published weights of SV-DRR (arXiv 2507.05148), from a local folder.

**Where they are.** The authors publish three models, trained on DRRs of 256, 512 and 1024 pixels:
``xiechun-tsukuba/svdrr-dit-fb-256``, ``-512`` and ``-1024`` on their model hub, under Apache-2.0
(their code is MIT). Download one whole, with `model_index.json`, and name its folder; nothing is
ever downloaded from here. A checkpoint of the official trainer becomes such a folder by
``python -m synthesis convert``.

**What they need.** The extra ``dicom-node[svdrr]`` (diffusers, transformers). The transformer has
605 million parameters, the whole model 993 million: 4 GB in float32, in which it runs here. A GPU
should have 8 GB for that and what eight views at a time take (an estimate; none was at hand to
measure it). Without one, a guided step at 256 pixels takes 4.4 s on two CPU cores, so a view of 20
steps about a minute and a half: raise the engine's deadline.

**What they are not.** Trained on DRRs alone, each scaled by its own minimum and maximum, seen from
the PA side only: absolute attenuation is lost, and a source must be frontal.
"""

from __future__ import annotations

from pathlib import Path

import torch

from synthesis.digest import weights_digest
from synthesis.families.svdrr.drawing import draw
from synthesis.families.svdrr.parts import read_parts
from synthesis.families.svdrr.pipeline import GUIDANCE, SvdrrPipeline, pose_condition
from synthesis.types import ModelIdentity

__all__ = ["DEFAULT_STEPS", "GUIDANCE", "SvdrrPipeline", "draw", "load", "pose_condition"]

DEFAULT_STEPS = 20
"""Network evaluations a view, as in the paper (the released script takes 30)."""


def load(folder: str | Path, device: str | torch.device = "cpu") -> SvdrrPipeline:
    """Read a published model.

    Args:
        folder: In the layout of `synthesis.families.svdrr.layout`.
        device: Of torch; ``auto`` is the first GPU, or the CPU where there is none.

    Raises:
        CheckpointError: A part is missing, broken, or does not fit the others, or diffusers or
            transformers is not installed.
    """
    folder = Path(folder)
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    parts = read_parts(folder)
    digest = weights_digest(folder)
    identity = ModelIdentity(
        name=folder.resolve().name,
        version=digest[:12],
        family="svdrr",
        digest=digest,
        resolution=parts.resolution,
        default_steps=DEFAULT_STEPS,
    )
    return SvdrrPipeline(parts, identity, torch.device(device))
