"""An engine process that breaks down over some inputs and does the others: by its model's name."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from dicom_node.engine import worker
from synthesis.digest import weights_digest
from tests.engine.faulty import Faulty
from tests.fakes.engine import FakeEngine

if TYPE_CHECKING:
    from synthesis.types import ModelIdentity, SynthesisRequest, SynthesisResult


class Poisoned:
    def __init__(self, weights: str) -> None:
        self._good, self._bad = FakeEngine(weights=weights), Faulty()

    def load(self, model: str) -> ModelIdentity:
        return self._bad.load(model)

    def synthesize(self, model: str, request: SynthesisRequest) -> SynthesisResult:
        if model != "chest":
            self._bad.synthesize(model, request)
        return self._good.synthesize(model, request, deadline_s=60)


if __name__ == "__main__":
    paths = json.loads(sys.argv[1])
    sys.exit(worker.run(Poisoned(weights_digest(Path(paths["chest"])))))
