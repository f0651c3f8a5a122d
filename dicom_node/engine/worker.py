"""The engine process: ``python -m dicom_node.engine.worker MODELS DEVICE``.

It reads messages from standard input and answers on standard output, which it takes for itself:
whatever else writes to standard output in this process comes out on standard error. It ends when
its input does, so it never outlives the node, not even one that was killed.
"""

from __future__ import annotations

import json
import os
import select
import sys
import threading
from typing import TYPE_CHECKING, Protocol

from dicom_node.domain.errors import describe
from dicom_node.engine import messages
from synthesis.errors import CheckpointError, SynthesisError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import BinaryIO

    from synthesis.engine import SynthesisEngine
    from synthesis.types import ModelIdentity, SynthesisRequest, SynthesisResult

__all__ = ["Models", "Synthesizer", "answer", "main", "run"]

_PARENT_GONE = 3


class Synthesizer(Protocol):
    """What the process does with a message."""

    def load(self, model: str) -> ModelIdentity:
        """Have a model ready."""
        ...

    def synthesize(self, model: str, request: SynthesisRequest) -> SynthesisResult:
        """Make the views of a request by a model, loaded before or now."""
        ...


class Models:
    """The synthesis library's engines, one a model, each loaded when first needed and then kept."""

    def __init__(self, paths: Mapping[str, str], device: str) -> None:
        """Take where the models lie.

        Args:
            paths: Checkpoint file by name of model.
            device: Of torch, or ``auto``.
        """
        self._paths = dict(paths)
        self._device = device
        self._engines: dict[str, SynthesisEngine] = {}

    def load(self, model: str) -> ModelIdentity:
        """Have a model ready.

        Raises:
            CheckpointError: No such model is configured, or its file is not usable.
        """
        return self._engine(model).identity

    def synthesize(self, model: str, request: SynthesisRequest) -> SynthesisResult:
        """Make the views of a request by a model.

        Raises:
            SynthesisError: This request cannot be done.
        """
        return self._engine(model).synthesize(request)

    def _engine(self, model: str) -> SynthesisEngine:
        if model not in self._engines:
            if model not in self._paths:
                raise CheckpointError(f"no model {model!r} is configured for this engine")
            from synthesis.engine import load  # here, so that only this process ever holds torch

            self._engines[model] = load(self._paths[model], device=self._device)
        return self._engines[model]


def main(arguments: Sequence[str]) -> int:
    """Serve until the input ends; 0 then, 1 after a breakdown.

    Args:
        arguments: JSON object of checkpoint file by name of model, and the device.
    """
    models, device = arguments
    return run(Models(json.loads(models), device))


def run(synthesizer: Synthesizer) -> int:
    """Take standard input and output, and serve until the input ends or something breaks."""
    output = _take_standard_output()
    threading.Thread(target=_exit_with_parent, name="parent-watch", daemon=True).start()
    while True:
        try:
            message = messages.read(sys.stdin.buffer)
        except messages.FrameError as error:
            messages.write(output, messages.Failed(reason=str(error), for_good=False))
            return 1
        except SynthesisError as error:  # a whole message whose values cannot exist
            messages.write(output, messages.Failed(reason=str(error), for_good=True))
            continue
        if message is None:
            return 0
        reply = answer(synthesizer, message)
        messages.write(output, reply)
        if isinstance(reply, messages.Failed) and not reply.for_good:
            return 1


def answer(synthesizer: Synthesizer, message: messages.Message) -> messages.Message:
    """The reply to one message, whatever happens."""
    try:
        match message:
            case messages.Load(model=model):
                return messages.Loaded(identity=synthesizer.load(model))
            case messages.Synthesize(model=model, request=request):
                return messages.Done(result=synthesizer.synthesize(model, request))
            case messages.Ping():
                return messages.Pong()
            case _:
                return messages.Failed(reason="that is not a request", for_good=False)
    except SynthesisError as error:
        return messages.Failed(reason=str(error), for_good=True)
    except ModuleNotFoundError as error:
        reason = f"{error.name} is not installed: install dicom-node[engine] and release the job"
        return messages.Failed(reason=reason, for_good=True)
    except Exception as error:  # noqa: BLE001 - engine boundary: the node has to hear of it
        reason = "out of memory" if _out_of_memory(error) else describe(error)
        return messages.Failed(reason=reason, for_good=False)


def _out_of_memory(error: Exception) -> bool:
    # torch has a class for its devices' memory (OutOfMemoryError) and a RuntimeError for the CPU's;
    # neither can be named here without importing torch.
    text = str(error).lower()
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or (isinstance(error, RuntimeError) and "allocate memory" in text)
    )


def _take_standard_output() -> BinaryIO:
    """Standard output for messages alone; anybody else who writes there now writes to the log."""
    sys.stdout.flush()
    mine = os.dup(1)
    os.dup2(2, 1)
    return os.fdopen(mine, "wb")


def _exit_with_parent() -> None:
    """Wait until the node's end of standard input is closed, even while a synthesis runs."""
    hangup = select.poll()
    hangup.register(0, 0)
    hangup.poll()
    # Nobody reads an answer any more, and a computation in another thread cannot be interrupted.
    os._exit(_PARENT_GONE)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
