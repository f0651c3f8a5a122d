"""An engine process without torch that does what its model's name says, well or badly."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time

import numpy as np

from dicom_node.engine import worker
from synthesis.errors import ViewError
from synthesis.types import ModelIdentity, Radiograph, SynthesisRequest, SynthesisResult


class Faulty:
    def load(self, model: str) -> ModelIdentity:
        match model:
            case "broken-file":
                raise ViewError("this file is no checkpoint")
            case "crash-at-load":
                os._exit(9)
            case "memory-at-load":
                raise MemoryError
            case "hang-at-load":
                time.sleep(3600)
        return ModelIdentity(
            name=model,
            version=str(os.getpid()),
            family="vcdit",
            digest="f" * 64,
            resolution=2,
            default_steps=1,
        )

    def synthesize(self, model: str, request: SynthesisRequest) -> SynthesisResult:
        match model:
            case "crash":
                os._exit(7)
            case "segfault":
                ctypes.string_at(0)
            case "hang":
                time.sleep(3600)
            case "hang-in-c":
                # The interpreter stays locked, as in a computation that never lets go of it.
                ctypes.PyDLL(None).sleep(3600)
            case "memory":
                np.ones(1 << 60, np.uint8)
            case "killed":
                os.kill(os.getpid(), signal.SIGKILL)
            case "torch-memory":
                raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried ...")
            case "bug":
                raise KeyError("Secret^Patient")
            case "input":
                raise ViewError("views above 90 degrees cannot be made")
            case "missing":
                import no_such_module_anywhere  # noqa: F401
            case "noise":
                print("printed by python", flush=True)
                os.write(1, b"written by a C library\n")
                subprocess.run([sys.executable, "-c", "print('by a program')"], check=True)
            case "offspring":
                subprocess.Popen(["sleep", "3600"])
                time.sleep(3600)
        images = [
            Radiograph(
                pixels=request.source.pixels * (index + 1),
                spacing_mm=request.source.spacing_mm,
                view=view,
                intensity=request.source.intensity,
            )
            for index, view in enumerate(request.views)
        ]
        if model == "nan":
            pixels = np.full((4, 4), np.nan, np.float32)
            object.__setattr__(images[-1], "pixels", pixels)
        return SynthesisResult(
            images=tuple(images),
            model=self.load(model),
            chosen=(0,) * len(images),
            steps=request.steps or 1,
            seed=request.seed,
            seconds=0.0,
            spacing_nominal=request.source.spacing_mm is None,
        )


if __name__ == "__main__":
    sys.exit(worker.run(Faulty()))
